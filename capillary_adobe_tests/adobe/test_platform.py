"""Calls to the Platform API: headers, each reaction, and what stops a call says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from capillary_adobe.adobe.errors import PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.adobe.platform import Conflict, NotThere, Platform, Refused, Unanswered, json_of, segment
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe_tests.adobe.platform_server import TENANT, ScriptedPlatform, breaks_off, hang_up, says, status

PATH = "/data/foundation/catalog/batches"
PAGE = says(b"<html>", content_type="text/html; charset=utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


def test_a_call_says_who_asks_and_for_which_sandbox(
    server: ScriptedPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(netrc))
    server.follow()
    server.client().call("GET", PATH, params={"limit": 1}, headers={"x-more": "yes"})
    [asked] = server.asked
    assert asked.query == {"limit": "1"}
    assert {name: asked.headers[name] for name in ("authorization", "x-api-key", "x-more")} == {
        "authorization": "Bearer token-1",
        "x-api-key": TENANT.client_id,
        "x-more": "yes",
    }
    assert asked.headers["x-gw-ims-org-id"] == TENANT.org_id
    assert asked.headers["x-sandbox-name"] == TENANT.sandbox_name


@pytest.mark.parametrize("code", [200, 201, 202, 204, 206, 207])
def test_every_success_is_an_answer(server: ScriptedPlatform, code: int) -> None:
    server.follow(status(code))
    assert server.client().call("GET", PATH).status_code == code


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_aep_does_not_take_is_replaced_once(server: ScriptedPlatform, code: int) -> None:
    server.follow(status(code))
    server.client().call("GET", PATH)
    assert [asked.token for asked in server.asked] == ["token-1", "token-2"]


@pytest.mark.parametrize("code", [401, 403])
def test_a_fresh_token_that_aep_does_not_take_either_stops_the_call(server: ScriptedPlatform, code: int) -> None:
    server.follow(status(code), status(503, Retry_After="0"), otherwise=status(code))
    with pytest.raises(Refused, match="access") as refused:
        server.client().call("GET", PATH)
    assert isinstance(refused.value, PermanentDeliveryError)
    assert refused.value.status == code
    assert [asked.token for asked in server.asked] == ["token-1", "token-2", "token-2"]


@pytest.mark.parametrize("fault", [*(status(code) for code in (408, 425, 429, 500, 502, 503, 504, 599)), PAGE, hang_up])
def test_a_fault_that_passes_is_waited_for(server: ScriptedPlatform, fault: object) -> None:
    server.follow(fault, says({"fine": True}))  # pyright: ignore[reportArgumentType]
    assert server.client().call("POST", PATH, json={"a": 1}).json() == {"fine": True}
    assert [asked.body for asked in server.asked] == [b'{"a": 1}'] * 2


@pytest.mark.parametrize(
    "asking",
    [
        status(429, Retry_After="1"),
        status(503, [{"retryAfterMs": "900", "statusCode": "429"}]),
        status(429, {"retryAfterMs": 900}),
    ],
)
def test_aep_is_given_the_time_that_it_asks_for(server: ScriptedPlatform, asking: object) -> None:
    server.follow(asking)  # pyright: ignore[reportArgumentType]
    began = time.monotonic()
    server.client().call("GET", PATH)
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize(
    ("fault", "words"), [(status(503), "answers 503"), (PAGE, "answers 200 with a page"), (hang_up, "ConnectionError")]
)
def test_a_fault_that_lasts_is_left_to_the_next_run(server: ScriptedPlatform, fault: object, words: str) -> None:
    server.follow(otherwise=fault)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TransientDeliveryError, match=words) as stopped:
        server.client(retry_budget_seconds=0.8).call("GET", PATH)
    assert "AEP's Catalog" in str(stopped.value)
    assert "What is not accepted stays pending" in str(stopped.value)
    assert "ADOBE_PLATFORM_URL" in str(stopped.value)
    assert len(server.asked) > 1


def test_a_wait_beyond_the_budget_is_not_begun(server: ScriptedPlatform) -> None:
    server.follow(otherwise=status(429, Retry_After="3600"))
    began = time.monotonic()
    with pytest.raises(TransientDeliveryError, match="429"):
        server.client().call("GET", PATH)
    assert time.monotonic() - began < 2
    assert len(server.asked) == 1


def test_a_pause_ends_when_delivery_stops(server: ScriptedPlatform) -> None:
    stopping = threading.Event()

    async def stop(*_: object) -> object:
        stopping.set()
        return await status(503, Retry_After="60")(*_)  # pyright: ignore[reportArgumentType]

    server.follow(otherwise=stop)  # pyright: ignore[reportArgumentType]
    settings = server.settings(retry_budget_seconds=120)
    began = time.monotonic()
    with pytest.raises(TransientDeliveryError):
        Platform(settings, AccessToken(settings), stopping).call("GET", PATH)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, Refused) for code in (302, 400, 405, 413, 414, 415, 422, 501)),
        *((code, Conflict) for code in (409, 412)),
        (404, NotThere),
    ],
)
def test_what_waiting_does_not_heal_is_not_repeated(server: ScriptedPlatform, code: int, kind: type[Refused]) -> None:
    server.follow(otherwise=status(code, location=f"{server.base_url}/elsewhere"))
    with pytest.raises(kind) as refused:
        server.client().call("GET", PATH)
    assert type(refused.value) is kind
    assert refused.value.status == code
    assert f"AEP's Catalog refuses GET with status {code}" in str(refused.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error_code": "403027", "message": "User region is missing"}, "403027 User region is missing"),
        ({"title": "BadRequestError", "detail": "No such dataset.", "status": 400}, "BadRequestError No such dataset."),
        ({"message": "sent: Bearer abc.def and token-1"}, "sent: Bearer … and …"),
        ({"title": "Invalid request", "errorMessage": "No such flow spec."}, "Invalid request No such flow spec."),
        ({"message": {"not": "text"}, "title": "T"}, "T"),
        ({"message": "x" * 1000}, "x" * 300),
        (["a list"], ""),
        (b"<html>", ""),
        (b"", ""),
    ],
)
def test_a_refusal_repeats_aeps_words_and_no_token(server: ScriptedPlatform, body: object, words: str) -> None:
    server.follow(status(400, body))
    with pytest.raises(Refused) as refused:
        server.client().call("GET", PATH)
    assert refused.value.words == words
    assert words.rstrip(".") in str(refused.value)


def test_a_refusal_of_data_does_not_repeat_the_data(server: ScriptedPlatform, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'{"email": "jane@example.com"}')
    server.follow(status(400, {"message": 'Invalid JSON: {"email": "jane@example.com"}'}))
    with pytest.raises(Refused, match="Invalid JSON") as refused:
        server.client().call("PUT", PATH, body=lambda: file.open("rb"))
    assert "jane" not in str(refused.value)


def test_data_is_opened_anew_for_each_try(server: ScriptedPlatform, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"x" * 100_000)
    opened = []
    server.follow(status(503), hang_up, status(401))

    def body() -> object:
        opened.append(file.open("rb"))
        return opened[-1]

    server.client().call("PUT", PATH, body=body)  # pyright: ignore[reportArgumentType]
    assert [asked.body for asked in server.asked] == [b"x" * 100_000] * 4
    assert [one.closed for one in opened] == [True] * 4


@pytest.mark.parametrize("fault", [hang_up, PAGE, *(status(code) for code in (408, 500, 503))])
def test_a_call_that_must_not_be_repeated_blindly_is_not(server: ScriptedPlatform, fault: object) -> None:
    server.follow(fault)  # pyright: ignore[reportArgumentType]
    with pytest.raises(Unanswered, match="unknown"):
        server.client().call("POST", PATH, repeat_unanswered=False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", [status(401), status(429), status(425)])
def test_it_is_repeated_where_aep_certainly_did_nothing(server: ScriptedPlatform, fault: object) -> None:
    server.follow(fault)  # pyright: ignore[reportArgumentType]
    server.client().call("POST", PATH, repeat_unanswered=False)
    assert len(server.asked) == 2


def test_it_tells_the_pause_that_aep_asks_for(server: ScriptedPlatform) -> None:
    server.follow(status(503, Retry_After="7"))
    with pytest.raises(Unanswered) as unanswered:
        server.client().call("POST", PATH, repeat_unanswered=False)
    assert unanswered.value.asked_wait == 7


def test_a_connection_that_is_refused_has_no_effect_and_is_tried_again(server: ScriptedPlatform) -> None:
    server.follow()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = server.settings(platform_url=f"http://127.0.0.1:{port}", retry_budget_seconds=0.8)
    with pytest.raises(TransientDeliveryError, match="No answer from AEP's Catalog") as stopped:
        Platform(settings, AccessToken(settings)).call("POST", PATH, repeat_unanswered=False)
    assert not isinstance(stopped.value, Unanswered)
    assert stopped.value.__cause__ is not None
    assert "token-1" not in str(stopped.value.__cause__)


def test_an_answer_that_breaks_off_is_none(server: ScriptedPlatform) -> None:
    server.follow(breaks_off(b"{"), says({"whole": 1}))
    assert server.client().call("GET", PATH).json() == {"whole": 1}
    assert len(server.asked) == 2


def test_a_refusal_of_a_stream_is_read(server: ScriptedPlatform) -> None:
    server.follow(status(400, {"title": "No"}))
    with pytest.raises(Refused) as refused:
        server.client().call("GET", PATH, stream=True)
    assert refused.value.words == "No"


def test_threads_share_a_client(server: ScriptedPlatform) -> None:
    server.follow(otherwise=says({"a": 1}))
    client = server.client()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.call("GET", PATH).json(), range(40)))
    assert answers == [{"a": 1}] * 40
    assert server.token_requests == 1


def test_an_answer_without_json_names_the_cure(server: ScriptedPlatform) -> None:
    server.follow(says(b"<html>"))
    answer = server.client().call("GET", PATH)
    with pytest.raises(TransientDeliveryError, match="proxy"):
        json_of(answer)


def test_a_part_of_an_address_stays_one(server: ScriptedPlatform) -> None:
    server.follow()
    server.client().call("GET", f"{PATH}/{segment('a/b?c=d#e% ü')}")
    assert server.asked[0].raw_path == f"{PATH}/a%2Fb%3Fc%3Dd%23e%25%20%C3%BC"
    for wrong in ("", ".", ".."):
        with pytest.raises(ValueError, match="cannot be a part"):
            segment(wrong)
