"""Capillary's delivery log: which events it sent to our webhook, and how each sending ended.

Belongs here: asking for a span of time without a row being cut off unnoticed, and reading one row. Does not belong here:
comparing it with what landed (`reconciling.py`).

Sources: docs.capillarytech.com/reference/geteventsbyconsumergroupid and /geteventmatrix; the form of a row is the one of
/reference/get-event-log-by-request-id-. That the answer comes in pages is documented, how is not. So pages are never
turned: a span whose answer may be cut is asked for again in halves.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import orjson

from capillary_adobe.capillary.api.client import CapillaryApiError, PermanentCapillaryApiError

KEPT_DAYS = 30
"""How long Capillary keeps its log (docs.capillarytech.com/docs/manage-webhook)."""
RETRIED_MS = 7 * 86_400_000
"""How long it repeats a sending at least (docs.capillarytech.com/docs/consuming-event-notifications)."""

_FIRST_SPAN_MS = 600_000
_LONGEST_SPAN_MS = 6 * 3_600_000
# Pages have round sizes, whether or not the size that was asked for is honoured.
_ROUND = frozenset({10, 20, 25, 30, 50, 100, 200, 250, 300, 500, 1_000, 2_000, 2_500, 5_000, 10_000})
_LISTS = ("data", "logs", "events", "eventLogs", "content", "items", "records", "results")
_TOTALS = ("total", "totalCount", "totalElements", "totalRecords", "totalItems", "totalEvents")
_MORE = ("hasNext", "hasMore", "hasNextPage", "next", "nextPage", "nextPageToken", "nextCursor")
# An answer that always tells of more, whatever the span, would have every millisecond of the day asked for.
_FALSE_ALARMS = 3
# A log that counts in seconds or minutes still keeps to its span.
_STRAY_MS = 120_000
_NO_FORM_OF_OURS = (
    "Report the form of the answer, without its values, to whoever maintains this software, and stop the schedule "
    "reconcile_yesterday until then; deliveries do not need it."
)


class Fate(StrEnum):
    """How a sending stands, by the four names of Capillary's own log view."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    PENDING = "pending"
    FAILED = "failed"


_FATES = {
    "delivered": Fate.DELIVERED,
    "success": Fate.DELIVERED,
    "successful": Fate.DELIVERED,
    "retrying": Fate.RETRYING,
    "retry": Fate.RETRYING,
    "pending": Fate.PENDING,
    "failed": Fate.FAILED,
    "failure": Fate.FAILED,
}


class Sending(NamedTuple):
    """One row of the log. Times are epoch ms; `attempted_ms` and `http_status` are None before the first answer."""

    event_id: str
    event_name: str
    request_id: str
    ref_id: str
    ingested_ms: int
    attempted_ms: int | None
    fate: Fate
    http_status: int | None


class Asks(Protocol):
    """What the log needs of `CapillaryApi`."""

    def get(self, path: str, params: Mapping[str, Any] | None = None, hide: Collection[str] | None = None) -> Any:
        """The body of an answer."""
        ...


class LogUnreadable(PermanentCapillaryApiError):
    """The answer has none of the forms that are known."""


@dataclass
class Extent:
    """How the log was read: rows that came, events among them that have no id, rows that nobody can read, rows of another
    time than was asked for, and spans of a millisecond that may still be cut."""

    requests: int = 0
    rows: int = 0
    without_id: int = 0
    unreadable: int = 0
    strays: int = 0
    cut_spans: int = 0


