"""Entities that are held back: by no lane, by no plan and by no batch that was left open are they sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from capillary_adobe.adobe import Delivery, DeliveryCounts, TransientDeliveryError, Work
from capillary_adobe.adobe.delivery import ChosenRoute
from capillary_adobe.adobe.hold import HELD, OUTDATED, Hold
from capillary_adobe.adobe.plan import draw
from capillary_adobe.adobe.replay import refused_by_cause, reopen, standing
from capillary_adobe.adobe.status import COLUMNS, IN_DOUBT, ToSend, outcomes
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Receipt, Receipts, Route, SentBatches, Stage, State
from capillary_adobe.state.outcomes import Detail, Fate
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe_tests.adobe.sending import DAY, conformant, entity_id, settings_for
from capillary_adobe_tests.defs.installation import accepted

PAUSED = Hold({"pointsIssued": Stage.PAUSED}, {"pointsIssued": "a", "tierUpgraded": "b"}, frozenset({"pointsIssued"}))
LIVE = Hold({}, {"pointsIssued": "a", "tierUpgraded": "b"}, frozenset({"pointsIssued"}))


def day_of(count: int) -> pa.RecordBatch:
    """Entities, every other one of `pointsIssued`, the others of `tierUpgraded`."""
    listed = conformant(count).to_pylist()
    for place, row in enumerate(listed):
        name, rule = (("tierUpgraded", "b"), ("pointsIssued", "a"))[place % 2]
        row |= {"event_name": name, "rule": rule, "draft": False}
    return pa.RecordBatch.from_pylist(listed, schema=XDM_EVENTS.schema)


def ids_of(batch: pa.RecordBatch, name: str) -> set[str]:
    return {row["id"] for row in batch.to_pylist() if row["event_name"] == name}


def changed(batch: pa.RecordBatch, **values: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([row | values for row in batch.to_pylist()], schema=XDM_EVENTS.schema)


def held_work(batch: pa.RecordBatch, hold: Hold, route: ChosenRoute) -> Work:
    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield batch.select(columns)

    return Work(DAY, hold.passing(read), "history", route, None, hold.passing(read), hold.waiting(read))


def deliver(settings: AdobeSettings, state: State, work: Work) -> DeliveryCounts:
    return Delivery(settings, state).deliver(work, lambda _: None)


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path / "aep", behaviour=Behaviour(batch_seconds=0.05)) as running:
        yield running


@pytest.mark.parametrize("route", ["streaming", "batch"])
def test_what_is_held_is_sent_by_no_lane_and_follows_when_it_is_not(
    emulator: RunningEmulator, state: State, route: ChosenRoute
) -> None:
    batch, settings = day_of(40), settings_for(emulator.environment, batch_wait_seconds=20)
    plan = draw(settings, state, held_work(batch, PAUSED, route))
    assert (plan.to_send, plan.held, plan.held_by_event) == (20, 20, {"pointsIssued": 20})
    assert deliver(settings, state, held_work(batch, PAUSED, route)).outcomes == {"accepted": 20}
    assert {entity["_id"] for entity in accepted(emulator.base_url)} == ids_of(batch, "tierUpgraded")
    assert deliver(settings, state, held_work(batch, PAUSED, route)).sent == 0
    assert deliver(settings, state, held_work(batch, LIVE, route)).outcomes == {"accepted": 20}
    assert len(accepted(emulator.base_url)) == 40


@pytest.mark.parametrize("fault", ["complete", "upload"])
def test_a_batch_that_was_left_open_is_dropped_when_it_holds_what_is_held_now(
    emulator: RunningEmulator, state: State, fault: str
) -> None:
    batch, settings = day_of(40), settings_for(emulator.environment, batch_wait_seconds=20, retry_budget_seconds=0.1)
    how = {"method": "PUT"} if fault == "upload" else {"method": "POST", "skip": 1}
    emulator.faults.add(kind="status", status=503, path="/data/foundation/import", times=None, **how)
    with pytest.raises(TransientDeliveryError):
        deliver(settings, state, held_work(batch, LIVE, "batch"))
    emulator.faults.clear()
    (left,) = SentBatches(state).open(DAY)
    deliver(settings, state, held_work(batch, PAUSED, "batch"))
    assert {entity["_id"] for entity in accepted(emulator.base_url)} == ids_of(batch, "tierUpgraded")
    assert left.external_id not in {one.external_id for one in SentBatches(state).open(DAY)}
    deliver(settings, state, held_work(batch, LIVE, "batch"))
    arrived = Counter(entity["_id"] for entity in accepted(emulator.base_url))
    assert (len(arrived), max(arrived.values())) == (40, 1)


def test_one_without_any_is_taken_up_as_it_is(emulator: RunningEmulator, state: State) -> None:
    batch, settings = day_of(40), settings_for(emulator.environment, batch_wait_seconds=20, retry_budget_seconds=0.1)
    emulator.faults.add(kind="status", status=503, path="/data/foundation/import", times=None, method="POST", skip=1)
    with pytest.raises(TransientDeliveryError):
        deliver(settings, state, held_work(batch, PAUSED, "batch"))
    emulator.faults.clear()
    (left,) = SentBatches(state).open(DAY)
    counts = deliver(settings, state, held_work(batch, PAUSED, "batch"))
    assert counts.batches == [left.aep_id]
    assert counts.outcomes == {"accepted": 20}


def told(state: State, batch: pa.RecordBatch, hold: Hold) -> tuple[list[dict[str, Any]], Counter[ToSend]]:
    to_send: Counter[ToSend] = Counter()
    rows = [row for found in outcomes(state, DAY, [batch.select(COLUMNS)], to_send, hold) for row in found.to_pylist()]
    return rows, to_send


def test_what_is_held_is_pending_and_no_run_has_to_come_back_for_it(state: State) -> None:
    rows, to_send = told(state, day_of(4), PAUSED)
    assert [row["status"] for row in rows] == ["pending"] * 4
    assert [row["detail"].startswith(f"{HELD}its rule is paused") for row in rows] == [False, True, False, True]
    assert to_send == {ToSend("live-1", failed_with_batch=False): 2}


def test_what_another_rule_made_is_not_sent_and_a_run_has_to_come_back_for_it(state: State) -> None:
    for former in ({"rule": "z"}, {"rule": None}, {"rule": "a", "draft": True}):
        rows, to_send = told(state, changed(day_of(2), **former), LIVE)
        # The other event's rule was never published or paused: it counts as it is, unless a draft made the entity.
        other = OUTDATED if former.get("draft") else "Not sent yet; the next run sends it."
        assert [row["detail"] for row in rows] == [other, OUTDATED]
        assert to_send[ToSend("live-1", failed_with_batch=False, outdated=True)] == (2 if former.get("draft") else 1)


def test_what_aep_has_or_has_refused_stays_so_when_it_is_paused(state: State) -> None:
    batch = day_of(4)
    fates = [Fate.ACCEPTED, Fate.ACCEPTED, Fate.REJECTED, Fate.REJECTED]
    receipt = Receipt("r", DAY, "events", [entity_id(n) for n in range(4)], fates)
    Receipts(state).record(receipt)
    rows, to_send = told(state, batch, PAUSED)
    assert [row["status"] for row in rows] == ["accepted", "accepted", "rejected", "rejected"]
    assert to_send == {}


def test_what_was_on_its_way_when_it_was_paused_is_told_apart(state: State) -> None:
    ids = [entity_id(1), entity_id(3)]
    Receipts(state).record(Receipt("r", DAY, "events", ids, [Fate.UNKNOWN, Fate.FAILED]))
    rows, _ = told(state, day_of(4), PAUSED)
    assert [(row["detail"].startswith(HELD), row["detail"].endswith(IN_DOUBT)) for row in rows] == [
        (False, False),
        (True, True),
        (False, False),
        (True, False),
    ]


def test_a_replay_opens_nothing_that_is_held(state: State) -> None:
    batch = day_of(4)
    details = dict.fromkeys(range(4), Detail(400, "wrong", "aep_wrong_type:/a"))
    ids = [entity_id(n) for n in range(4)]
    Receipts(state).record(Receipt("v", DAY, "events", ids, [Fate.REJECTED] * 4, route=Route.VERDICT, details=details))
    held = held_work(batch, PAUSED, "auto").held
    wanted = ids_of(batch, "tierUpgraded")
    assert standing(state, DAY, "aep_wrong_type:/a", held) == wanted
    assert reopen(state, DAY, "aep_wrong_type:/a", held) == wanted
    assert refused_by_cause(state, DAY) == {"aep_wrong_type:/a": 2}
