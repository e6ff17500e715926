"""Batches across days: a run's days share what AEP counts by the day, and whoever comes next takes up what was left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.adobe import Delivery, DeliveryCounts, PermanentDeliveryError, TransientDeliveryError, Work
from capillary_adobe.adobe.batch_judging import lock_of
from capillary_adobe.adobe.delivery import routes_of
from capillary_adobe.adobe.errors import QuotaUsedUp
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.state import DaysToSettle, Receipts, State
from capillary_adobe_tests.adobe.arrivals import lines_from
from capillary_adobe_tests.adobe.delivering_days import Days, days_from, deliver_days, work_of
from capillary_adobe_tests.adobe.road_of_days import EACH, NUMBERS, Road
from capillary_adobe_tests.emulators.client import Client as EmulatorClient
from capillary_adobe_tests.emulators.platform_client import Platform, eventually
from capillary_adobe_tests.forked import Forked

IMPORT = "/data/foundation/import/batches"
CATALOG = "/data/foundation/catalog/batches"
NEVER = 600
DELIVERING = "from capillary_adobe_tests.adobe.delivering_days import main; main()"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path_factory.mktemp("aep"), behaviour=Behaviour(batch_seconds=0.05)) as emulator:
        yield emulator


@pytest.fixture
def road(running: RunningEmulator, state: State) -> Iterator[Road]:
    running.faults.clear()
    running.demand({})
    yield Road(running, state)
    running.faults.clear()
    running.demand({})


def test_the_days_of_a_run_share_a_batch_and_each_has_its_own_receipts(road: Road) -> None:
    days = road.days(14)
    counts: dict[str, DeliveryCounts] = {}
    assert deliver_days(road.settings, road.state, days, counts=counts) == {}
    road.assert_arrived_once(days)
    assert road.begun == 1
    (aep_id,) = {batch for one in counts.values() for batch in one.batches}
    assert all((one.sent, one.outcomes, one.waiting) == (EACH, {"accepted": EACH}, 0) for one in counts.values())
    for day, batch in days.items():
        known = Receipts(road.state).of_day(day).known(batch.column("id").to_pylist())
        assert {one.aep_id for one in known if one} == {aep_id}
    assert set(DaysToSettle(road.state).all()) == set(days)


def test_runs_of_14_days_take_a_batch_each(road: Road) -> None:
    """A year takes 27 of the 90 that AEP's Profile has for a day."""
    days = road.days(60, each=2)
    listed = list(days)
    settings = road.settings.model_copy(update={"batch_wait_seconds": 0})
    for start in range(0, 60, 14):
        assert deliver_days(settings, road.state, days, listed[start : start + 14]) == {}
    assert road.lane().look(listed, lambda _: DeliveryCounts(), lambda _: None, wait=True) == {}
    road.assert_arrived_once(days)
    assert road.begun == 5


def test_a_batch_that_is_full_is_followed_by_another(road: Road) -> None:
    days = road.days(5)
    road.deliver(days, batch_max_files=2)
    road.assert_arrived_once(days)
    # A file holds entities of one day.
    assert road.begun == 3


def test_rows_that_aep_refuses_are_named_on_their_own_day(road: Road) -> None:
    days = road.days(6)
    bad = days["2026-03-03"].column("id").to_pylist()[4:7]
    road.emulator.demand({"not": {"properties": {"_id": {"enum": bad}}, "required": ["_id"]}})
    road.deliver(days)
    tally = road.tally(days)
    assert tally.pop("2026-03-03") == {"accepted": EACH - 3, "rejected": 3}
    assert all(one == {"accepted": EACH} for one in tally.values())
    found = [row for row in road.rows(days, "2026-03-03") if row["status"] == "rejected"]
    assert ({row["id"] for row in found}, {row["cause"] for row in found}) == (set(bad), {"aep_refused:1554"})


