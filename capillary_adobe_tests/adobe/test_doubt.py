"""Answers that leave open whether AEP took a message: where it did, the repeat is named in the ledger.

The emulator answers with an error only where it took nothing. This inlet takes everything and answers with an error all
the same, as a gateway in front of a slow service does.
"""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.adobe import DeliveryError
from capillary_adobe.state import Receipts, State
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.scripted import Answer, Asked, ScriptedInlet, items, status
from capillary_adobe_tests.adobe.sending import DAY, deliver, entities, settings_for, status_of

FIVE = entities(5)
IDS = FIVE.column("id").to_pylist()


def taken_and_answered(code: int) -> Answer:
    """Everything is taken, and the answer says something else."""

    async def answer(inlet: ScriptedInlet, asked: Asked, _request: Request) -> Response:
        inlet.taken.update(asked.ids)
        return Response(status_code=code)

    return answer


def deliver_until_done(inlet: ScriptedInlet, state: State) -> None:
    for _ in range(2):
        try:
            deliver(settings_for(inlet.environment, retry_budget_seconds=5), state, FIVE)
        except DeliveryError:
            continue
        return


def doubtful(state: State) -> dict[str, int]:
    return {row["id"]: row["doubtful"] for row in status_of(state, FIVE) if row["doubtful"]}


@pytest.mark.parametrize("code", [202, 204, 408, 500, 502, 504, 507, 520, 522, 524, 598])
def test_a_request_that_was_taken_in_spite_of_its_answer(state: State, scripted: StartInlet, code: int) -> None:
    inlet = scripted(taken_and_answered(code))
    deliver_until_done(inlet, state)
    assert inlet.taken == dict.fromkeys(IDS, 2)
    assert doubtful(state) == dict.fromkeys(IDS, 1)
    assert Receipts(state).of_day(DAY).maybe_twice() == 5
    assert {row["status"] for row in status_of(state, FIVE)} == {"accepted"}


@pytest.mark.parametrize(
    "item", [{}, {"status": 500}, {"statusCode": 502}, {"status": "504"}, {"status": 408}], ids=str
)
def test_a_message_that_was_taken_in_spite_of_its_item(
    state: State, scripted: StartInlet, item: dict[str, Any]
) -> None:
    inlet = scripted(items(None, item, None, item, None, taken=(1, 3)))
    deliver_until_done(inlet, state)
    assert {id_ for id_, times in inlet.taken.items() if times > 1} == {IDS[1], IDS[3]}
    assert doubtful(state) == {IDS[1]: 1, IDS[3]: 1}
    assert Receipts(state).of_day(DAY).maybe_twice() == 2


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 429, 501, 503])
def test_a_refusal_leaves_no_doubt(state: State, scripted: StartInlet, code: int) -> None:
    inlet = scripted(status(code))
    deliver_until_done(inlet, state)
    assert inlet.taken == dict.fromkeys(IDS, 1)
    assert doubtful(state) == {}
