"""Calls at the shared pace: every request takes a turn, the breaker spares a Capillary that is down, and nothing blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from capillary_adobe.capillary.api.client import CapillaryApi, CapillaryApiError, TransientCapillaryApiError
from capillary_adobe.capillary.api.customers import CustomerApi
from capillary_adobe.capillary.api.errors import UnaskedCapillaryApiError
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.capillary.api.turns import lookup_pacer
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.pacing import CAPILLARY_API
from capillary_adobe.settings import CapillaryApiSettings
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe.state import Paces, State
from capillary_adobe.state.failed_calls import failed_calls_since
from capillary_adobe_tests.capillary.api.people import customer
from capillary_adobe_tests.capillary.api.server import ScriptedApi


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def scripted() -> Iterator[ScriptedApi]:
    with ScriptedApi() as one:
        yield one


def paced(settings: CapillaryApiSettings, state: State, per_minute: int = 600) -> CapillaryApi:
    lookups = LookupSettings(calls_per_minute=per_minute)
    return CapillaryApi(settings, AccessToken(settings), lookup_pacer(state, lookups, "live"))


def test_the_quota_is_never_exceeded_and_used_up_as_capillary_counts_it(state: State, tmp_path: Path) -> None:
    limit = 25
    with RunningCapillary(tmp_path / "capillary") as running:
        running.put("customers", customer(11))
        running.faults.add(kind="revoke_token", path="/v2/customers/", skip=5)
        running.faults.add(kind="status", path="/v2/customers/", status=521, times=3, skip=8)
        settings = CapillaryApiSettings(
            url=running.base_url,
            key=running.organisation.key,
            secret=running.organisation.secret,  # pyright: ignore[reportArgumentType] - pydantic wraps it
            retry_seconds=2,
        )
        # Two clients that share nothing but the database, as two runs do.
        apis = [CustomerApi(paced(settings, state, limit), LookupSettings()) for _ in range(2)]

        def ask(number: int) -> str:
            try:
                return apis[number % 2].one(11, time.monotonic() + 5).kind
            except UnaskedCapillaryApiError as error:
                return "used up" if "used up" in str(error) else str(error)

        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(ask, range(60)))
        assert running.rates() == (limit, limit, running.rates().most_in_a_minute)
    # The rest went for two tokens, one more that was revoked, and what was asked again.
    assert 10 < found.count("found") < limit - 3
    assert set(found) == {"found", "used up"}


def test_every_request_takes_a_turn_the_token_and_repeats_too(state: State, scripted: ScriptedApi) -> None:
    api = paced(scripted.settings(), state)
    scripted.script += [JSONResponse({}, 521), JSONResponse({}, 461)]
    api.get("/v2/customers/11")
    assert counted(state) == 4
    assert (scripted.tokens, len(scripted.asked)) == (1, 3)


def counted(state: State) -> int:
    with state.read() as connection:
        return connection.exec_driver_sql("select count(*) from calls").scalar_one()


def test_a_capillary_that_is_down_is_left_alone_and_nothing_waits_for_it(state: State, scripted: ScriptedApi) -> None:
    customers = CustomerApi(paced(scripted.settings(retry_seconds=0), state), LookupSettings())
    customers.one(1)
    scripted.script += [Response(status_code=500), HTMLResponse("<html>"), *[Response(status_code=503)] * 3]
    for _ in range(5):
        with pytest.raises(TransientCapillaryApiError, match="repeating did not help"):
            customers.one(1)
    asked = len(scripted.asked)
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(UnaskedCapillaryApiError, match=r"Capillary has not answered since .*next try at"):
            customers.one(1, time.monotonic() + 2)
    assert time.monotonic() - began < 2
    assert len(scripted.asked) == asked
    # Another run knows at once.
    with pytest.raises(UnaskedCapillaryApiError):
        CustomerApi(paced(scripted.settings(retry_seconds=0), state), LookupSettings()).one(1)


def test_answers_that_refuse_show_that_capillary_is_alive(state: State, scripted: ScriptedApi) -> None:
    customers = CustomerApi(paced(scripted.settings(retry_seconds=0), state), LookupSettings())
    four_thousand_one = JSONResponse({"errors": [{"code": 4001}]}, 503)
    for answer in (JSONResponse({}, 404), Response(status_code=521), JSONResponse({}, 461), four_thousand_one) * 3:
        scripted.script.append(answer)
        try:
            customers.one(1)
        except TransientCapillaryApiError:
            continue
    seen = Paces(state).look(CAPILLARY_API, time.time())
    assert seen is not None
    assert (seen.failures, seen.next_try, seen.paused_until) == (0, None, None)


def test_too_many_requests_makes_everybody_pause(state: State, scripted: ScriptedApi) -> None:
    customers = CustomerApi(paced(scripted.settings(retry_seconds=0), state), LookupSettings())
    scripted.script.append(Response(status_code=429, headers={"Retry-After": "30"}))
    with pytest.raises(TransientCapillaryApiError, match="status 429"):
        customers.one(1)
    with pytest.raises(UnaskedCapillaryApiError, match="Capillary asks to wait until"):
        customers.one(1, time.monotonic() + 5)
    assert len(scripted.asked) == 1


def test_who_is_in_a_hurry_does_not_take_a_slow_capillary_for_a_dead_one(state: State, scripted: ScriptedApi) -> None:
    customers = CustomerApi(paced(scripted.settings(retry_seconds=0), state), LookupSettings())
    customers.one(1)
    scripted.seconds = 0.6
    for _ in range(5):
        with pytest.raises(TransientCapillaryApiError):
            customers.one(1, time.monotonic() + 0.2)
    seen = Paces(state).look(CAPILLARY_API, time.time())
    assert seen is not None
    assert seen.failures == 0


def test_a_token_that_is_refused_counts_as_an_answer(state: State, scripted: ScriptedApi) -> None:
    wrong = scripted.settings(secret="other-secret", retry_seconds=0)
    for _ in range(6):
        with pytest.raises(Exception, match="CAPILLARY_API_SECRET"):
            paced(wrong, state).get("/v2/customers/11")
    seen = Paces(state).look(CAPILLARY_API, time.time())
    assert seen is not None
    assert (seen.failures, counted(state)) == (0, 6)


def test_what_fails_is_counted_by_class(state: State, scripted: ScriptedApi) -> None:
    api = paced(scripted.settings(retry_seconds=0), state)
    # Refused with a fresh token, too; the first 401 only showed that a token was old. After a 429 comes a pause.
    scripted.script += [Response(status_code=status) for status in (502, 404, 401, 403, 429)]
    for _ in range(4):
        with pytest.raises(CapillaryApiError):
            api.get("/v2/customers/11")
    counted = {(one.service, one.failure.value): one.times for one in failed_calls_since(state, "2020-01-01")}
    assert counted == {
        (CAPILLARY_API, "limits"): 1,
        (CAPILLARY_API, "network"): 1,
        (CAPILLARY_API, "authentication"): 1,
    }
