"""The identity service: gives out access tokens for client credentials and knows its own again.

Belongs here: the token endpoint with its errors, and the tokens. Does not belong here: what a call without a valid
token is answered (`collection`, `gateway`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import json_response, media_type, read_body

_MAX_FORM_BYTES = 64 * 1024


class Tokens:
    """Signed tokens that carry their own expiry.

    They are not kept anywhere: a token stays valid over a restart of the emulator, as it would over one of the real
    service, and any number of them costs no memory. Those that were revoked are known until the emulator stops.
    """

    def __init__(self, tenant: Tenant, seconds: int) -> None:
        self._tenant = tenant
        self._seconds = seconds
        self._key = hashlib.sha256(tenant.client_secret.encode()).digest()
        self._head = _encode({"alg": "HS256", "typ": "JWT"})
        self._revoked: set[str] = set()

    def issue(self) -> str:
        """A new token."""
        claims = {
            "id": secrets.token_hex(16),
            "type": "access_token",
            "client_id": self._tenant.client_id,
            "org": self._tenant.org_id,
            "expires_at": time.time() + self._seconds,
        }
        signed = self._head + b"." + _encode(claims)
        return (signed + b"." + self._signature(signed)).decode()

    def valid(self, token: str) -> bool:
        """Whether the token is one of this organisation's and has neither expired nor been revoked."""
        if token in self._revoked:
            return False
        signed, _, signature = token.encode().rpartition(b".")
        if not hmac.compare_digest(signature, self._signature(signed)):
            return False
        claims = orjson.loads(urlsafe_b64decode(signed.rpartition(b".")[2]))
        return claims["expires_at"] > time.time()

    def revoke(self, token: str) -> None:
        """Let the token count no more."""
        self._revoked.add(token)

    def _signature(self, signed: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(self._key, signed, "sha256"))


class IdentityService:
    """The token endpoint."""

    def __init__(self, tenant: Tenant, behaviour: Behaviour, tokens: Tokens) -> None:
        self._tenant = tenant
        self._behaviour = behaviour
        self._tokens = tokens
        self._scopes = frozenset(_scopes(tenant.scopes))
        self.answers: Counter[int] = Counter()

    async def token(self, request: Request) -> Response:
        """`POST /ims/token/v3`: parameters in the form body; those in the query count as well."""
        parameters = dict(request.query_params)
        body = await read_body(request, _MAX_FORM_BYTES)
        if body and media_type(request) == "application/x-www-form-urlencoded":
            parameters |= dict(parse_qsl(body.decode("latin-1")))
        await asyncio.sleep(self._behaviour.latency_seconds)
        response = self._refusal(parameters) or self._grant()
        self.answers[response.status_code] += 1
        return response

    def _refusal(self, parameters: dict[str, str]) -> Response | None:
        if parameters.get("grant_type") != "client_credentials":
            return _error("unsupported_grant_type", "invalid grant_type parameter")
        if parameters.get("client_id") != self._tenant.client_id:
            return _error("invalid_client", "invalid client_id parameter")
        if not _same(parameters.get("client_secret", ""), self._tenant.client_secret):
            return _error("invalid_client", "invalid client_secret parameter")
        wanted = _scopes(parameters.get("scope", ""))
        if not wanted or not self._scopes.issuperset(wanted):
            return _error("invalid_scope", "invalid scope parameter")
        return None

    def _grant(self) -> Response:
        token = {"access_token": self._tokens.issue(), "token_type": "bearer"}
        return json_response(200, token | {"expires_in": self._behaviour.token_seconds})


def _error(error: str, description: str) -> Response:
    return json_response(400, {"error": error, "error_description": description})


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _scopes(text: str) -> set[str]:
    return {scope.strip() for scope in text.split(",") if scope.strip()}


def _encode(value: object) -> bytes:
    return urlsafe_b64encode(orjson.dumps(value))
