"""Who may call: the token service, the tokens it gave, and the limit of requests a minute.

Belongs here: docs.capillarytech.com/reference/oauth, and the answers to those who may not. Does not belong here: what a
call does.

A token lives in memory: one of an emulator that was started anew is unknown, so that its clients must renew theirs.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Awaitable, Callable

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.behaviour import Allowance
from capillary_adobe.emulators.capillary.answers import Answers, Refused
from capillary_adobe.emulators.capillary.behaviour import Behaviour
from capillary_adobe.emulators.capillary.organisation import Organisation
from capillary_adobe.emulators.wire import read_body

TOKEN_HEADER = "X-CAP-API-OAUTH-TOKEN"  # noqa: S105 - the header's name
_MAX_BODY_BYTES = 64 * 1024

Endpoint = Callable[[Request], Awaitable[Response]]


def presented(headers: Headers) -> str:
    """The token that a request presents, or nothing."""
    return headers.get(TOKEN_HEADER, "")


class Tokens:
    """The tokens in force, with the moment each ends."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def issue(self) -> str:
        """A new token."""
        token = secrets.token_urlsafe(48)
        now = time.monotonic()
        with self._lock:
            self._ends = {one: ends for one, ends in self._ends.items() if ends > now}
            self._ends[token] = now + self.seconds
        return token

    def valid(self, token: str) -> bool:
        """Whether it was given here and still holds."""
        return self._ends.get(token, 0.0) > time.monotonic()

    def revoke(self, token: str) -> None:
        """Take this one no longer."""
        with self._lock:
            self._ends.pop(token, None)


class Access:
    """The token call, and the guard of every other one."""

    def __init__(self, organisation: Organisation, behaviour: Behaviour, answers: Answers) -> None:
        self._denied = behaviour.denied
        self.tokens = Tokens(behaviour.token_seconds)
        self._organisation = organisation
        self._answers = answers
        self._allowance = Allowance(behaviour.requests_per_minute)

    async def token(self, request: Request) -> Response:
        """`POST /v3/oauth/token/generate`."""
        try:
            asked = orjson.loads(await read_body(request, _MAX_BODY_BYTES) or b"")
        except orjson.JSONDecodeError:
            asked = None
        ours = self._organisation
        if not isinstance(asked, dict) or not (
            _same(asked.get("key"), ours.key) and _same(asked.get("secret"), ours.secret)
        ):
            return self._answers.refused(Refused(401, 401, "Invalid key or secret"))
        data = {"accessToken": self.tokens.issue(), "ttlSeconds": self.tokens.seconds}
        return self._answers.data(data)

    def guarded(self, endpoint: Endpoint, resource: str = "Webhooks") -> Endpoint:
        """The endpoint for those with a token and the right to a resource, as often as allowed."""

        async def asked(request: Request) -> Response:
            is_older = request.url.path.startswith("/v1.1/")
            refused = self._answers.refused_as_older if is_older else self._answers.refused
            if not self.tokens.valid(presented(request.headers)):
                return refused(Refused(401, 401, "Token is missing, unknown or expired"))
            # No header says how long to wait: none is documented.
            if not self._allowance.take():
                return refused(Refused(429, 429, "Too many requests"))
            if resource in self._denied:
                return refused(Refused(403, 4000, "Access is denied"))
            try:
                return await endpoint(request)
            except Refused as refusal:
                return refused(refusal)

        return asked


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
