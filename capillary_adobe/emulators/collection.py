"""The collection endpoints: one message or many messages for an inlet.

Belongs here: which checks a request passes, in which order, and what becomes of its messages. Does not belong here: the
checks of one message (`envelope`), the layout of the answers (`answers`), the keeping of entities (`accepted`), the
validation that follows the answer (`validation`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.answers import Answers, problem
from capillary_adobe.emulators.behaviour import Behaviour, Rate
from capillary_adobe.emulators.envelope import Inlet, Message, Refusal
from capillary_adobe.emulators.fault_layer import hit_of
from capillary_adobe.emulators.ims import Tokens
from capillary_adobe.emulators.lake_count import Place
from capillary_adobe.emulators.targets import InletTargets, Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.wire import media_type, read_body

MAX_REQUEST_BYTES = 1_000_000
"""Adobe says 1 MB and not which megabyte. The smaller one: a request that passes here passes under either reading."""

_MALFORMED = "Request body is not valid JSON"
_NO_MESSAGES = "Request body has no messages array"
_FAULTS = {400: "Message has unknown xdm format", 429: "Too many requests", 503: "Service is unavailable"}
_OTHER_FAULT = "Message was not taken"
_SYNC_PARAMETERS = ("syncValidation", "synchronousValidation")

Take = Callable[[Request, Any, InletTargets], Response]


class Collection:
    """Both endpoints of every inlet, and the count of what they answered since the start."""

    def __init__(
        self, tenant: Tenant, behaviour: Behaviour, targets: Targets, tokens: Tokens, accepted: AcceptedEntities
    ) -> None:
        self._org_id = tenant.org_id
        self._targets = targets
        self._latency_seconds = behaviour.latency_seconds
        self._tokens = tokens
        self._accepted = accepted
        self._place: Place = "waiting" if behaviour.validate else "lake"
        self._answers = Answers(behaviour.answer_shape)
        self._requests = Rate(behaviour.max_requests_per_second)
        self._records = Rate(behaviour.max_records_per_second)
        self.answers: Counter[int] = Counter()
        self.rejected_messages = 0

    async def single(self, request: Request) -> Response:
        """`POST /collection/{inlet}`: the body is one message."""
        return await self._answer(request, self._take_one)

    async def batch(self, request: Request) -> Response:
        """`POST /collection/batch/{inlet}`: the body holds an array of messages."""
        return await self._answer(request, self._take_many)

    async def _answer(self, request: Request, take: Take) -> Response:
        body = await read_body(request, MAX_REQUEST_BYTES)
        await asyncio.sleep(self._latency_seconds)
        inlet = self._targets.inlet(request.path_params["inlet"])
        if inlet is None:
            response = problem(404, "Not Found", "No such inlet")
        else:
            response = self._turned_away(request, inlet) or self._receive(request, body, inlet, take)
        self.answers[response.status_code] += 1
        return response

    def _turned_away(self, request: Request, inlet: InletTargets) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if inlet.authenticated and not token.strip():
            return self._answers.unauthorized(inlet.inlet_id, 401, "Ims service token is empty")
        if inlet.authenticated and (scheme.lower() != "bearer" or not self._tokens.valid(token.strip())):
            return self._answers.unauthorized(inlet.inlet_id, 403, "Ims service token is invalid or expired")
        if not self._requests.take(1):
            return _too_many()
        return None

    def _receive(self, request: Request, body: bytes | None, inlet: InletTargets, take: Take) -> Response:
        if media_type(request) != "application/json":
            return problem(415, "Unsupported Media Type", "A valid content-type must be specified")
        if body is None:
            return problem(413, "Payload Too Large", f"Request body is larger than {MAX_REQUEST_BYTES} bytes")
        if any(request.query_params.get(name, "").lower() == "true" for name in _SYNC_PARAMETERS):
            return problem(501, "Not Implemented", "Synchronous validation is not supported")
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return self._answers.refused(_MALFORMED)
        return take(request, content, inlet)

    def _take_one(self, _request: Request, content: Any, inlet: InletTargets) -> Response:
        if not self._records.take(1):
            return _too_many()
        received_ms = _now_ms()
        (refusal,) = self._keep([Inlet(self._org_id, inlet).check(content)], received_ms)
        if refusal is not None:
            return self._answers.refused(refusal.text)
        return self._answers.accepted(inlet.inlet_id, received_ms)

    def _take_many(self, request: Request, content: Any, inlet: InletTargets) -> Response:
        messages = content.get("messages") if isinstance(content, dict) else None
        if not isinstance(messages, list):
            return self._answers.refused(_NO_MESSAGES)
        if not self._records.take(len(messages)):
            return _too_many()
        received_ms, check = _now_ms(), Inlet(self._org_id, inlet).check
        hit = hit_of(request, "partial", "short_items")
        places = hit.places(len(messages)) if hit else set()
        if hit and hit.fault.kind == "partial":
            refusal = Refusal(_FAULTS.get(hit.fault.status, _OTHER_FAULT), hit.fault.status)
            outcomes = [refusal if at in places else check(message) for at, message in enumerate(messages)]
            return self._answers.batch(inlet.inlet_id, received_ms, self._keep(outcomes, received_ms))
        outcomes = [check(message) for message in messages]
        return self._answers.batch(inlet.inlet_id, received_ms, self._keep(outcomes, received_ms), places)

    def _keep(self, outcomes: list[Message | Refusal], received_ms: int) -> list[Refusal | None]:
        taken = [outcome for outcome in outcomes if isinstance(outcome, Message)]
        self._accepted.add(taken, received_ms, self._place)
        self.rejected_messages += len(outcomes) - len(taken)
        return [None if isinstance(outcome, Message) else outcome for outcome in outcomes]


def _too_many() -> Response:
    return problem(429, "Too Many Requests", "Too many requests within the time allowed")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
