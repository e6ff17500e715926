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

    def bare(self, record: dict[str, Any], warnings: list[dict[str, Any]] | None = None) -> Response:
        """What was asked for, without an envelope: errors and warnings stand beside its fields."""
        return self._answer(200, record | {"errors": [], "warnings": warnings or []})

    def older(self, name: str, inner: str, items: list[dict[str, Any]]) -> Response:
        """Items in the envelope of the older API (v1.1)."""
        failed = sum(one.get("item_status", {}).get("success") == "false" for one in items)
        code, message = (200, "SUCCESS") if not failed else (201, "PARTIAL") if failed < len(items) else (500, "FAIL")
        status = {
            "success": "false" if code == 500 else "true",
            "code": str(code),
            "message": message,
            "total": str(len(items)),
            "success_count": str(len(items) - failed),
        }
        held = {"entity": items} if inner == "entities" else items
        return self._answer(200, {"response": {"status": status, name: {inner: held}}})

    def refused_as_older(self, refusal: Refused) -> Response:
        """Why the older API does not give it."""
        status = 200 if self._errors_with_200 else refusal.status
        told = {"success": "false", "code": str(refusal.code), "message": str(refusal)}
        return self._answer(status, {"response": {"status": told}})

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
