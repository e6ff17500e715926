"""What the inlet answers: the bodies of its errors and the three shapes of a 207 answer.

Belongs here: the layout of every answer of the collection endpoints. Does not belong here: the decision which answer a
request gets (`collection`).

Adobe documents the bodies of 400 and 401 only. The other errors follow the same layout here; a client can rely on their
status alone.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from starlette.responses import Response

from capillary_adobe.emulators.behaviour import AnswerShape
from capillary_adobe.emulators.envelope import Refusal
from capillary_adobe.emulators.wire import json_response

_INLET_PROBLEM = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
_AUTHORIZATION_PROBLEM = "https://ns.adobe.com/adobecloud/problem/data-collection-service-authorization"


class Answers:
    """Writes the answers of the inlets."""

    def __init__(self, shape: AnswerShape) -> None:
        self._shape: AnswerShape = shape
        self._serial = itertools.count(1)

    def accepted(self, inlet_id: str, received_ms: int) -> Response:
        """A single message was taken."""
        xaction_id = self._transaction(received_ms)
        return json_response(200, {"inletId": inlet_id, "xactionId": xaction_id, "receivedTimeMs": received_ms})

    def batch(
        self,
        inlet_id: str,
        received_ms: int,
        outcomes: Sequence[Refusal | None],
        left_out: Collection[int] = frozenset(),
    ) -> Response:
        """Several messages were taken or refused: for each, in order, its refusal or None.

        The items of the messages at `left_out` are missing from the answer.
        """
        batch_id = self._transaction(received_ms)
        items = _items(self._shape, batch_id, outcomes)
        content = {
            "inletId": inlet_id,
            "batchId": batch_id,
            "receivedTimeMs": received_ms,
            "responses": [item for place, item in enumerate(items) if place not in left_out],
        }
        return json_response(207, content)

    def refused(self, text: str) -> Response:
        """A single message, or a request as a whole, is no XDM message."""
        return problem(400, "Invalid XDM Message Format", text)

    def unauthorized(self, inlet_id: str, status: int, text: str) -> Response:
        """The token is missing or does not count; in this body the status is a string."""
        content = {
            "type": _AUTHORIZATION_PROBLEM,
            "status": str(status),
            "title": "Authorization",
            "report": {"message": f"[{inlet_id}] {text}"},
        }
        return json_response(status, content)

    def _transaction(self, received_ms: int) -> str:
        return f"{received_ms}:{next(self._serial)}:1"


def problem(status: int, title: str, text: str) -> Response:
    """An error of the inlet."""
    return json_response(
        status, {"type": _INLET_PROBLEM, "status": status, "title": title, "report": {"message": text}}
    )


def _items(shape: AnswerShape, batch_id: str, outcomes: Sequence[Refusal | None]) -> list[dict[str, Any]]:
    match shape:
        case "tutorial":
            return [_tutorial_item(f"{batch_id}:{index}", refusal) for index, refusal in enumerate(outcomes)]
        case "spec":
            return [_spec_item(f"{batch_id}:{index}", refusal) for index, refusal in enumerate(outcomes)]
        case "sink":
            request_id = uuid.uuid4()
            return [_sink_item(f"{request_id}-{index}", refusal) for index, refusal in enumerate(outcomes)]


def _tutorial_item(xaction_id: str, refusal: Refusal | None) -> dict[str, Any]:
    if refusal is None:
        return {"xactionId": xaction_id}
    return {"statusCode": refusal.status, "message": refusal.text}


def _sink_item(xaction_id: str, refusal: Refusal | None) -> dict[str, Any]:
    item: dict[str, Any] = {"xactionId": xaction_id}
    return item if refusal is None else item | {"status": refusal.status, "message": refusal.text}


def _spec_item(xaction_id: str, refusal: Refusal | None) -> dict[str, Any]:
    # The specification gives every item an id and is silent on failures: those carry the tutorial's fields beside it.
    item: dict[str, Any] = {"xactionId": xaction_id}
    return item if refusal is None else item | {"statusCode": refusal.status, "message": refusal.text}
