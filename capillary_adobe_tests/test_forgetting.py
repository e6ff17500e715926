"""Forgetting old states: nothing goes that history which waits will be told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from capillary_adobe.forgetting import forget_outdated
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.state import Customers, LoyaltyHistory, State
from capillary_adobe.state.history_days import HistoryDays
from capillary_adobe.state.history_files import HistoryFile, HistoryFiles, import_lock
from capillary_adobe_tests.history_imports import ORG, TIERS, Importer, csv, tier

KEY = CustomerKey(1, 5)
TIER = "program.973.tier_name"
NOW_MS = int(datetime(2026, 11, 26, tzinfo=UTC).timestamp() * 1000)
KEPT_DAYS = 800
OLD_DAY = "2023-05-02"
NOON_MS = int(datetime(2023, 5, 2, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A customer whose tier changed at an import, before, on and after a day that is older than what is kept."""
    state = State(f"sqlite:///{tmp_path}/state.db")
    day_ms = 86_400_000
    moments = {
        NOON_MS - 9 * day_ms: "Bronze",
        NOON_MS - 3 * day_ms: "Silver",
        NOON_MS: "Gold",
        NOW_MS - day_ms: "Platinum",
    }
    Customers(state).merge(
        Facts(KEY, Stamp(at_ms * 1000, 0, "export"), {TIER: tier}) for at_ms, tier in moments.items()
    )
    return state


def tier_before_noon(state: State) -> str | None:
    [known] = LoyaltyHistory(state).registers_as_of([(KEY, NOON_MS * 1000 - 1)])
    return known[TIER].value if TIER in known else None


def forget(state: State) -> int | None:
    return forget_outdated(state, KEPT_DAYS, NOW_MS)


def test_states_older_than_what_is_kept_go_where_no_history_waits(state: State) -> None:
    assert (forget(state), tier_before_noon(state)) == (2, None)


@pytest.mark.parametrize("standing", ["waiting", "running", "failed"])
def test_states_that_a_waiting_day_will_be_told_stay(state: State, standing: str) -> None:
    days = HistoryDays(state)
    days.imported([(OLD_DAY, 1)])
    if standing != "waiting":
        days.begin(OLD_DAY, "a run")
    if standing == "failed":
        days.fail(OLD_DAY, "AEP was down")
    assert (forget(state), tier_before_noon(state)) == (1, "Silver")
    if standing == "waiting":
        days.begin(OLD_DAY, "a run")
    days.finish(OLD_DAY)
    assert (forget(state), tier_before_noon(state)) == (1, None)


def test_while_an_import_is_at_work_nothing_is_forgotten(state: State) -> None:
    files = HistoryFiles(state)
    with state.day_lock(import_lock("f" * 64)):
        files.begin(HistoryFile("f" * 64, "tiers.zip", "folder", 1, 1))
        assert (forget(state), tier_before_noon(state)) == (None, "Silver")
        files.finish("f" * 64, 0, [])
    assert forget(state) == 2


def test_an_import_that_was_killed_holds_nothing_up(state: State) -> None:
    HistoryFiles(state).begin(HistoryFile("f" * 64, "tiers.zip", "folder", 1, 1))
    assert forget(state) == 2


def test_an_import_that_failed_holds_nothing_up(state: State) -> None:
    files = HistoryFiles(state)
    files.begin(HistoryFile("f" * 64, "tiers.zip", "folder", 1, 1))
    files.fail("f" * 64, "the zip is damaged")
    assert forget(state) == 2


def test_states_that_went_after_an_import_was_killed_are_told_by_its_repetition(tmp_path: Path) -> None:
    importer = Importer(tmp_path, start=date(2023, 1, 1), now=NOW_MS / 1000)
    rows = [
        tier(number, f"2023-05-0{number}", name=name) for number, name in enumerate(["Bronze", "Silver", "Gold"], 1)
    ]
    found = importer.put("tiers.csv", csv(TIERS, *rows))

    def tier_on_the_second() -> str | None:
        moment_ms = int(datetime(2023, 5, 2, 12, tzinfo=UTC).timestamp() * 1000)
        [known] = LoyaltyHistory(importer.state).registers_as_of([(CustomerKey(ORG, 77), moment_ms * 1000)])
        return known["program.3.tier_name"].value if "program.3.tier_name" in known else None

    class Killed(BaseException):
        """What ends a process, as far as the import is concerned: it notes nothing."""

    class Said(list[str]):
        def append(self, words: str) -> None:
            if "facts of customers" in words:
                assert (forget(importer.state), tier_on_the_second()) == (None, "Silver")
                raise Killed

    importer.said = Said()
    with pytest.raises(Killed):
        importer.take(found)
    assert (forget(importer.state), tier_on_the_second()) == (2, None)
    importer.said = []
    importer.take(found)
    assert (forget(importer.state), tier_on_the_second()) == (0, "Silver")


def test_an_import_again_keeps_what_days_will_be_told_that_it_adds(tmp_path: Path) -> None:
    importer = Importer(tmp_path, start=date(2026, 1, 1), now=NOW_MS / 1000)
    rows = [tier(number, f"2023-05-0{number}", name=name) for number, name in enumerate(["Bronze", "Silver"], 1)]
    found = importer.put("tiers.csv", csv(TIERS, *rows))
    importer.take(found)
    assert forget(importer.state) == 1
    importer.start = date(2023, 1, 1)

    class Said(list[str]):
        def append(self, words: str) -> None:
            if "facts of customers" in words:
                super().append(str(forget(importer.state)))

    importer.said = Said()
    importer.take(found, again=True)
    assert importer.said == ["None"]
