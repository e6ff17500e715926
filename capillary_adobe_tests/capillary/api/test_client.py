"""The client of Capillary's API over real HTTP: tokens, tries, envelopes and what is told of a failure."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from capillary_adobe.capillary.api.client import (
    CapillaryApi,
    CapillaryApiError,
    PermanentCapillaryApiError,
    TransientCapillaryApiError,
    UnansweredCapillaryApiError,
    content,
)
from capillary_adobe.capillary.api.token import AccessToken, shared_token
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.settings import CapillaryApiSettings, SettingsError
from capillary_adobe_tests.capillary.api.server import GOOD, ScriptedApi

PATH = "/v2/customers/4711"
WHO = "asha@example.com"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as one:
        yield one


def posted(client: CapillaryApi, path: str = PATH, body: Any = None) -> Any:
    """The answer to a call that must not be repeated blindly."""
    return client.call("POST", path, json=body or {}, repeat_unanswered=False)


def error(status: int, *codes: int) -> Response:
    return JSONResponse(
        {"data": None, "errors": [{"code": code, "message": f"of customer {WHO}"} for code in codes]}, status
    )


def test_a_call_carries_token_parameters_and_body(api: ScriptedApi) -> None:
    client = api.client()
    assert client.get(PATH, {"source": "INSTORE"}) == GOOD
    assert client.call("PUT", PATH, json={"a": 1}) == posted(client) == GOOD
    assert [one.method for one in api.asked] == ["GET", "PUT", "POST"]
    assert str(api.asked[0].url.query) == "source=INSTORE"
    assert api.presented == ["t1"] * 3


@pytest.mark.parametrize(
    ("body", "inner"),
    [
        ({"data": [1], "errors": None}, [1]),
        ({"data": [], "errors": []}, []),
        ({"data": None, "errors": None}, None),
        ({"entity": {"id": 2}, "warnings": [{"code": 91001}]}, {"id": 2}),
        ({"data": {"ok": 1}, "errors": [{"code": 8015}]}, {"ok": 1}),
        ({"response": {"status": {}}}, {"response": {"status": {}}}),
        ([1, 2], [1, 2]),
    ],
)
def test_envelopes(api: ScriptedApi, body: Any, inner: Any) -> None:
    api.script.append(JSONResponse(body))
    got = api.client().get(PATH)
    assert (got, content(got)) == (body, inner)


def test_an_answer_without_content_is_a_success(api: ScriptedApi) -> None:
    api.script.append(Response(status_code=204))
    assert api.client().get(PATH) == {}


@pytest.mark.parametrize("status", [408, 429, 461, 500, 502, 503, 521])
def test_what_passes_is_repeated(api: ScriptedApi, status: int) -> None:
    api.script.append(Response(status_code=status))
    assert api.client().get(PATH) == GOOD
    assert len(api.asked) == 2


def test_errors_in_a_200_are_judged_by_their_code(api: ScriptedApi) -> None:
    api.script.extend([error(200, 521), error(200, 4001)])
    assert posted(api.client()) == GOOD
    api.script.extend([error(200, 8015)])
    with pytest.raises(PermanentCapillaryApiError, match="code 8015") as refused:
        api.client().get(PATH)
    assert (refused.value.status, refused.value.codes) == (200, (8015,))


def test_the_pause_that_is_asked_for_is_kept_and_one_beyond_the_budget_is_not_waited_for(api: ScriptedApi) -> None:
    api.script.append(Response(status_code=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    api.client().get(PATH)
    assert 1.0 <= time.monotonic() - began < 3

    api.script.append(Response(status_code=429, headers={"Retry-After": "3600"}))
    began = time.monotonic()
    with pytest.raises(TransientCapillaryApiError, match="CAPILLARY_API_RETRY_SECONDS=5"):
        api.client().get(PATH)
    assert time.monotonic() - began < 1


def test_pauses_grow_and_the_last_try_comes_when_the_budget_ends(api: ScriptedApi) -> None:
    api.script.extend(Response(status_code=503) for _ in range(50))
    began = time.monotonic()
    with pytest.raises(TransientCapillaryApiError):
        api.client(retry_seconds=1.2).get(PATH)
    # Not before: who has used up the requests of a minute is let in when it is over.
    assert 1.2 <= time.monotonic() - began < 1.5
    assert 3 <= len(api.asked) <= 5


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=500),
        Response(status_code=502),
        HTMLResponse("<html>sign in</html>"),
        Response(status_code=504),
    ],
)
def test_a_post_whose_effect_is_unknown_is_not_repeated(api: ScriptedApi, answer: Response) -> None:
    api.script.append(answer)
    with pytest.raises(UnansweredCapillaryApiError, match="Look before you repeat it"):
        posted(api.client())
    assert len(api.asked) == 1


@pytest.mark.parametrize("status", [429, 461, 503, 521])
def test_a_post_that_was_put_off_is_repeated(api: ScriptedApi, status: int) -> None:
    api.script.append(Response(status_code=status))
    assert posted(api.client()) == GOOD


def test_a_lost_answer_is_repeated_for_a_put_and_not_for_a_post(tmp_path: Path) -> None:
    with RunningCapillary(tmp_path) as capillary:
        settings = CapillaryApiSettings(
            url=capillary.base_url,
            key=capillary.organisation.key,
            secret=capillary.organisation.secret,  # pyright: ignore[reportArgumentType]
        )
        client = CapillaryApi(settings, AccessToken(settings))
        record = capillary.subscribe(webHookUrl="http://127.0.0.1:9/")
        capillary.faults.add(kind="reset_after", method="PUT")
        assert client.call("PUT", f"/v3/webHooks/{record['webHookId']}", json=record)
        capillary.faults.add(kind="reset_after", method="POST", path="/v3/webHooks")
        with pytest.raises(UnansweredCapillaryApiError):
            posted(client, "/v3/webHooks", record | {"name": "second"})
        assert [one["name"] for one in capillary.webhooks()] == ["test", "second"]


def test_what_never_left_may_be_repeated_even_for_a_post(api: ScriptedApi) -> None:
    settings = api.settings(retry_seconds=0)
    token = AccessToken(settings)
    token.value()
    client = CapillaryApi(settings.model_copy(update={"url": "http://127.0.0.1:9"}), token)
    with pytest.raises(TransientCapillaryApiError) as lost:
        posted(client)
    assert not isinstance(lost.value, UnansweredCapillaryApiError)
    assert lost.value.__cause__ is not None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (error(400, 51003), "CAPILLARY_WEBHOOK_EVENTS"),
        (error(403, 4000), "right it needs"),
        (Response(status_code=404), "CAPILLARY_API_URL is the cluster"),
        (Response(status_code=302, headers={"Location": "/elsewhere"}), "Look the code up"),
        (JSONResponse({"errorCode": 4000}, 403), "code 4000"),
        (JSONResponse({"errors": {"code": "abc"}}, 400), "status 400"),
        (HTMLResponse("<html>", 400), "status 400"),
    ],
)
def test_what_does_not_pass_is_told_once_with_its_cure(api: ScriptedApi, answer: Response, told: str) -> None:
    api.script.extend([answer, answer])
    with pytest.raises(PermanentCapillaryApiError, match=told):
        api.client().get(PATH)
    assert len(api.asked) == (2 if answer.status_code == 403 else 1)


def test_nothing_that_was_sent_is_told(api: ScriptedApi) -> None:
    """Not in the text, not in the causes that a log would print with it."""
    settings = api.settings(retry_seconds=0)
    token = AccessToken(settings)
    token.value()
    gone = CapillaryApi(settings.model_copy(update={"url": "http://127.0.0.1:9"}), token)
    slow = CapillaryApi(settings.model_copy(update={"timeout_seconds": 0.05}), token)
    api.script.extend([error(400, 8015), error(500, 1), HTMLResponse(WHO)])
    api.seconds = 0.0
    for client in (*[CapillaryApi(settings, token)] * 3, gone, slow):
        api.seconds = 0.5 if client is slow else 0.0
        with pytest.raises(CapillaryApiError) as caught:
            client.get(PATH, {"identifierValue": WHO})
        told = "".join(traceback.format_exception(caught.value))
        assert not [one for one in (PATH.split("/")[-1], WHO, "right-secret", token.value()) if one in told]


def test_capillarys_words_are_told_only_where_they_are_asked_for(api: ScriptedApi) -> None:
    api.script.append(error(400, 1))
    with pytest.raises(PermanentCapillaryApiError, match=r"of customer \*\*\*\."):
        api.client().call("GET", PATH, hide=[WHO])


def test_an_expired_token_is_replaced_once(api: ScriptedApi) -> None:
    client = api.client()
    client.get(PATH)
    api.good = {"t2"}
    assert client.get(PATH) == GOOD
    assert api.presented == ["t1", "t1", "t2"]
    api.good = set()
    with pytest.raises(PermanentCapillaryApiError, match="does not take the access token"):
        client.get(PATH)
    assert api.tokens == 3


def test_one_token_serves_all_threads_and_one_renewal_all_that_find_it_stale(api: ScriptedApi) -> None:
    client = api.client()
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda _: client.get(PATH), range(64))) == [GOOD] * 64
        assert api.tokens == 1
        api.good = {"t2"}
        assert list(pool.map(lambda _: client.get(PATH), range(64))) == [GOOD] * 64
    assert api.tokens == 2


@pytest.mark.parametrize(("life", "renewed_after"), [(300, 240), (100, 75), (None, 240), ("soon", 240), (86400, 86340)])
def test_a_token_is_renewed_ahead_of_its_end(api: ScriptedApi, life: Any, renewed_after: int) -> None:
    at = [1000.0]
    api.life = life
    token = AccessToken(api.settings(), clock=lambda: at[0])
    assert (token.seconds_left, token.value()) == (0, "t1")
    at[0] += renewed_after - 1
    assert token.value() == "t1"
    at[0] += 1
    assert (token.value(), token.value()) == ("t2", "t2")


def test_a_process_has_one_token_for_a_client(api: ScriptedApi) -> None:
    assert shared_token(api.settings()) is shared_token(api.settings(retry_seconds=1))
    assert shared_token(api.settings()) is not shared_token(api.settings(key="other"))


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (JSONResponse({"errors": [{}]}, 401), PermanentCapillaryApiError, "refuses the API client"),
        (JSONResponse({"data": None, "errors": [{}]}), PermanentCapillaryApiError, "refuses the API client"),
        (HTMLResponse("<html>"), PermanentCapillaryApiError, "without a token"),
        (Response(status_code=301), PermanentCapillaryApiError, "without a token"),
        (Response(status_code=429), TransientCapillaryApiError, "answers 429"),
        (Response(status_code=502), TransientCapillaryApiError, "answers 502"),
    ],
)
def test_answers_of_the_token_call(api: ScriptedApi, answer: Response, kind: type[Exception], told: str) -> None:
    api.token_script.append(answer)
    with pytest.raises(kind, match=told):
        AccessToken(api.settings()).value()


def test_a_token_service_that_fails_for_the_moment_is_asked_again(api: ScriptedApi) -> None:
    api.token_script.append(Response(status_code=503))
    assert posted(api.client()) == GOOD
    api.token_script.append(Response(status_code=503))
    with pytest.raises(TransientCapillaryApiError, match="token service answers 503"):
        api.client(retry_seconds=0).get(PATH)


def test_what_is_missing_of_the_client_is_named() -> None:
    with pytest.raises(SettingsError, match="CAPILLARY_API_URL is missing; CAPILLARY_API_SECRET is missing"):
        CapillaryApi(CapillaryApiSettings(url=None, key="k", secret=None))