def test_days_of_a_batch_that_failed_for_named_rows_go_again_without_them(road: Road) -> None:
    days = road.days(3)
    bad = [id_ for day in ("2026-03-01", "2026-03-02") for id_ in days[day].column("id").to_pylist()[:10]]
    road.emulator.demand({"not": {"properties": {"_id": {"enum": bad}}, "required": ["_id"]}})
    road.deliver(days)
    assert road.tally(days) == {
        "2026-03-01": {"accepted": 20, "rejected": 10},
        "2026-03-02": {"accepted": 20, "rejected": 10},
        "2026-03-03": {"accepted": 30},
    }
    assert road.begun == 2
    assert len(lines_from(road.emulator.base_url, road.before)) == 70


def test_a_batch_that_fails_without_a_name_fails_all_its_days(road: Road) -> None:
    days = road.days(2)
    road.emulator.faults.add(kind="batch_status", final="failed")
    failed = deliver_days(road.settings, road.state, days)
    assert set(failed) == set(days)
    assert all(isinstance(error, PermanentDeliveryError) for error in failed.values())
    assert road.tally(days) == {day: {"failed": EACH} for day in days}
    road.deliver(days)
    road.assert_arrived_once(days)


def test_small_days_are_counted_together_for_the_choice_of_the_route(road: Road) -> None:
    days = road.days(4, each=5)
    found = work_of(days, "auto")
    works = [work for day in days if (work := found(day)) is not None]

    def routes(limit: int) -> set[str]:
        settings = road.settings.model_copy(update={"batch_from_entities": limit})
        return set(routes_of(settings, road.state, works).values())

    assert (routes(20), routes(21)) == ({"batch"}, {"streaming"})
    settings = road.settings.model_copy(update={"batch_from_entities": 21})
    assert deliver_days(settings, road.state, days, route="auto") == {}
    assert (road.begun, road.tally(days)) == (0, {day: {"accepted": 5} for day in days})


def test_when_the_batches_of_the_day_are_used_up_the_days_that_are_left_fail_and_say_until_when(road: Road) -> None:
    days = road.days(4)
    settings = road.settings.model_copy(update={"batches_per_day": 1, "batch_max_files": 2})
    failed = deliver_days(settings, road.state, days)
    first, second, *others = days
    assert list(failed) == others
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert all(isinstance(error, TransientDeliveryError) for error in failed.values())
    assert all(tomorrow in str(error) and "ADOBE_BATCHES_PER_DAY" in str(error) for error in failed.values())
    assert road.tally(days)[first] == road.tally(days)[second] == {"accepted": EACH}
    # What counts is the day in UTC: after midnight the same run goes on.
    road.deliver(days, batch_max_files=10)
    road.assert_arrived_once(days)
    assert road.begun == 2


def test_runs_that_count_at_the_same_time_share_the_batches_of_the_day(road: Road) -> None:
    days = road.days(8)
    settings = road.settings.model_copy(update={"batches_per_day": 1})
    with ThreadPoolExecutor(8) as runs:
        failed = list(runs.map(lambda day: deliver_days(settings, road.state, days, [day]), days))
    refused = [error for one in failed for error in one.values() if isinstance(error, QuotaUsedUp)]
    assert (road.begun, len(refused)) == (1, 7)


def test_days_that_need_nothing_do_not_fail_for_what_others_lack(road: Road) -> None:
    days = road.days(3)
    first, second, third = days
    assert deliver_days(road.settings, road.state, days, [third]) == {}
    failed = deliver_days(road.settings.model_copy(update={"batches_per_day": 1}), road.state, days)
    assert set(failed) == {first, second}


def test_when_aep_is_away_no_further_day_is_tried_and_the_next_run_goes_on_with_the_same_batch(road: Road) -> None:
    days = road.days(5)
    road.emulator.faults.add(kind="reset_after", path=IMPORT, method="PUT", skip=2, times=None)
    failed = deliver_days(road.impatient(), road.state, days)
    assert set(failed) == set(days)
    # The third day's file was on its way, those behind it never were.
    assert [{row["attempts"] for row in road.rows(days, day)} for day in list(days)[2:]] == [{1}, {0}, {0}]
    assert len(road.register.unfinished()) == 1
    road.emulator.faults.clear()
    road.deliver(days)
    road.assert_arrived_once(days)
    assert road.begun == 1


