"""What an answer of Capillary's API is: its envelope, and whether it says yes, no or nothing.

Belongs here: reading one answer, or the lack of one. Does not belong here: what it leads to (`client.py`).
The envelope is `data` or `entity` with `errors` and `warnings` beside it; an error comes with 200 as well
(docs.capillarytech.com/reference/response-codes). The older API (v1.1) has `response` with a `status` of its own, which
counts in place of the 200 that it comes with, and a status on each item.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Self

import orjson
import requests
from urllib3.exceptions import InvalidHeader, MaxRetryError, NewConnectionError
from urllib3.util import Retry

from capillary_adobe.capillary.api.errors import TransientCapillaryApiError, effect_unknown, passes

_LONGEST_WORDS = 200
# What may stand beside the content of an answer that has no envelope.
_BESIDE = ("errors", "warnings", "success", "errorCode", "code", "message", "status")


def content(body: Any) -> Any:
    """What an answer is about, without its envelope: `data` or `entity`, else the body itself."""
    if type(body) is dict:
        return next((body[name] for name in ("data", "entity") if name in body), body)
    return body


class Told(NamedTuple):
    """What an answer says beside its content: codes, 0 for one that is no number, and words, which may hold values."""

    codes: tuple[int, ...]
    words: str


def told(body: Any) -> Told:
    """Errors and warnings of an answer, or of an item of one."""
    found = [*_errors(body), *_listed(body, "warnings"), *_listed(content(body), "warnings")]
    status = body.get("item_status") if type(body) is dict else None
    if type(status) is dict:
        found.append(status)
    return Told(tuple(_code(one) for one in found), " ".join(str(one.get("message", "")) for one in found))


@dataclass(frozen=True)
class Try:
    """What one try came to; without a status nothing came, and `lost` says why. `asked` is a pause in seconds.

    `dated` is when Capillary answered by its own clock, in whole seconds since 1970.
    """

    status: int = 0
    body: Any = None
    asked: float | None = None
    dated: float | None = None
    lost: TransientCapillaryApiError | requests.RequestException | None = None

    @classmethod
    def of(cls, answer: requests.Response) -> Self:
        """A try that was answered."""
        body = _json(answer)
        return cls(_status(answer.status_code, body), body, _asked_wait(answer), dated=_dated(answer))

    @property
    def codes(self) -> tuple[int, ...]:
        """Capillary's own codes, 0 for one that is no number."""
        return tuple(_code(one) for one in _errors(self.body))

    @property
    def succeeded(self) -> bool:
        """Whether the body may be given to the caller."""
        refused = bool(self.codes) and not self._has_content
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
    def _has_content(self) -> bool:
        # In the older API the content lies beside its status, so that an answer with a status alone has none.
        if (older := _older_status(self.body)) is not None:
            return _succeeds(older) or _has_items(self.body)
        inner = content(self.body)
        if inner is not self.body or type(inner) is not dict:
            return bool(inner)
        return any(value for name, value in inner.items() if name not in _BESIDE)

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
    if not body.get("errors") and "errorCode" in body:
        return [body]
    older = _older_status(body)
    return [*_listed(body, "errors"), *([older] if older is not None and not _succeeds(older) else [])]


def _listed(body: Any, name: str) -> list[dict[str, Any]]:
    listed = body.get(name) if type(body) is dict else None
    return [one for one in (listed if type(listed) is list else [listed]) if type(one) is dict]


def _code(one: Mapping[str, Any]) -> int:
    code = str(one.get("code", one.get("errorCode", 0)))
    return int(code) if code.isascii() and code.isdecimal() else 0


def _status(status: int, body: Any) -> int:
    """The status that counts: where the older API fails as a whole, the one of its envelope."""
    older = _older_status(body)
    if older is None or not 200 <= status < 300 or _succeeds(older) or _has_items(body["response"]):
        return status
    # Codes of its own, beyond those of HTTP, are a refusal.
    return code if 400 <= (code := _code(older)) < 600 else 400


def _older_status(body: Any) -> dict[str, Any] | None:
    response = body.get("response") if type(body) is dict else None
    status = response.get("status") if type(response) is dict else None
    return status if type(status) is dict else None


def _has_items(value: Any) -> bool:
    """Whether anything in an answer of the older API has a status of its own."""
    if type(value) is dict:
        return "item_status" in value or any(_has_items(one) for one in value.values())
    return type(value) is list and any(_has_items(one) for one in value)


def _succeeds(older: Mapping[str, Any]) -> bool:
    """Whether an envelope of the older API does not say otherwise; it writes false as a text as often as not."""
    return str(older.get("success", True)).strip().lower() != "false"


def _dated(answer: requests.Response) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return None


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
