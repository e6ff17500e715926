"""Fixtures: an emulator of Capillary, a client with its token, and a webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe_tests.emulators.capillary.webhook import ScriptedWebhook

Start = Callable[..., RunningCapillary]


class Client:
    """Calls with a token, checked for the envelope that every answer has."""

    def __init__(self, capillary: RunningCapillary) -> None:
        self.base_url = capillary.base_url
        self.session = requests.Session()
        given = capillary.environment
        credential = {"key": given["CAPILLARY_API_KEY"], "secret": given["CAPILLARY_API_SECRET"]}
        answer = self.session.post(f"{self.base_url}/v3/oauth/token/generate", json=credential, timeout=10)
        self.session.headers["X-CAP-API-OAUTH-TOKEN"] = answer.json()["data"]["accessToken"]

    def call(self, method: str, path: str, json: Any = None, **params: Any) -> requests.Response:
        answer = self.session.request(method, self.base_url + path, json=json, params=params, timeout=10)
        assert {"data", "errors", "warnings"} <= set(answer.json())
        return answer

    def data(self, method: str, path: str, json: Any = None, **params: Any) -> Any:
        answer = self.call(method, path, json, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def code(self, method: str, path: str, json: Any = None, **params: Any) -> int:
        answer = self.call(method, path, json, **params)
        assert answer.status_code >= 400
        return answer.json()["errors"][0]["code"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an emulator that behaves as asked; all of them stop with the test."""
    with ExitStack() as stack:

        def started(**behaviour: Any) -> RunningCapillary:
            return stack.enter_context(RunningCapillary(tmp_path / "capillary", Behaviour(**behaviour)))

        yield started


@pytest.fixture
def webhook() -> Iterator[ScriptedWebhook]:
    with ScriptedWebhook() as one:
        yield one