def left_open(road: Road, days: Days, kind: str = "reset_after") -> None:
    """A run that ends while the file of the third day is on its way; the days behind it are not in the batch."""
    road.emulator.faults.add(kind=kind, path=IMPORT, method="PUT", skip=2, times=None)
    assert deliver_days(road.impatient(), road.state, days)
    road.emulator.faults.clear()


CUTS = {
    "the same days": [["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"]],
    "one of its days, then all": [["2026-03-01"], ["2026-03-01", "2026-03-02", "2026-03-03"], ["2026-03-04"]],
    "a day that it had not come to": [["2026-03-06"], ["2026-03-01", "2026-03-02", "2026-03-03"], ["2026-03-04"]],
    "days cut otherwise": [["2026-03-03", "2026-03-04", "2026-03-05"], ["2026-03-01", "2026-03-02"], ["2026-03-06"]],
}


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_batch_that_was_left_open_is_taken_up_by_whoever_comes_to_one_of_its_days(
    road: Road, cut: str, kind: str
) -> None:
    days = road.days(6)
    left_open(road, days, kind)
    for some in [*CUTS[cut], list(days)]:
        assert deliver_days(road.settings, road.state, days, some) == {}
    road.assert_arrived_once(days)


def test_a_run_of_one_day_takes_up_a_shared_batch_and_ends_it(road: Road) -> None:
    days = road.days(4)
    left_open(road, days)
    (batch,) = road.register.unfinished()
    read = work_of(days)
    one = read("2026-03-02")
    assert one is not None
    Delivery(road.settings, road.state).deliver(one, lambda _: None, other=read)
    assert road.register.unfinished() == []
    aep_id = batch.aep_id
    assert {row["aep_id"] for row in road.rows(days, "2026-03-01")} == {aep_id}
    # What the batch held of other days is judged with it, and their tables are to be written.
    assert road.tally(days)["2026-03-01"] == {"accepted": EACH}
    assert {"2026-03-01", "2026-03-02"} <= set(DaysToSettle(road.state).all())
    road.deliver(days)
    road.assert_arrived_once(days)


def test_a_shared_batch_whose_other_days_cannot_be_read_is_given_up(road: Road) -> None:
    days = road.days(4)
    left_open(road, days)
    # The file in doubt is of the third day.
    one = work_of(days)("2026-03-01")
    assert one is not None
    Delivery(road.settings, road.state).deliver(one, lambda _: None)
    assert road.tally(days)["2026-03-01"] == {"accepted": EACH}
    assert road.tally(days)["2026-03-02"] == {"failed": EACH}
    road.deliver(days)
    road.assert_arrived_once(days)


def test_a_shared_batch_with_an_entity_that_is_held_now_is_given_up_whichever_its_day(road: Road) -> None:
    days = road.days(4)
    left_open(road, days)
    held = days["2026-03-01"].slice(0, 1)

    def read(day: str) -> Work | None:
        if day != "2026-03-01":
            return work_of(days)(day)
        passing = days[day].slice(1)
        return Work(
            day,
            lambda columns: [passing.select(columns)],
            "history",
            "batch",
            held=lambda columns: [held.select(columns)],
        )

    one = read("2026-03-02")
    assert one is not None
    Delivery(road.settings, road.state).deliver(one, lambda _: None, other=read)
    assert held.column("id")[0].as_py() not in {
        line["entity"]["_id"] for line in lines_from(road.emulator.base_url, road.before)
    }
    assert road.tally(days)["2026-03-02"] == {"accepted": EACH}
    assert road.tally(days)["2026-03-01"] == {"failed": EACH}


@pytest.mark.parametrize("route", ["batch", "streaming"])
def test_a_batch_in_another_runs_hands_is_left_alone(road: Road, route: Any) -> None:
    days = road.days(4)
    left_open(road, days)
    (batch,) = road.register.unfinished()
    with road.state.lock_if_free(lock_of(batch)) as mine:
        assert mine
        assert deliver_days(road.settings, road.state, days, ["2026-03-02", "2026-03-04"], route) == {}
        # What the batch holds of the one day counts as being at AEP; the other day is not in it.
        tally = road.tally(days)
        assert (tally["2026-03-02"], tally["2026-03-04"]) == ({"pending": EACH}, {"accepted": EACH})
        assert road.register.unfinished("2026-03-02") == [batch]
    road.deliver(days)
    road.assert_arrived_once(days)


