"""One month by webhook and by export, in every order: one record a happening at AEP, nothing missing, nothing double."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.insights.places import open_place
from capillary_adobe.capillary.insights.templates import event_types
from capillary_adobe.capillary.person import NotDelivered
from capillary_adobe.capillary.sorting import Origin, Sorting
from capillary_adobe.defs.build import JOB
from capillary_adobe.defs.microbatch import LANE_TAG, MicroBatchConfig
from capillary_adobe.defs.runs import FIRST_DAY_TAG, LAST_DAY_TAG
from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.exports import Plan, month_of_lines, rules_of, write_exports
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.history_importing import Imported
from capillary_adobe.history_place import import_place
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.landing.records import read_records
from capillary_adobe.settings import CapillarySettings, InsightsSettings, load
from capillary_adobe.state import State
from capillary_adobe.tables import RAW_EVENTS, SET_ASIDE
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.defs.installation import STEPS, Installation, events
from capillary_adobe_tests.services import postgres_database

ZONE = ZoneInfo("Asia/Kolkata")
FIRST = date(2026, 9, 1)
DAYS = int(os.environ.get("TEST_OVERLAP_DAYS", "3"))
"""How much of the month is told; a whole one takes some minutes."""
EVENTS_A_DAY = 60
LIVE_FROM = datetime(2026, 9, 1, 12, tzinfo=ZONE) + timedelta(days=DAYS // 2)
LIVE_FROM_MS = int(LIVE_FROM.timestamp() * 1000)
LATER_MS = int(datetime(2026, 10, 10, tzinfo=ZONE).timestamp() * 1000)
CUT = {name for name in event_types() if shipped_catalogue().find(name).natural_key is None}  # type: ignore[union-attr]
Happening = tuple[str, str, str]


def day(place: int) -> str:
    return (FIRST + timedelta(days=place)).isoformat()


def webhooks(place: int) -> list[bytes]:
    """The lines of a day."""
    return list(month_of_lines(FIRST + timedelta(days=place), 1, EVENTS_A_DAY))


@dataclass
class Month:
    """A month that one installation can have both ways."""

    installation: Installation
    exports: Path

    def land(self, first: int, last: int) -> None:
        """The webhooks of days, an object a day."""
        for place in range(first, last + 1):
            self.installation.store.write(f"events/{day(place)}/23/1.jsonl", b"\n".join(webhooks(place)))

    def micro_batch(self, place: int) -> None:
        """Land the webhooks of a day and run them as the landing sensor does, without what the day has of history."""
        self.land(place, place)
        key = f"events/{day(place)}/23/1.jsonl"
        batch = MicroBatchConfig(batch_id=f"live-{day(place)}-1", after_key=f"events/{day(place)}/", up_to_key=key)
        assert self.installation.run(day(place), batch=batch).success

    def import_all(self) -> None:
        """Every export, into the history lane."""
        setup = ImportSetup.read(self.installation.store, self.installation.state)
        place = open_place(str(self.exports), load(InsightsSettings))
        found = list(import_place(place, setup, lambda _: None))
        assert [one for one in found if not isinstance(one, Imported)] == []
        assert sum(one.events for one in found if isinstance(one, Imported)) > 0

    def backfill(self, first: int = 0, last: int = DAYS) -> None:
        """A run over days, as a chunk of a backfill; the last evening is another day in the organisation's zone."""
        job = self.installation.definitions.resolve_job_def(JOB)
        result = job.execute_in_process(
            instance=self.installation.instance,
            tags={FIRST_DAY_TAG: day(first), LAST_DAY_TAG: day(last), LANE_TAG: "history"},
            run_config=dg.RunConfig(loggers={"console": {"config": {"log_level": "ERROR"}}}),
            asset_selection=[dg.AssetKey(name) for name in (*STEPS, "quarantine")],
        )
        assert result.success

    def raw(self) -> list[dict[str, Any]]:
        return [row for place in range(DAYS + 1) for row in self.installation.rows(RAW_EVENTS, day(place))]

    def aside(self) -> Counter[tuple[str, str, str]]:
        """What was set aside, by lane, kind and reason."""
        rows = [row for place in range(DAYS + 1) for row in self.installation.rows(SET_ASIDE, day(place))]
        return Counter((row["lane"], row["kind"], row["reason"] if row["kind"] == "ignored" else "") for row in rows)


