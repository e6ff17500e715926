"""The event log over HTTP.

Belongs here: its addresses and the form of a row. Does not belong here: the rows (`log`).
Sources: docs.capillarytech.com/reference/geteventsbyconsumergroupid, /reference/geteventmatrix and
/reference/get-event-log-by-request-id-.

Of `/v3/events/consumer-groups/{id}/logs` the filters `eventType`, `eventSearchKey`, `requestId` and the order
`sortBy=webhookDuration:desc` are documented, and that it has pages; how these are asked for is not. Here they go by
`limit` (100 unless told, at most 1,000) and `offset`, with `pagination` beside `data`, as on Capillary's v2 calls; the
newest come first. `startDate` and `endDate`, ms, are documented for `/metrics` and hold for the time at which the event
was handed in. Rows have the published fields, and `status` by the documented words.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from sqlite3 import Row
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.capillary.access import Access
from capillary_adobe.emulators.capillary.answers import Answers, Refused
from capillary_adobe.emulators.capillary.log import Log, Search, Status
from capillary_adobe.emulators.capillary.webhooks import Webhooks

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
_NEWEST_FIRST = "ingested_ms desc, id desc"
_SORTABLE = {
    "webhookDuration": "taken_ms",
    "eventType": "event_name",
    "eventIngestionTimestamp": "ingested_ms",
}


class LogApi:
    """The log of one webhook, its figures, and the three older look-ups."""

    def __init__(self, log: Log, webhooks: Webhooks, access: Access, answers: Answers, offset_minutes: int) -> None:
        self._log = log
        self._webhooks = webhooks
        self._access = access
        self._answers = answers
        self._zone = timezone(timedelta(minutes=offset_minutes))

    def routes(self) -> list[Route]:
        """All of them."""
        guarded, group = self._access.guarded, "/v3/events/consumer-groups/{group}"
        return [
            Route(f"{group}/logs", guarded(self.logs), methods=["GET"]),
            Route(f"{group}/metrics", guarded(self.metrics), methods=["GET"]),
            Route("/v3/webHooks/eventLog/requestId/{id}", guarded(self.by_request), methods=["GET"]),
            Route("/v3/webHooks/eventLog/refId/{id}", guarded(self.by_reference), methods=["GET"]),
            Route("/v3/webHooks/eventLog/{id}", guarded(self.by_event), methods=["GET"]),
        ]

    async def logs(self, request: Request) -> Response:
        """`GET /v3/events/consumer-groups/{consumerGroupId}/logs`."""
        asked = request.query_params
        limit = min(_whole(request, "limit", DEFAULT_PAGE) or 0, LARGEST_PAGE)
        offset = _whole(request, "offset", 0) or 0
        if limit < 1:
            raise Refused(400, 400, "limit must be at least 1")
        search = self._search(
            request,
            event_name=asked.get("eventType"),
            search_key=asked.get("eventSearchKey"),
            request_id=asked.get("requestId"),
        )
        rows = self._log.rows(search, _order(asked.get("sortBy")), limit, offset)
        pagination = {"limit": limit, "offset": offset, "total": sum(self._log.counts(search).values())}
        return self._answers.data([self._shown(row) for row in rows], pagination=pagination)

    async def metrics(self, request: Request) -> Response:
        """`GET /v3/events/consumer-groups/{consumerGroupId}/metrics`."""
        search = self._search(request)
        counts = self._log.counts(search)
        return self._answers.data(
            {
                "totalEvents": sum(counts.values()),
                "deliveredEvents": counts[Status.SUCCESS],
                "failedEvents": counts[Status.FAILED],
                "retryingEvents": counts[Status.RETRYING],
                "pendingEvents": counts[Status.PENDING],
                "averageDeliveryTime": self._log.average_ms(search),
                "startDate": search.start_ms,
                "endDate": search.end_ms,
            }
        )

    async def by_request(self, request: Request) -> Response:
        """`GET /v3/webHooks/eventLog/requestId/{id}`."""
        return self._all(Search(request_id=request.path_params["id"]))

    async def by_reference(self, request: Request) -> Response:
        """`GET /v3/webHooks/eventLog/refId/{id}`."""
        return self._all(Search(ref_id=request.path_params["id"]))

    async def by_event(self, request: Request) -> Response:
        """`GET /v3/webHooks/eventLog/{id}`: one object, where the others give an array."""
        rows = self._log.rows(Search(event_id=request.path_params["id"]), _NEWEST_FIRST, 1, 0)
        if not rows:
            raise Refused(404, 404, "No such event")
        return self._answers.data(self._shown(rows[0]))

    def _all(self, search: Search) -> Response:
        rows = self._log.rows(search, _NEWEST_FIRST, LARGEST_PAGE, 0)
        return self._answers.data([self._shown(row) for row in rows])

    def _search(self, request: Request, **more: str | None) -> Search:
        group = request.path_params["group"]
        if not self._webhooks.knows(group):
            raise Refused(400, 400, "consumerGroupId is invalid")
        start, end = _whole(request, "startDate", None), _whole(request, "endDate", None)
        return Search(consumer_group=group, start_ms=start, end_ms=end, **more)

    def _shown(self, row: Row) -> dict[str, Any]:
        answered = row["http_status"] is not None
        return {
            "refId": row["ref_id"],
            "requestId": row["request_id"],
            "eventName": row["event_name"],
            "eventId": row["event_id"],
            "consumerGroupId": row["consumer_group"],
            "eventIngestionTimestamp": self._time(row["ingested_ms"]),
            "eventStartTimestamp": self._time(row["started_ms"]),
            "eventEndTimestamp": self._time(row["ended_ms"]),
            "slaBreachTimestamp": None,
            "status": row["status"],
            # Numbers with a fraction, as published.
            "consumerResponse": {
                "webhookHttpStatus": float(row["http_status"]) if answered else None,
                "time_taken": float(row["taken_ms"]),
            }
            if row["taken_ms"] is not None
            else None,
        }

    def _time(self, ms: int | None) -> str | None:
        if ms is None:
            return None
        moment = datetime.fromtimestamp(ms // 1000, UTC).astimezone(self._zone)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}{moment:%z}"


def _whole(request: Request, name: str, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isdecimal() and text.isascii() and len(text) < 16):
        raise Refused(400, 400, f"{name} must be a whole number")
    return int(text)


def _order(asked: str | None) -> str:
    if asked is None:
        return _NEWEST_FIRST
    field, _, direction = asked.partition(":")
    if field not in _SORTABLE or direction not in ("", "asc", "desc"):
        raise Refused(400, 400, "sortBy is invalid")
    return f"{_SORTABLE[field]} {direction or 'asc'}, id"