def test_a_run_waits_once_for_the_verdicts_of_all_its_days(road: Road) -> None:
    days = road.days(6)
    for _ in range(6):
        road.emulator.faults.add(kind="batch_status", final="queued")
    # Changes nothing, and counts the looks at a batch.
    road.emulator.faults.add(kind="delay", method="GET", path=f"{CATALOG}/", seconds=0, times=None)
    counts: dict[str, DeliveryCounts] = {}
    settings = road.settings.model_copy(update={"batch_wait_seconds": 1.5, "batch_max_files": 1})
    assert deliver_days(settings, road.state, days, counts=counts) == {}
    assert [one.waiting for one in counts.values()] == [EACH] * 6
    # One look at each as it is filled, one at its end, and two more at the first, half a second and a second later: then the
    # patience of the run is spent. Were each waited for, there would be twelve more.
    assert road.emulator.faults.overview()[-1]["met"] == 6 + 6 + 2


def unanswered(method: str, path: str, skip: int) -> dict[str, Any]:
    """A call that AEP carries out and does not answer."""
    return {"kind": "delay", "method": method, "path": path, "skip": skip, "seconds": NEVER}


KILLED_AT = {
    "the first file on its way": (unanswered("PUT", f"{IMPORT}/", 0), 1),
    "the file of the third day on its way": (unanswered("PUT", f"{IMPORT}/", 2), 3),
    "the last file on its way": (unanswered("PUT", f"{IMPORT}/", 3), 4),
    "completed, not told": (unanswered("POST", f"{IMPORT}/", 0), 4),
}


KILLS = [
    ("the first file on its way", [2]),
    ("the file of the third day on its way", [0, 1, 2, 3]),
    ("the file of the third day on its way", [1, 2]),
    ("the file of the third day on its way", [3]),
    ("the last file on its way", [0, 1]),
    ("completed, not told", [1]),
]


@pytest.mark.parametrize(("stage", "next_days"), KILLS, ids=str)
def test_killed_at_any_day_the_batch_is_taken_up(road: Road, tmp_path: Path, stage: str, next_days: list[int]) -> None:
    fault, files = KILLED_AT[stage]
    start = next(NUMBERS)
    days = days_from(start, EACH, 4)
    road.emulator.faults.add(**fault)
    kill_when(road, tmp_path, start, len(days), files)
    road.emulator.faults.clear()
    assert deliver_days(road.settings, road.state, days, [list(days)[place] for place in next_days]) == {}
    assert deliver_days(road.settings, road.state, days) == {}
    road.assert_arrived_once(days)
    # However the days are cut, the batch that was left is one of those that arrived.
    assert road.begun <= 2


def kill_when(road: Road, tmp_path: Path, start: int, number: int, files: int) -> None:
    """Kill a run over so many days once its fault has been met and so many files are noted."""
    environment = {
        **os.environ,
        **road.emulator.environment,
        "TMPDIR": str(tmp_path),
        "ADOBE_BATCH_FILE_BYTES": "20000",
    }
    arguments = road.state.engine.url.render_as_string(), str(start), str(EACH), str(number)
    with requests.Session() as session, Forked(DELIVERING, *arguments, environment=environment) as process:
        Platform(EmulatorClient(road.emulator, session))

        def stands() -> bool:
            assert process.poll() is None, f"delivery ended with {process.poll()} before it could be killed"
            noted = [one for batch in road.register.open() for one in _files(road.state, batch.external_id)]
            return len(noted) == files and all(fault["fired"] for fault in road.emulator.faults.overview())

        eventually(stands, "killed")


def _files(state: State, external_id: str) -> list[Any]:
    return list(Receipts(state).of_requests(f"{external_id}/"))
