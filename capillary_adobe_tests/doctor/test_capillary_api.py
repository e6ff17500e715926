"""The look at Capillary's API, against a server that answers as the documentation of the token call says."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from capillary_adobe.doctor.capillary_api import judge_token
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe_tests.doctor.conftest import Examine, told


async def token(request: Request) -> Response:
    asked = await request.json()
    if asked != {"key": "client", "secret": "right-secret"}:
        return JSONResponse({"data": None, "errors": [{"code": 401}]}, 401)
    return JSONResponse({"data": {"accessToken": "jwt-of-the-client", "ttlSeconds": 300}, "errors": []})


def test_the_client_gets_a_token_or_is_refused(look: Examine) -> None:
    app = Starlette(routes=[Route("/v3/oauth/token/generate", token, methods=["POST"])])
    with BackgroundServer(app) as server:
        settings = {"CAPILLARY_API_URL": server.base_url, "CAPILLARY_API_KEY": "client"}
        found = look(**settings, CAPILLARY_API_SECRET="right-secret")
        assert told(found, "capillary api") == "ok: Capillary gives a token, good for 300 seconds. "
        found = look(**settings, CAPILLARY_API_SECRET="wrong-secret")
        assert told(found, "capillary api").startswith("fail: Capillary refuses the API client (status 401).")


def test_a_client_that_is_half_set_or_a_host_that_is_down(look: Examine) -> None:
    assert told(look(CAPILLARY_API_KEY="k"), "capillary api").startswith("fail: Of CAPILLARY_API_URL")
    down = look(CAPILLARY_API_URL="http://127.0.0.1:9", CAPILLARY_API_KEY="k", CAPILLARY_API_SECRET="s-e-c-r-e-t")
    assert "does not answer (ConnectionError)" in told(down, "capillary api")


@pytest.mark.parametrize(
    ("status", "content", "outcome"),
    [
        (200, b'{"data": {"accessToken": "x"}}', "ok"),
        (200, b'{"data": null, "errors": [{}]}', "fail"),
        (200, b"<html>", "fail"),
        (500, b"", "fail"),
        (403, b"{}", "fail"),
    ],
)
def test_answers_of_the_token_call(status: int, content: bytes, outcome: str) -> None:
    assert judge_token(status, content).outcome == outcome
