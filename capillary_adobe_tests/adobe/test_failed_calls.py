"""Failed calls to AEP are counted by class, also those that went well in the end; what a record is to blame for is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from starlette.responses import JSONResponse, Response

from capillary_adobe.adobe import DeliveryError
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.state import State
from capillary_adobe.state.failed_calls import FailedCalls, failed_calls_since
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.platform_server import ScriptedPlatform
from capillary_adobe_tests.adobe.platform_server import status as says_status
from capillary_adobe_tests.adobe.scripted import Answer, hang_up, items, status
from capillary_adobe_tests.adobe.sending import deliver, entities, settings_for

PATH = "/data/foundation/catalog/batches"


def counted(state: State) -> dict[tuple[str, str], int]:
    return {(one.service, one.failure.value): one.times for one in failed_calls_since(state, "2020-01-01")}


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (status(429), "limits"),
        (status(503), "network"),
        (status(504), "network"),
        (hang_up(after_taking=False), "network"),
        (status(401), "authentication"),
        (status(403), "authentication"),
        (status(404), "other"),
        (status(400), None),
        (None, None),
    ],
)
def test_the_inlets_answers_are_sorted(
    scripted: StartInlet, state: State, answer: Answer | None, failure: str | None
) -> None:
    inlet = scripted(otherwise=answer)
    with suppress(DeliveryError):
        deliver(settings_for(inlet.environment, retry_budget_seconds=0), state, entities(1))
    assert counted(state) == ({("inlet", failure): 1} if failure else {})


def test_what_went_well_when_it_was_repeated_is_counted_too(scripted: StartInlet, state: State) -> None:
    # An old token is no failure, a fresh one is at hand.
    inlet = scripted(status(401), status(503), items({"status": 429}))
    assert deliver(settings_for(inlet.environment), state, entities(1)).outcomes["accepted"] == 1
    assert counted(state) == {("inlet", "network"): 1, ("inlet", "limits"): 1}


@pytest.mark.parametrize(("code", "failure"), [(400, "authentication"), (503, "network")])
def test_a_call_without_a_token_is_counted(scripted: StartInlet, state: State, code: int, failure: str) -> None:
    inlet = scripted()
    answers: list[Response] = [JSONResponse({"error": "invalid_client"}, code) for _ in range(8)]
    inlet.tokens.extend(answers)
    with pytest.raises(DeliveryError):
        deliver(settings_for(inlet.environment, retry_budget_seconds=0), state, entities(1))
    assert counted(state) == {("inlet", failure): 1}


@pytest.fixture(scope="module")
def platform() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


@pytest.mark.parametrize(
    ("code", "failure"),
    [(401, "authentication"), (429, "limits"), (502, "network"), (415, "other"), (404, None), (409, None)],
)
def test_answers_of_the_platform_are_sorted(
    platform: ScriptedPlatform, state: State, code: int, failure: str | None
) -> None:
    platform.follow(otherwise=says_status(code))
    settings = platform.settings(retry_budget_seconds=0)
    client = Platform(settings, AccessToken(settings), failed_calls=FailedCalls(state, "platform"))
    with pytest.raises(DeliveryError):
        client.call("GET", PATH)
    assert counted(state) == ({("platform", failure): 1} if failure else {})
