"""Delivery: several connections, who is to blame for a refusal, and runs after runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import pytest
import requests
from starlette.responses import Response

from capillary_adobe.adobe import Delivery, PermanentDeliveryError, TransientDeliveryError, Work
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.emulators.behaviour import AnswerShape
from capillary_adobe.state import Outcome, State, StateError
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.scripted import (
    calling,
    hang_up,
    items,
    once_together,
    refuse_all,
    status,
    take_all,
)
from capillary_adobe_tests.adobe.sending import (
    DAY,
    deliver,
    entities,
    entity_id,
    rows,
    settings_for,
    status_of,
    tally,
    work,
)
from capillary_adobe_tests.emulators.platform_client import eventually

SMALL = {"max_request_bytes": 20_000}


@pytest.mark.parametrize("shape", get_args(AnswerShape))
def test_the_emulator_gets_each_entity_once_in_every_shape(tmp_path: Path, state: State, shape: AnswerShape) -> None:
    with RunningEmulator(tmp_path / "aep", behaviour=Behaviour(answer_shape=shape)) as emulator:
        settings = settings_for(emulator.environment, **SMALL)
        poison = [(entity_id(1000 + n), f'{{"_id":"{entity_id(1000 + n)}"}}') for n in range(3)]
        good, bad = entities(200), rows(poison)  # an entity without a timestamp is refused
        counts = deliver(settings, state, good.slice(0, 100), bad, good.slice(100))
        assert counts.outcomes == {"accepted": 200, "rejected": 3}
        again = deliver(settings, state, good, bad)
        assert (again.sent, again.already_settled) == (0, 203)
        summary = requests.get(f"{emulator.base_url}/summary.json", timeout=5).json()
    assert (summary["accepted"], summary["duplicates"], summary["rejected_messages"]) == (200, 0, 3)
    assert tally(state, good) == {"accepted": 200}
    assert tally(state, bad) == {"rejected": 3}
    assert "missing timestamp" in status_of(state, bad)[0]["detail"]


@pytest.mark.parametrize("connections", [1, 4])
def test_as_many_requests_fly_as_there_are_connections(state: State, scripted: StartInlet, connections: int) -> None:
    inlet = scripted(otherwise=once_together(connections)(take_all))
    batch = entities(200, padding=500)
    deliver(settings_for(inlet.environment, connections=connections, **SMALL), state, batch)
    assert inlet.most_at_once == connections
    assert len(inlet.asked) > 4
    assert inlet.token_requests == 1
    assert tally(state, batch) == {"accepted": 200}
    assert set(inlet.taken.values()) == {1}


def test_progress_is_told(state: State, scripted: StartInlet) -> None:
    inlet = scripted()
    told: list[str] = []
    counts = Delivery(settings_for(inlet.environment, **SMALL), state).deliver(work(entities(100)), told.append)
    assert told[-1] == f"100 entities sent in {counts.requests} requests"
    assert len(told) == counts.requests > 1


def test_whoever_stops_a_run_between_two_requests_waits_for_no_repeats(state: State, scripted: StartInlet) -> None:
    """The interrupt reaches the main thread, which may be telling how far it is, while other connections try again."""

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    together = once_together(2)
    inlet = scripted(together(take_all), together(status(503)), otherwise=status(503))
    settings = settings_for(inlet.environment, connections=2, retry_budget_seconds=20, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        Delivery(settings, state).deliver(work(entities(200, padding=500)), stop)
    assert len(inlet.asked) <= 3
    inlet.otherwise = take_all
    deliver(settings, state, entities(200, padding=500))
    assert set(inlet.taken.values()) == {1}


def test_nothing_to_send_asks_for_nothing(state: State, scripted: StartInlet) -> None:
    inlet = scripted()
    counts = deliver(settings_for(inlet.environment), state, entities(0))
    assert (counts.sent, counts.requests, inlet.token_requests, inlet.asked) == (0, 0, 0, [])
    deliver(settings_for(inlet.environment), state, entities(1))
    assert deliver(settings_for(inlet.environment), state, entities(0)).already_settled == 0


def test_one_delivery_can_be_used_again(state: State, scripted: StartInlet) -> None:
    inlet = scripted(status(503))
    delivery = Delivery(settings_for(inlet.environment, retry_budget_seconds=0), state)
    with pytest.raises(TransientDeliveryError):
        delivery.deliver(work(entities(5)), lambda _: None)
    delivery = Delivery(settings_for(inlet.environment), state)
    assert delivery.deliver(work(entities(5)), lambda _: None).outcomes == {"accepted": 5}
    assert delivery.deliver(work(entities(10)), lambda _: None).outcomes == {"accepted": 5}


def test_where_aep_takes_nothing_the_settings_are_blamed(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=refuse_all())
    settings = settings_for(inlet.environment, connections=1, **SMALL)
    batch = entities(200)
    with pytest.raises(PermanentDeliveryError, match=r"ADOBE_EVENTS_SCHEMA_ID.*ADOBE_EVENTS_DATASET_ID") as stopped:
        deliver(settings, state, batch)
    assert "unknown xdm format" in str(stopped.value)
    assert len(inlet.asked) == 3
    assert set(tally(state, batch)) == {"failed", "pending"}
    refused = [row for row in status_of(state, batch) if row["status"] == "failed"]
    assert {(row["code"], row["detail"]) for row in refused} == {(400, "Message has unknown xdm format")}
    inlet.otherwise = take_all
    deliver(settings, state, batch)
    assert tally(state, batch) == {"accepted": 200}


def test_where_aep_takes_others_the_records_are_condemned(state: State, scripted: StartInlet) -> None:
    inlet = scripted(refuse_all(), refuse_all(), otherwise=take_all)
    settings = settings_for(inlet.environment, connections=1, **SMALL)
    batch = entities(200)
    deliver(settings, state, batch)
    refused = {id_ for asked in inlet.asked[:2] for id_ in asked.ids}
    found = {row["id"]: row for row in status_of(state, batch)}
    assert {id_ for id_, row in found.items() if row["status"] == "rejected"} == refused
    assert {row["attempts"] for row in found.values()} == {1}
    assert deliver(settings, state, batch).sent == 0


def test_records_are_not_condemned_by_a_run_in_which_nothing_was_taken(state: State, scripted: StartInlet) -> None:
    inlet = scripted(items({"statusCode": 400}, {"statusCode": 503}), otherwise=status(503))
    settings = settings_for(inlet.environment, retry_budget_seconds=0.6)
    two = entities(2)
    with pytest.raises(TransientDeliveryError):
        deliver(settings, state, two)
    assert [row["status"] for row in status_of(state, two)] == ["failed", "pending"]


def test_a_stop_for_one_request_keeps_the_receipts_of_the_others(state: State, scripted: StartInlet) -> None:
    together = once_together(4)
    inlet = scripted(together(status(404)), *[together(take_all)] * 3, otherwise=status(404))
    settings = settings_for(inlet.environment, connections=4, **SMALL)
    batch = entities(400)
    with pytest.raises(PermanentDeliveryError, match="404"):
        deliver(settings, state, batch)
    accepted = {row["id"] for row in status_of(state, batch) if row["status"] == "accepted"}
    assert accepted == set(inlet.taken)
    assert accepted
    inlet.otherwise = take_all
    deliver(settings, state, batch)
    assert set(inlet.taken.values()) == {1}
    assert len(inlet.taken) == 400


def test_a_token_lost_half_way_keeps_what_was_acknowledged(state: State, scripted: StartInlet) -> None:
    inlet = scripted(take_all, items(None, {"status": 429}), status(401), otherwise=status(401))
    settings = settings_for(inlet.environment, connections=1, **SMALL)
    batch = entities(60, padding=500)
    refused = Response('{"error": "invalid_client"}', status_code=400)
    inlet.script[2] = calling(lambda: inlet.tokens.append(refused), status(401))
    with pytest.raises(PermanentDeliveryError, match="ADOBE_CLIENT_SECRET"):
        deliver(settings, state, batch)
    accepted = {row["id"] for row in status_of(state, batch) if row["status"] == "accepted"}
    assert accepted == set(inlet.taken)
    assert accepted
    inlet.otherwise = take_all
    deliver(settings, state, batch)
    assert len(inlet.taken) == 60
    assert set(inlet.taken.values()) == {1}


def test_without_any_answer_the_receipt_tells_so(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=hang_up(after_taking=False))
    with pytest.raises(TransientDeliveryError, match="No answer"):
        deliver(settings_for(inlet.environment, retry_budget_seconds=0), state, entities(3))
    assert {(row["status"], row["doubtful"], row["attempts"]) for row in status_of(state, entities(3))} == {
        (Outcome.PENDING, 1, 1)
    }
    assert {row["detail"] for row in status_of(state, entities(3))} == {
        "No answer from AEP (ConnectionError); to be sent again."
    }


def test_a_state_database_that_fails_stops_delivery(state: State, scripted: StartInlet, tmp_path: Path) -> None:
    def break_it() -> None:
        with state.engine.connect() as connection:
            connection.exec_driver_sql("DROP TABLE receipts")
            connection.commit()

    inlet = scripted(calling(break_it))
    with pytest.raises(StateError, match="STATE_URL"):
        deliver(settings_for(inlet.environment, connections=1, **SMALL), state, entities(400))
    assert len(inlet.asked) <= 2


def test_the_iterator_of_entities_fails_with_its_own_error(state: State, scripted: StartInlet) -> None:
    class OwnError(Exception):
        pass

    def failing():
        yield entities(100)
        raise OwnError

    inlet = scripted()
    failing_work = Work(DAY, lambda _: failing())
    with pytest.raises(OwnError):
        Delivery(settings_for(inlet.environment, **SMALL), state).deliver(failing_work, lambda _: None)
    accepted = {row["id"] for row in status_of(state, entities(100)) if row["status"] == "accepted"}
    assert accepted == set(inlet.taken)


def test_a_delivery_that_stopped_for_fear_of_the_settings_does_not_pass_for_done(
    state: State, scripted: StartInlet
) -> None:
    together = once_together(4)
    batch = entities(400)

    def three_are_refused() -> None:
        eventually(
            lambda: len({row["request_id"] for row in status_of(state, batch) if row["status"] == "failed"}) == 3
        )

    # A connection that is done with its refusal goes on at once: what it sends must not be taken before the third refusal.
    later = calling(three_are_refused)
    inlet = scripted(*[together(refuse_all())] * 3, together(later), otherwise=later)
    settings = settings_for(inlet.environment, connections=4, **SMALL)
    with pytest.raises(TransientDeliveryError, match="stays pending"):
        deliver(settings, state, batch)
    assert tally(state, batch)["pending"] > 0
    inlet.otherwise = take_all
    deliver(settings, state, batch)
    assert set(tally(state, batch)) == {"accepted", "rejected"}


def test_an_answer_that_trickles_is_not_waited_for_to_its_end(tmp_path: Path, state: State) -> None:
    with RunningEmulator(tmp_path / "aep") as emulator:
        emulator.faults.add(kind="slow_body", path="/collection", seconds=30)
        began = time.monotonic()
        counts = deliver(settings_for(emulator.environment, timeout_seconds=0.5), state, entities(5))
        assert time.monotonic() - began < 10
    assert counts.outcomes == {"accepted": 5}
    # Its beginning had come, and what it would have said is not known.
    assert {row["doubtful"] for row in status_of(state, entities(5))} == {1}
