"""The form of every answer: `data`, `errors`, `warnings`, and the request's id.

Belongs here: that envelope. Does not belong here: what is answered.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from starlette.responses import Response

from capillary_adobe.emulators.wire import json_response

# What concerns the client itself is told by the status even where errors come with 200.
_BY_STATUS = (401, 403, 404, 429)


class Refused(Exception):
    """A request that is not carried out."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Answers:
    """Writes answers, and counts them by status."""

    def __init__(self, *, errors_with_200: bool) -> None:
        self.counts: Counter[int] = Counter()
        self._errors_with_200 = errors_with_200

    def data(self, data: Any, **more: Any) -> Response:
        """What was asked for."""
        return self._answer(200, {"data": data, **more, "errors": None, "warnings": None})

    def refused(self, refusal: Refused) -> Response:
        """Why it is not given."""
        status = 200 if self._errors_with_200 and refusal.status not in _BY_STATUS else refusal.status
        errors = [{"code": refusal.code, "message": str(refusal)}]
        return self._answer(status, {"data": None, "errors": errors, "warnings": None})

    def _answer(self, status: int, content: dict[str, Any]) -> Response:
        self.counts[status] += 1
        answer = json_response(status, content)
        answer.headers["X-Cap-Requestid"] = uuid.uuid4().hex
        return answer