@pytest.fixture
def month(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Month:
    """An empty installation, a month of exports and the rules that fit them."""
    lines = [line for place in range(DAYS) for line in webhooks(place)]
    plan = Plan(datetime(2026, 10, 2, 3, tzinfo=ZONE), ZONE, renamed=True)
    exports = tmp_path / "exports"
    written = write_exports(exports, lines, plan)
    assert {name for _, name in written.events} >= {
        "transactionAdded",
        "pointsIssued",
        "pointsRedeemed",
        "tierUpgraded",
    }
    rules = tmp_path / "insights.yaml"
    rules.write_text(rules_of(plan, LIVE_FROM))
    settings = {
        "INSIGHTS_RULES": str(rules),
        "INSIGHTS_ORG_ID": str(ORG_ID),
        "INSIGHTS_WORK_FOLDER": str(tmp_path / "imports"),
        "INSIGHTS_SETTLE_SECONDS": "0",
        "HISTORY_START": "2026-08-01",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Month(installation, exports)


def webhooks_first(month: Month) -> None:
    month.land(0, DAYS - 1)
    month.backfill()
    month.import_all()


def export_first(month: Month) -> None:
    month.import_all()
    month.backfill()
    month.land(0, DAYS - 1)


def interleaved(month: Month) -> None:
    """Webhooks of every other day before the backfill of it, of the others behind it; the export comes on the second day."""
    for place in range(DAYS):
        if place == 1:
            month.import_all()
        if place % 2 == 0:
            month.micro_batch(place)
            month.backfill(max(0, place - 1), place)
        else:
            month.backfill(place, place)
            month.micro_batch(place)


@pytest.mark.parametrize("order", [webhooks_first, interleaved])
def test_a_month_told_twice_is_at_aep_once(
    month: Month, emulator: RunningEmulator, order: Callable[[Month], None]
) -> None:
    order(month)
    month.backfill()
    assert_told_once(month, emulator)


def test_a_month_told_by_the_export_first_is_at_aep_once_with_postgresql(
    month: Month, emulator: RunningEmulator
) -> None:
    with postgres_database() as url:
        month.installation.state_url, month.installation.state = url, State(url)
        try:
            export_first(month)
            month.backfill()
            assert_told_once(month, emulator)
        finally:
            month.installation.state.engine.dispose()


def assert_told_once(month: Month, emulator: RunningEmulator) -> None:
    """Every happening of the month is one record at AEP, by whichever lane, and another run changes nothing."""
    expected, cut_webhooks = happenings()
    at_aep = events(emulator.base_url)
    ids = [entity["_id"] for entity in at_aep]
    assert len(ids) == len(set(ids)), "sent twice"
    rows = {row["event_key"]: row for row in month.raw()}
    assert set(ids) == rows.keys()
    told = Counter((row["event_name"], row["customer_id"]) for row in rows.values())
    assert told == Counter((name, customer) for name, customer, _ in expected.values())
    for key, (name, customer, lane) in expected.items():
        # Under one key where both lanes share a name; of what is cut, each side of the watermark has its own.
        assert (key in rows) == (lane != "history"), (name, customer, lane)
    cut = [row for row in rows.values() if row["event_name"] in CUT]
    assert {row["lane"] for row in cut if row["created_ms"] < LIVE_FROM_MS} == {"history"}
    assert {row["lane"] for row in cut if row["created_ms"] >= LIVE_FROM_MS} == {"live"}
    aside = month.aside()
    assert aside["live", "ignored", "history_covers"] == cut_webhooks
    assert aside["history", "ignored", "live_covers"] == sum(row["created_ms"] >= LIVE_FROM_MS for row in cut)
    assert all(month.installation.balance(day(place)).balanced for place in range(DAYS + 1))
    month.backfill(DAYS // 2, DAYS // 2)
    assert len(events(emulator.base_url)) == len(at_aep)


def happenings() -> tuple[dict[str, Happening], int]:
    """Type, customer and the lane that counts for each happening that the webhooks tell, by the webhook's key.

    And how many webhooks give way to the export: Capillary sends some of them twice.
    """
    sorting, found = Sorting(CapillarySettings(), load_rules()), dict[str, Happening]()
    cut_webhooks = 0
    for place in range(DAYS):
        key = f"events/{day(place)}/23/1.jsonl"
        for record in read_records(BytesIO(b"\n".join(webhooks(place)))):
            try:
                event_type, envelope = sorting.event(record, "live")
                one = sorting.candidate(Origin("live", key, LATER_MS), record, event_type, envelope)
            except (NotAnEvent, NotDelivered):
                continue
            before = one.event_name in CUT and one.created_ms < LIVE_FROM_MS
            cut_webhooks += before
            found[one.event_key] = one.event_name, one.customer_id, "history" if before else "live"
    return found, cut_webhooks
