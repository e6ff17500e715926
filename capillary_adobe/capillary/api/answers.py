"""What an answer of Capillary's API is: its envelope, and whether it says yes, no or nothing.

Belongs here: reading one answer, or the lack of one. Does not belong here: what it leads to (`client.py`).
The envelope is `data` or `entity` with `errors` and `warnings` beside it; an error comes with 200 as well
(docs.capillarytech.com/reference/response-codes).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

import orjson
import requests
from urllib3.exceptions import InvalidHeader, MaxRetryError, NewConnectionError
from urllib3.util import Retry

from capillary_adobe.capillary.api.errors import TransientCapillaryApiError, effect_unknown, passes

_LONGEST_WORDS = 200


def content(body: Any) -> Any:
    """What an answer is about, without its envelope: `data` or `entity`, else the body itself."""
    if type(body) is dict:
        return next((body[name] for name in ("data", "entity") if name in body), body)
    return body


@dataclass(frozen=True)
class Try:
    """What one try came to; without a status nothing came, and `lost` says why. `asked` is a pause in seconds."""

    status: int = 0
    body: Any = None
    asked: float | None = None
    lost: TransientCapillaryApiError | requests.RequestException | None = None

    @classmethod
    def of(cls, answer: requests.Response) -> Self:
        """A try that was answered."""
        return cls(answer.status_code, _json(answer), _asked_wait(answer))

    @property
    def codes(self) -> tuple[int, ...]:
        """Capillary's own codes, 0 for one that is no number."""
        codes = [str(one.get("code", one.get("errorCode", 0))) for one in _errors(self.body)]
        return tuple(int(one) if one.isascii() and one.isdecimal() else 0 for one in codes)

    @property
    def succeeded(self) -> bool:
        """Whether the body may be given to the caller."""
        refused = bool(self.codes) and not content(self.body)
        return 200 <= self.status < 300 and self.body is not None and not refused

    @property
    def final(self) -> bool:
        """Whether it would be the same the next time."""
        return bool(self.status) and not self._page and not passes(self.status, self.codes)

    @property
    def effect_unknown(self) -> bool:
        """Whether Capillary may have done what it was asked."""
        if isinstance(self.lost, requests.RequestException):
            return not _never_left(self.lost)
        return self._page or effect_unknown(self.status, self.codes)

    @property
    def cause(self) -> Exception | None:
        """Why nothing came, without the address that was asked: its parameters may name a customer."""
        inner = self.lost.args[0] if isinstance(self.lost, requests.RequestException) and self.lost.args else None
        reason = inner.reason if isinstance(inner, MaxRetryError) else inner
        return reason if isinstance(reason, Exception) else None

    @property
    def trouble(self) -> str:
        """What came, in a few words."""
        if self.lost is not None:
            return f"no answer, {type(self.lost).__name__}"
        return f"status {self.status}{self.told_codes}{'' if self.body is not None else ', no JSON'}"

    @property
    def told_codes(self) -> str:
        """The codes for people."""
        codes = [str(one) for one in self.codes if one]
        return f", code {', '.join(codes)}" if codes else ""

    def words(self, hide: Collection[str] | None) -> str:
        """Capillary's own words without these values; none of them where it is not said what is to be cut out."""
        if hide is None:
            return ""
        words = " ".join(str(one.get("message", "")).strip().rstrip(".") for one in _errors(self.body)).strip()
        for value in hide:
            words = words.replace(value, "***")
        return f": {words[:_LONGEST_WORDS]}" if words else ""

    @property
    def _page(self) -> bool:
        # A proxy's page that says 200 would pass for success.
        return 200 <= self.status < 300 and self.body is None


def _json(answer: requests.Response) -> Any:
    if answer.status_code == 204:
        return {}
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None


def _errors(body: Any) -> list[dict[str, Any]]:
    if type(body) is not dict:
        return []
    listed = body.get("errors")
    if not listed and "errorCode" in body:
        return [body]
    return [one for one in (listed if type(listed) is list else [listed]) if type(one) is dict]


def _asked_wait(answer: requests.Response) -> float | None:
    try:
        return max(0.0, Retry().parse_retry_after(answer.headers.get("Retry-After", ""))) or None
    except InvalidHeader:
        return None


def _never_left(lost: requests.RequestException) -> bool:
    """Whether there was no connection, so that Capillary cannot have seen the request."""
    cause = lost.args[0] if lost.args else None
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    return refused or isinstance(lost, requests.ConnectTimeout)
