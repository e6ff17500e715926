"""Every answer of the inlet: what becomes of the entities, and that nothing acknowledged goes again."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pytest

from capillary_adobe.adobe import PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.state import Receipts, State
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.scripted import (
    Answer,
    ScriptedInlet,
    calling,
    hang_up,
    items,
    keep_waiting,
    refuses,
    status,
    take_all,
    too_large,
    too_many_messages,
)
from capillary_adobe_tests.adobe.sending import DAY, deliver, entities, entity_id, settings_for, status_of, tally

IDS = [entity_id(number) for number in range(5)]
FIVE = entities(5)


def sends_nothing_more(inlet: ScriptedInlet, state: State, batch: pa.RecordBatch) -> bool:
    asked = len(inlet.asked)
    counts = deliver(settings_for(inlet.environment), state, batch)
    return len(inlet.asked) == asked and counts.sent == 0 and counts.already_settled == batch.num_rows


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(status(429), id="429"),
        pytest.param(status(429, retry_after="0"), id="429-at-once"),
        pytest.param(status(429, retry_after="soon"), id="429-unreadable-wait"),
        pytest.param(status(503), id="503"),
        pytest.param(status(500, b"<html>"), id="500"),
        pytest.param(status(408), id="408"),
        pytest.param(hang_up(after_taking=False), id="cut-before"),
        pytest.param(items(body=b""), id="207-empty"),
        pytest.param(items(body=b"<html>"), id="207-not-json"),
        pytest.param(items(body=b"[]"), id="207-no-object"),
        pytest.param(items(body=b'{"responses": null}'), id="207-no-items"),
        pytest.param(items(body=b'{"responses": [1, 2, null, [], "x"]}'), id="207-items-of-nothing"),
    ],
)
def test_a_passing_fault_only_delays(state: State, scripted: StartInlet, answer: Answer) -> None:
    inlet = scripted(answer)
    counts = deliver(settings_for(inlet.environment), state, FIVE)
    assert counts.outcomes == {"accepted": 5}
    assert [asked.ids for asked in inlet.asked] == [IDS, IDS]
    assert inlet.taken == dict.fromkeys(IDS, 1)
    assert tally(state, FIVE) == {"accepted": 5}
    assert sends_nothing_more(inlet, state, FIVE)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hang_up(after_taking=True), id="cut-after"),
        pytest.param(keep_waiting, id="too-slow"),
        pytest.param(items(taken=(0, 1, 2, 3, 4), body=b"\xff"), id="unreadable"),
    ],
)
def test_a_lost_answer_makes_the_same_ids_go_again(state: State, scripted: StartInlet, answer: Answer) -> None:
    inlet = scripted(answer)
    deliver(settings_for(inlet.environment, timeout_seconds=0.3), state, FIVE)
    assert inlet.taken == dict.fromkeys(IDS, 2)
    assert inlet.asked[0].body == inlet.asked[1].body
    assert tally(state, FIVE) == {"accepted": 5}
    assert sends_nothing_more(inlet, state, FIVE)


def test_the_wait_that_aep_asks_for_is_kept(state: State, scripted: StartInlet) -> None:
    inlet = scripted(status(503, retry_after="1"))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert 1.0 <= inlet.asked[1].at - inlet.asked[0].at < 3


def test_a_wait_longer_than_the_budget_is_left_to_the_next_run(state: State, scripted: StartInlet) -> None:
    inlet = scripted(status(429, retry_after="3600"))
    began = time.monotonic()
    with pytest.raises(TransientDeliveryError, match="429"):
        deliver(settings_for(inlet.environment), state, FIVE)
    assert time.monotonic() - began < 10
    assert tally(state, FIVE) == {"pending": 5}
    assert {row["code"] for row in status_of(state, FIVE)} == {429}


def test_a_wait_of_nothing_is_no_licence_to_hammer(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=status(429, retry_after="0"))
    with pytest.raises(TransientDeliveryError):
        deliver(settings_for(inlet.environment, retry_budget_seconds=0.8), state, FIVE)
    assert 2 <= len(inlet.asked) <= 4


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(status(503), id="503"),
        pytest.param(hang_up(after_taking=False), id="cut"),
        pytest.param(keep_waiting, id="slow"),
    ],
)
def test_a_lasting_fault_leaves_everything_pending_for_the_next_run(
    state: State, scripted: StartInlet, answer: Answer
) -> None:
    inlet = scripted(otherwise=answer)
    settings = settings_for(inlet.environment, retry_budget_seconds=0, timeout_seconds=0.3)
    with pytest.raises(TransientDeliveryError, match="ADOBE_RETRY_BUDGET_SECONDS"):
        deliver(settings, state, FIVE)
    assert tally(state, FIVE) == {"pending": 5}
    inlet.otherwise = take_all
    before = len(inlet.asked)
    # What AEP asked of the first run holds for the next one too.
    deliver(settings_for(inlet.environment), state, FIVE)
    assert [asked.ids for asked in inlet.asked[before:]] == [IDS]
    assert tally(state, FIVE) == {"accepted": 5}


def test_a_request_that_is_too_large_is_halved_until_it_passes(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=too_many_messages(1))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert inlet.taken == dict.fromkeys(IDS, 1)
    assert tally(state, FIVE) == {"accepted": 5}
    assert sends_nothing_more(inlet, state, FIVE)


def test_an_entity_too_large_by_itself_is_rejected_for_good(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=too_large(IDS[3]))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert [row["status"] for row in status_of(state, FIVE)] == ["accepted"] * 3 + ["rejected", "accepted"]
    assert status_of(state, FIVE)[3]["code"] == 413
    assert set(inlet.taken) == {*IDS} - {IDS[3]}
    assert sends_nothing_more(inlet, state, FIVE)


def test_a_lone_entity_that_is_too_large_is_not_blamed_on_the_settings(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=too_large(IDS[0]))
    one = entities(1)
    deliver(settings_for(inlet.environment), state, one)
    assert tally(state, one) == {"rejected": 1}


def test_splitting_the_rest_of_a_request_sends_nothing_accepted_again(state: State, scripted: StartInlet) -> None:
    busy = {"statusCode": 429, "message": "busy"}
    inlet = scripted(items(None, busy, busy, None, busy), otherwise=too_many_messages(1))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert inlet.taken == dict.fromkeys(IDS, 1)
    assert tally(state, FIVE) == {"accepted": 5}


@pytest.mark.parametrize("code", [401, 403])
def test_a_stale_token_is_replaced_and_the_request_repeated_once(state: State, scripted: StartInlet, code: int) -> None:
    inlet = scripted(status(code))
    deliver(settings_for(inlet.environment, retry_budget_seconds=0), state, FIVE)
    assert [asked.token for asked in inlet.asked] == ["token-1", "token-2"]
    assert tally(state, FIVE) == {"accepted": 5}


@pytest.mark.parametrize(
    ("code", "asks", "setting"),
    [
        (401, 2, "ADOBE_CLIENT_ID"),
        (403, 2, "address is allowed"),
        (501, 1, "docs/troubleshooting.md"),
        (409, 1, "docs/troubleshooting.md"),
        (404, 1, "ADOBE_INLET_URL"),
        (415, 1, "ADOBE_INLET_URL"),
        (302, 1, "docs/troubleshooting.md"),
    ],
)
def test_a_wrong_setting_stops_delivery_and_condemns_nothing(
    state: State, scripted: StartInlet, code: int, asks: int, setting: str
) -> None:
    inlet = scripted(otherwise=status(code, location="http://127.0.0.1:1/"))
    settings = settings_for(inlet.environment, connections=1, max_request_bytes=20_000)
    many = entities(60, padding=1000)
    with pytest.raises(PermanentDeliveryError, match=str(code)) as stopped:
        deliver(settings, state, many)
    assert setting in str(stopped.value)
    assert "demo-secret" not in str(stopped.value)
    assert "token-" not in str(stopped.value)
    assert len(inlet.asked) == asks
    assert set(tally(state, many)) == {"failed", "pending"}
    inlet.otherwise = take_all
    deliver(settings, state, many)
    assert tally(state, many) == {"accepted": 60}
    assert set(inlet.taken.values()) == {1}


@pytest.mark.parametrize(
    ("listed", "again", "rejected"),
    [
        pytest.param([None, {"statusCode": 400, "message": "m"}, None, None, None], [], [1], id="tutorial"),
        pytest.param(
            [{"xactionId": f"a-{n}"} | ({"status": 422, "message": "m"} if n == 4 else {}) for n in range(5)],
            [],
            [4],
            id="sink",
        ),
        pytest.param([{"xactionId": "no number"}] * 5, [], [], id="no-indices"),
        pytest.param([{"xactionId": f"a:{n}"} for n in range(1, 6)], [], [], id="counted-from-one"),
        pytest.param(
            [{"xactionId": f"a-{n}"} | ({"status": "400"} if n == 0 else {}) for n in (4, 3, 2, 1, 0)],
            [],
            [0],
            id="indices-before-positions",
        ),
        pytest.param([None, {"status": 500}, {"statusCode": 429}, {"status": 503}, None], [1, 2, 3], [], id="for-now"),
        pytest.param([None, {}, None, None, None], [1], [], id="item-without-anything"),
        pytest.param([{"xactionId": "a-0"}, {"xactionId": "a-3"}], [1, 2, 4], [], id="fewer-with-indices"),
        pytest.param(
            [{"xactionId": "a:0"}, {"statusCode": 400}, {"xactionId": "a:4"}], [1, 2, 3], [], id="fewer-mixed"
        ),
        pytest.param([{"xactionId": "x"}] * 3, [0, 1, 2, 3, 4], [], id="fewer-without-indices"),
        pytest.param([{"xactionId": "a-1"}, {"xactionId": "a-1"}], [0, 1, 2, 3, 4], [], id="index-twice"),
        pytest.param([{"xactionId": "x"}] * 6, [0, 1, 2, 3, 4], [], id="more-than-sent"),
    ],
)
def test_items_are_matched_to_their_messages(
    state: State, scripted: StartInlet, listed: list[dict[str, Any] | None], again: list[int], rejected: list[int]
) -> None:
    inlet = scripted(items(*[{"xactionId": f"1:1:1:{n}"} if i is None else i for n, i in enumerate(listed)]))
    counts = deliver(settings_for(inlet.environment), state, FIVE)
    assert [asked.ids for asked in inlet.asked[1:]] == ([[IDS[place] for place in again]] if again else [])
    expected = ["rejected" if place in rejected else "accepted" for place in range(5)]
    assert [row["status"] for row in status_of(state, FIVE)] == expected
    assert counts.outcomes.total() == 5
    assert sends_nothing_more(inlet, state, FIVE)


def test_words_and_code_of_a_refusal_are_kept(state: State, scripted: StartInlet) -> None:
    inlet = scripted(items(None, {"status": 400, "report": {"message": "wrong org"}}, None, None, None))
    deliver(settings_for(inlet.environment), state, FIVE)
    refused = status_of(state, FIVE)[1]
    assert (refused["status"], refused["code"], refused["detail"]) == ("rejected", 400, "wrong org")
    taken = status_of(state, FIVE)[0]
    assert taken["aep_id"].startswith("1:")
    assert (taken["code"], taken["detail"], taken["attempts"]) == (None, None, 1)


def test_an_acknowledgement_has_its_receipt_before_the_rest_is_repeated(state: State, scripted: StartInlet) -> None:
    known: list[list[str | None]] = []

    def look() -> None:
        receipts = Receipts(state).of_day(DAY).known(IDS)
        known.append([receipt.outcome if receipt else None for receipt in receipts])

    inlet = scripted(items(None, {"status": 429}, None, {"status": 400}, None), calling(look))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert known == [["accepted", "pending", "accepted", "rejected", "accepted"]]


@pytest.mark.parametrize("code", [400, 422])
def test_a_request_refused_as_a_whole_is_halved_until_the_record_at_fault_stands_alone(
    state: State, scripted: StartInlet, code: int
) -> None:
    inlet = scripted(otherwise=refuses(code, IDS[3]))
    deliver(settings_for(inlet.environment), state, FIVE)
    found = status_of(state, FIVE)
    assert [row["status"] for row in found] == ["accepted"] * 3 + ["rejected", "accepted"]
    assert (found[3]["code"], found[3]["detail"], found[3]["cause"]) == (
        code,
        "Message has unknown xdm format",
        f"aep_refused:{code}",
    )
    assert inlet.taken == dict.fromkeys({*IDS} - {IDS[3]}, 1)
    assert sends_nothing_more(inlet, state, FIVE)


def test_where_every_request_is_refused_as_a_whole_no_record_is_condemned(state: State, scripted: StartInlet) -> None:
    inlet = scripted(otherwise=status(400))
    many = entities(100)
    with pytest.raises(PermanentDeliveryError, match=r"ADOBE_ORG_ID.*ADOBE_EVENTS_SCHEMA_ID"):
        deliver(settings_for(inlet.environment, connections=1), state, many)
    # Three lone messages, and the larger and larger requests on the way to them.
    assert len(inlet.asked) <= 12
    assert set(tally(state, many)) == {"failed", "pending"}
    inlet.otherwise = take_all
    deliver(settings_for(inlet.environment), state, many)
    assert inlet.taken == dict.fromkeys([entity_id(n) for n in range(100)], 1)


def test_a_lost_answer_is_named_in_the_ledger(state: State, scripted: StartInlet) -> None:
    inlet = scripted(hang_up(after_taking=True))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert [(row["status"], row["doubtful"], row["attempts"]) for row in status_of(state, FIVE)] == [
        ("accepted", 1, 1)
    ] * 5
    assert Receipts(state).of_day(DAY).maybe_twice() == 5


@pytest.mark.parametrize("fault", [status(429), status(503), status(401), too_many_messages(1)])
def test_an_answer_that_tells_leaves_no_doubt(state: State, scripted: StartInlet, fault: Answer) -> None:
    inlet = scripted(fault)
    deliver(settings_for(inlet.environment), state, FIVE)
    assert Receipts(state).of_day(DAY).maybe_twice() == 0
    assert {row["doubtful"] for row in status_of(state, FIVE)} == {0}


def test_messages_without_an_item_are_in_doubt_and_those_with_one_are_not(state: State, scripted: StartInlet) -> None:
    inlet = scripted(items({"xactionId": "a-0"}, {"xactionId": "a-3"}, taken=(1, 2, 4)))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert [row["doubtful"] for row in status_of(state, FIVE)] == [0, 1, 1, 0, 1]
    assert Receipts(state).of_day(DAY).maybe_twice() == 3


def test_a_request_is_in_the_ledger_before_it_leaves(state: State, scripted: StartInlet) -> None:
    seen: list[tuple[str, int] | None] = []

    def look() -> None:
        known = Receipts(state).of_day(DAY).known(IDS)
        seen.extend((one.outcome.value, one.doubtful) if one else None for one in known)

    inlet = scripted(calling(look))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert seen == [("pending", 1)] * 5


@pytest.mark.parametrize("body", [b'{"retryAfterMs": 1000}', b'[{"message": "m", "retryAfterMs": "1000"}]'])
def test_a_wait_asked_for_in_the_body_is_kept(state: State, scripted: StartInlet, body: bytes) -> None:
    inlet = scripted(status(429, body))
    deliver(settings_for(inlet.environment), state, FIVE)
    assert 1.0 <= inlet.asked[1].at - inlet.asked[0].at < 3


def test_a_token_that_expires_twice_while_a_request_is_repeated_is_replaced_twice(
    state: State, scripted: StartInlet
) -> None:
    inlet = scripted(status(401), status(503), status(401), take_all)
    deliver(settings_for(inlet.environment), state, FIVE)
    assert [asked.token for asked in inlet.asked] == ["token-1", "token-2", "token-2", "token-3"]
    assert tally(state, FIVE) == {"accepted": 5}
