"""Waiting between two tries of one request.

Belongs here: how long AEP asks to wait, and jittered pauses under a time budget. Does not belong here: which answers are
worth another try (`errors.py`) and the rates kept by all runs together (`pacing.py`).
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import orjson
import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from capillary_adobe.adobe.bodies import Answer

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LARGEST_BODY = 64 * 1024


class Backoff:
    """The tries of one request: pauses that double, jittered, until the budget is spent or delivery stops."""

    def __init__(self, budget_seconds: float, stopping: threading.Event) -> None:
        self.deadline = time.monotonic() + budget_seconds
        self._stopping = stopping
        self._pause = _FIRST_PAUSE_SECONDS

    def wait(self, asked: float | None = None) -> bool:
        """Wait before the next try, as long as AEP `asked` if it did; False where no other try may follow."""
        # Jitter, so that connections that failed together do not come back together.
        seconds = asked if asked is not None else self._pause * random.uniform(0.5, 1.0)  # noqa: S311
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if time.monotonic() + seconds > self.deadline:
            return False
        return not self._stopping.wait(seconds)


def asked_wait(answer: requests.Response | Answer) -> float | None:
    """Seconds that AEP asks to wait: `Retry-After` in either of its forms, or `retryAfterMs` in the body.

    0 and what is neither ask for nothing. Profile's 429 is an array of objects whose numbers are texts
    (profile.yaml of github.com/AdobeDocs/experience-platform-apis).
    """
    header = answer.headers.get("Retry-After")
    if header is not None:
        try:
            return max(0.0, Retry().parse_retry_after(header)) or None
        except InvalidHeader:
            pass
    if answer.status_code in (429, 503) and len(answer.content) <= _LARGEST_BODY:
        return _asked_in_body(answer.content)
    return None


def _asked_in_body(content: bytes) -> float | None:
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    first = body[0] if type(body) is list and body else body
    if type(first) is not dict:
        return None
    try:
        return max(0.0, float(first["retryAfterMs"]) / 1000) or None
    except (KeyError, TypeError, ValueError):
        return None