class DeliveryLog:
    """The log of one webhook."""

    def __init__(self, api: Asks, consumer_group: str, page_rows: int, now_ms: int) -> None:
        self._api = api
        self._path = f"/v3/events/consumer-groups/{consumer_group}"
        self._page_rows = page_rows
        self._now_ms = now_ms
        self._halvings = 0
        self._fewest_cut: int | None = None
        self._false_alarms = 0
        self._only_told = 0
        self._without_id: set[int] = set()
        self.extent = Extent()

    def sendings(self, start_ms: int, end_ms: int) -> Iterator[list[Sending]]:
        """The rows of a span, a part at a time; a row at the edge of two parts comes twice.

        Raises:
            CapillaryApiError: Capillary does not answer, refuses, or answers in a form that is not known.
        """
        span = _FIRST_SPAN_MS
        while start_ms < end_ms:
            stop_ms = min(start_ms + span, end_ms)
            halvings = self._halvings
            rows = len((yield from self._span(start_ms, stop_ms)))
            if self._halvings > halvings:
                span = max(1, (stop_ms - start_ms) // 2)
            elif self._fewest_cut is None or 2 * rows < self._fewest_cut:
                span = min(2 * span, _LONGEST_SPAN_MS)
            start_ms = stop_ms

    def _span(self, start_ms: int, stop_ms: int) -> Generator[list[Sending], None, set[int]]:
        """Yield the rows of a span, of its halves where they may be cut; return which ones there were."""
        answer = self._ask("logs", start_ms, stop_ms, limit=self._page_rows)
        rows = rows_of(answer)
        full = len(rows) >= self._page_rows or len(rows) in _ROUND
        more = bool(rows) and self._false_alarms < _FALSE_ALARMS and _tells_of_more(answer, len(rows))
        read = [sending(row, self._now_ms) for row in rows]
        known = [row for row in read if row is not None]
        unknown = [row for row, told in zip(rows, read, strict=True) if told is None]
        nameless = {hash(orjson.dumps(row)) for row in unknown if _lacks_only_an_id(row)}
        unreadable = sum(not _lacks_only_an_id(row) for row in unknown)
        found = {hash(row) for row in known} | nameless
        self._without_id |= nameless
        self.extent.without_id = len(self._without_id)
        self.extent.rows += len(rows)
        self.extent.strays += sum(not start_ms - _STRAY_MS <= row.ingested_ms <= stop_ms + _STRAY_MS for row in known)
        # Kept in any case: that both ends of a span are included is seen nowhere but in the emulator.
        yield known
        if not (full or more):
            self.extent.unreadable += unreadable
            return found
        if stop_ms == start_ms:
            self._demand_span(known, start_ms)
            self.extent.unreadable += unreadable
            self.extent.cut_spans += more or _told_total(answer) != len(rows)
            self._only_told += more and not full
            return found
        halves = yield from self._halves(start_ms, stop_ms)
        if halves - found:
            self._halvings += 1
            self._fewest_cut = min(self._fewest_cut or len(rows), len(rows))
            self._false_alarms = 0
        elif more:
            self._no_more_came()
        return halves | found

    def _halves(self, start_ms: int, stop_ms: int) -> Generator[list[Sending], None, set[int]]:
        if stop_ms - start_ms == 1:
            return (yield from self._span(start_ms, start_ms)) | (yield from self._span(stop_ms, stop_ms))
        # A row in the very middle comes twice.
        middle_ms = (start_ms + stop_ms) // 2
        return (yield from self._span(start_ms, middle_ms)) | (yield from self._span(middle_ms, stop_ms))

    def _demand_span(self, rows: list[Sending], at_ms: int) -> None:
        """Refuse a log that gives rows of any time: halving would go on for every millisecond of the day."""
        if any(abs(row.ingested_ms - at_ms) > _STRAY_MS for row in rows):
            raise LogUnreadable(
                "Capillary's delivery log does not keep to the span of time that is asked for (startDate, endDate), so nothing "
                f"can be said of one day. {_NO_FORM_OF_OURS}"
            )

    def _no_more_came(self) -> None:
        self._false_alarms += 1
        if self._false_alarms == _FALSE_ALARMS:
            self.extent.cut_spans -= self._only_told
            self._only_told = 0

    def told_events(self, start_ms: int, end_ms: int) -> int | None:
        """How many events Capillary counts in a span; None where it does not tell."""
        try:
            answer = self._ask("metrics", start_ms, end_ms)
        except CapillaryApiError:
            # The log has been read by now; what only confirms it may be missing.
            return None
        figures = answer.get("data", answer) if type(answer) is dict else None
        return _whole(figures.get("totalEvents")) if type(figures) is dict else None

    def _ask(self, what: str, start_ms: int, end_ms: int, **more: int) -> Any:
        self.extent.requests += 1
        params = {"startDate": start_ms, "endDate": end_ms, **more}
        # Nothing that is sent is anybody's, and only Capillary's own words say which parameter it does not like.
        return self._api.get(f"{self._path}/{what}", params, hide=())


def rows_of(answer: Any) -> list[Any]:
    """The rows of an answer: a plain list, or a list under one of the usual names, perhaps one level deeper.

    Raises:
        LogUnreadable: there is none.
    """
    found = _list_in(answer)
    if found is None:
        raise LogUnreadable(
            "Capillary's delivery log came in a form that is not known, so nothing is said of what it sent. "
            f"{_NO_FORM_OF_OURS}"
        )
    return found


def _list_in(answer: Any, depth: int = 3) -> list[Any] | None:
    if type(answer) is list:
        return answer
    if type(answer) is not dict or not depth:
        return None
    if "eventId" in answer:
        return [answer]
    named = [answer[name] for name in _LISTS if name in answer]
    for value in named:
        found = _list_in(value, depth - 1)
        if found is not None:
            return found
    # `data: null` without an error is how Capillary says that there is nothing.
    return [] if named and all(value is None for value in named) else None


def _tells_of_more(answer: Any, rows: int) -> bool:
    return (_told_total(answer) or 0) > rows or any(level.get(name) for level in _levels(answer) for name in _MORE)


def _told_total(answer: Any) -> int | None:
    totals = [_whole(level.get(name)) for level in _levels(answer) for name in _TOTALS]
    return max((total for total in totals if total is not None), default=None)


def _levels(answer: Any, depth: int = 3) -> list[dict[str, Any]]:
    """The answer and the objects in it, rows left out."""
    if type(answer) is not dict or not depth or "eventId" in answer:
        return []
    return [answer, *(level for value in answer.values() for level in _levels(value, depth - 1))]


def sending(row: Any, now_ms: int) -> Sending | None:
    """A row of the log; None where it names no event or no time."""
    if type(row) is not dict:
        return None
    event_id, ingested_ms = _text(row, "eventId"), moment(row.get("eventIngestionTimestamp"))
    if not event_id or ingested_ms is None:
        return None
    ended_ms, started_ms = moment(row.get("eventEndTimestamp")), moment(row.get("eventStartTimestamp"))
    attempted_ms = ended_ms if ended_ms is not None else started_ms
    response = row.get("consumerResponse")
    status = _whole(response.get("webhookHttpStatus")) if type(response) is dict else None
    return Sending(
        event_id=event_id,
        event_name=_text(row, "eventName", "eventType"),
        request_id=_text(row, "requestId", "apiRequestId"),
        ref_id=_text(row, "refId"),
        ingested_ms=ingested_ms,
        attempted_ms=attempted_ms,
        fate=_fate(row, status, attempted_ms, now_ms - ingested_ms),
        http_status=status,
    )


def _lacks_only_an_id(row: Any) -> bool:
    return type(row) is dict and not _text(row, "eventId") and moment(row.get("eventIngestionTimestamp")) is not None


def _text(row: dict[str, Any], *names: str) -> str:
    return next((value.strip() for name in names if type(value := row.get(name)) is str and value.strip()), "")


def _fate(row: dict[str, Any], status: int | None, attempted_ms: int | None, age_ms: int) -> Fate:
    told = _FATES.get(_text(row, "status", "deliveryStatus", "eventStatus", "webhookStatus").lower())
    if told is not None:
        return told
    if status is not None and 200 <= status < 300:
        return Fate.DELIVERED
    # 400 is the one status that is documented as never repeated.
    if status == 400 or age_ms > RETRIED_MS:
        return Fate.FAILED
    return Fate.PENDING if status is None and attempted_ms is None else Fate.RETRYING


def moment(value: Any) -> int | None:
    """A time of the log as epoch ms: ISO with an offset, or epoch ms; None for anything else."""
    whole = _whole(value)
    if whole is not None:
        return whole
    try:
        told = datetime.fromisoformat(value) if type(value) is str else None
    except ValueError:
        return None
    # Without an offset it could be anybody's time.
    return None if told is None or told.tzinfo is None else round(told.timestamp() * 1000)


def _whole(value: Any) -> int | None:
    if type(value) is str and value.strip().isascii() and value.strip().isdigit():
        return int(value)
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None
