"""The delivery log: whatever form its answers have, no row is missed, and how a sending stands follows the documented rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from capillary_adobe.capillary.api.client import CapillaryApi, PermanentCapillaryApiError
from capillary_adobe.capillary.api.delivery_log import DeliveryLog, Fate, LogUnreadable, moment, rows_of, sending
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.settings import CapillaryApiSettings

DAY_MS = 86_400_000
START_MS = 1_772_323_200_000  # 2026-03-01T00:00Z
NOW_MS = START_MS + 2 * DAY_MS
GROUP = "0c3ad68c-06e3-4947-85df-4df10e898eeb"

Json = dict[str, Any]


def row(event_id: str = "a", ingested_ms: Any = START_MS, **fields: Any) -> Json:
    """A row as published, delivered."""
    return {
        "refId": "1_2",
        "requestId": "request-1",
        "eventName": "pointsIssued",
        "eventId": event_id,
        "consumerGroupId": GROUP,
        "eventIngestionTimestamp": ingested_ms,
        "eventStartTimestamp": None if ingested_ms is None else START_MS + 3,
        "eventEndTimestamp": None if ingested_ms is None else START_MS + 34,
        "slaBreachTimestamp": None,
        "consumerResponse": {"webhookHttpStatus": 200.0, "time_taken": 195.0},
        **fields,
    }


class Capillary:
    """A log behind the address of the real one: token, rows by ingestion time with both ends included, pages by any rule."""

    def __init__(self, rows: list[Json], answer: Callable[[list[Json], Mapping[str, str]], Any]) -> None:
        self._rows = rows
        self._answer = answer
        self.asked: list[Mapping[str, str]] = []
        self.metrics_status = 403
        routes = [
            Route("/v3/oauth/token/generate", self._token, methods=["POST"]),
            Route(f"/v3/events/consumer-groups/{GROUP}/logs", self._logs),
            Route(f"/v3/events/consumer-groups/{GROUP}/metrics", self._metrics),
        ]
        self.app = Starlette(routes=routes)

    async def _token(self, _request: Request) -> Response:
        return JSONResponse({"data": {"accessToken": "t", "ttlSeconds": 300}, "errors": None, "warnings": None})

    async def _logs(self, request: Request) -> Response:
        asked = request.query_params
        self.asked.append(dict(asked))
        return JSONResponse(self._answer(within(self._rows, int(asked["startDate"]), int(asked["endDate"])), asked))

    async def _metrics(self, request: Request) -> Response:
        if not self._rows:
            status = self.metrics_status
            return JSONResponse({"errors": [{"code": status, "message": "no"}], "data": None}, status)
        asked = request.query_params
        found = within(self._rows, int(asked["startDate"]), int(asked["endDate"]))
        return JSONResponse({"data": {"totalEvents": len(found)}, "errors": None, "warnings": None})


def within(rows: list[Json], start_ms: int, end_ms: int) -> list[Json]:
    return [one for one in rows if start_ms <= one["eventIngestionTimestamp"] <= end_ms]


def ids(log: DeliveryLog, start_ms: int = START_MS, end_ms: int = START_MS + DAY_MS) -> list[str]:
    return [one.event_id for part in log.sendings(start_ms, end_ms) for one in part]


def paged(rows: list[Json], asked: Mapping[str, str]) -> Json:
    size = min(int(asked["limit"]), 100)
    return {"data": rows[:size], "pagination": {"limit": size, "offset": 0, "total": len(rows)}}


FORMS: dict[str, Callable[[list[Json], Mapping[str, str]], Any]] = {
    "a plain list, all at once": lambda rows, _: rows,
    "data, cut at 100 without a word": lambda rows, _: {"data": rows[:100], "errors": None},
    "logs, cut at the limit": lambda rows, asked: {"logs": rows[: int(asked["limit"])]},
    "data with pagination": paged,
    "logs inside data, with a total": lambda rows, _: {"data": {"logs": rows[:70], "totalCount": len(rows)}},
    "an odd page and a link to the next": lambda rows, _: {"events": rows[:33], "next": len(rows) > 33},
    "the newest first": lambda rows, asked: paged(rows[::-1], asked),
    "an odd total that never falls": lambda rows, _: {"data": rows, "pagination": {"total": 10**6}},
}


@pytest.mark.parametrize("form", list(FORMS))
def test_no_row_is_missed_whatever_form_the_answer_has(form: str) -> None:
    rows = [row(str(number), START_MS + number * 180_000 + number % 7) for number in range(450)]
    # A burst within one second, and rows at the first and the last moment.
    rows += [row(f"burst-{number}", START_MS + 50_000_000 + number) for number in range(500)]
    rows += [row("first", START_MS), row("last", START_MS + DAY_MS - 1)]
    rows.sort(key=lambda one: one["eventIngestionTimestamp"])
    capillary = Capillary(rows, FORMS[form])
    with BackgroundServer(capillary.app) as server:
        api = CapillaryApi(settings_for(server.base_url))
        log = DeliveryLog(api, GROUP, page_rows=200, now_ms=NOW_MS)
        found = ids(log)
        assert log.told_events(START_MS, START_MS + DAY_MS - 1) == len(rows)
    assert set(found) == {one["eventId"] for one in rows}
    assert log.extent.unreadable == log.extent.cut_spans == 0
    assert len(capillary.asked) < 250


def settings_for(url: str) -> CapillaryApiSettings:
    return CapillaryApiSettings.model_validate({"url": url, "key": "k", "secret": "s", "retry_seconds": 0})


def test_a_quiet_day_is_asked_for_in_a_few_requests() -> None:
    capillary = Capillary([], FORMS["a plain list, all at once"])
    with BackgroundServer(capillary.app) as server:
        log = DeliveryLog(CapillaryApi(settings_for(server.base_url)), GROUP, page_rows=1000, now_ms=NOW_MS)
        assert ids(log) == []
        assert len(capillary.asked) < 12
        # What only confirms the log may be refused, and may fail.
        assert log.told_events(START_MS, NOW_MS) is None
        capillary.metrics_status = 500
        assert log.told_events(START_MS, NOW_MS) is None


def test_more_rows_in_one_millisecond_than_an_answer_holds_are_told_as_a_doubt() -> None:
    rows = [row(str(number)) for number in range(300)]
    capillary = Capillary(rows, FORMS["data, cut at 100 without a word"])
    with BackgroundServer(capillary.app) as server:
        log = DeliveryLog(CapillaryApi(settings_for(server.base_url)), GROUP, page_rows=1000, now_ms=NOW_MS)
        assert set(ids(log, START_MS, START_MS + 1000)) == {str(number) for number in range(100)}
    assert log.extent.cut_spans >= 1


def test_two_full_milliseconds_side_by_side_are_asked_for_one_by_one() -> None:
    # The newest first, as the first millisecond of a day has no neighbour before it that would give its rows.
    newest_first = InMemory([START_MS + 1] * 4 + [START_MS] * 4, 5)
    log = DeliveryLog(newest_first, GROUP, page_rows=5, now_ms=NOW_MS)
    assert set(ids(log)) == {str(number) for number in range(8)}
    assert log.extent.cut_spans == 0


class Deaf(Capillary):
    """A log that gives the newest rows, whatever the time that is asked for."""

    async def _logs(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        return JSONResponse(self._answer(self._rows, request.query_params))


@pytest.mark.parametrize("form", ["data, cut at 100 without a word", "data with pagination"])
def test_a_log_that_keeps_to_no_span_is_refused_soon(form: str) -> None:
    capillary = Deaf([row(str(number), START_MS + 40_000_000) for number in range(300)], FORMS[form])
    with BackgroundServer(capillary.app) as server:
        log = DeliveryLog(CapillaryApi(settings_for(server.base_url)), GROUP, page_rows=1000, now_ms=NOW_MS)
        with pytest.raises(LogUnreadable, match="does not keep to the span of time"):
            ids(log)
    assert len(capillary.asked) < 40


class Exclusive:
    """A log that leaves out the end of a span, and cuts at five rows."""

    def get(self, path: str, params: Mapping[str, Any] | None = None, hide: Collection[str] | None = None) -> Any:
        assert path.endswith("/logs")
        assert params is not None
        rows = [row(str(number), START_MS + number // 4) for number in range(12)]
        return within(rows, params["startDate"], params["endDate"] - 1)[:5]


def test_a_log_that_leaves_out_the_end_of_a_span_gives_every_row() -> None:
    log = DeliveryLog(Exclusive(), GROUP, page_rows=5, now_ms=NOW_MS)
    assert set(ids(log)) == {str(number) for number in range(12)}


class InMemory:
    """A log of 1 to 40 rows an answer, cut without a word."""

    def __init__(self, moments: list[int], most: int) -> None:
        self.rows = [row(str(number), at) for number, at in enumerate(moments)]
        self._most = most

    def get(self, path: str, params: Mapping[str, Any] | None = None, hide: Collection[str] | None = None) -> Any:
        assert path.endswith("/logs")
        assert params is not None
        return within(self.rows, params["startDate"], params["endDate"])[: self._most]


@settings(deadline=None)
@given(
    moments=st.lists(st.integers(START_MS, START_MS + DAY_MS - 1), unique=True, max_size=120),
    most=st.sampled_from([2, 5, 10, 20, 50]),
)
def test_no_row_is_missed_wherever_the_rows_lie(moments: list[int], most: int) -> None:
    log = DeliveryLog(InMemory(moments, most), GROUP, page_rows=most, now_ms=NOW_MS)
    assert set(ids(log)) == {str(number) for number in range(len(moments))}


@pytest.mark.parametrize("answer", ["text", {"page": 1}, {"data": {"page": 1}}, 5, {"data": "text"}, None])
def test_a_form_that_is_not_known_is_no_empty_log(answer: Any) -> None:
    with pytest.raises(LogUnreadable, match="form that is not known"):
        rows_of(answer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([], []),
        ({"data": []}, []),
        ({"data": None, "errors": None}, []),
        ({"data": row()}, [row()]),
        ({"data": {"content": [row()], "page": 1}}, [row()]),
        ({"logs": [row()]}, [row()]),
    ],
)
def test_the_known_forms_give_their_rows(answer: Any, expected: list[Json]) -> None:
    assert rows_of(answer) == expected


def test_a_refusal_is_told_and_no_empty_log() -> None:
    capillary = Capillary([], lambda _rows, _asked: {"data": None, "errors": [{"code": 4000, "message": "no"}]})
    with BackgroundServer(capillary.app) as server:
        log = DeliveryLog(CapillaryApi(settings_for(server.base_url)), GROUP, page_rows=1000, now_ms=NOW_MS)
        with pytest.raises(PermanentCapillaryApiError, match="access group"):
            ids(log)


AGED_MS = START_MS + 8 * DAY_MS


@pytest.mark.parametrize(
    ("fields", "now_ms", "fate"),
    [
        ({}, NOW_MS, Fate.DELIVERED),
        ({"consumerResponse": {"webhookHttpStatus": 204}}, NOW_MS, Fate.DELIVERED),
        ({"consumerResponse": {"webhookHttpStatus": "202"}}, NOW_MS, Fate.DELIVERED),
        ({"consumerResponse": {"webhookHttpStatus": 400.0}}, NOW_MS, Fate.FAILED),
        ({"consumerResponse": {"webhookHttpStatus": 429}}, NOW_MS, Fate.RETRYING),
        ({"consumerResponse": {"webhookHttpStatus": 404}}, NOW_MS, Fate.RETRYING),
        ({"consumerResponse": {"webhookHttpStatus": 302}}, NOW_MS, Fate.RETRYING),
        ({"consumerResponse": {"webhookHttpStatus": 503}}, AGED_MS, Fate.FAILED),
        ({"consumerResponse": {"webhookHttpStatus": 200}}, AGED_MS, Fate.DELIVERED),
        ({"consumerResponse": None}, NOW_MS, Fate.RETRYING),
        ({"consumerResponse": None, "eventEndTimestamp": None}, NOW_MS, Fate.RETRYING),
        (
            {"consumerResponse": None, "eventEndTimestamp": None, "eventStartTimestamp": None},
            NOW_MS,
            Fate.PENDING,
        ),
        ({"consumerResponse": {"webhookHttpStatus": None, "time_taken": 30000.0}}, NOW_MS, Fate.RETRYING),
        ({"status": "FAILED", "consumerResponse": {"webhookHttpStatus": 503}}, NOW_MS, Fate.FAILED),
        ({"deliveryStatus": "Success", "consumerResponse": None}, NOW_MS, Fate.DELIVERED),
        ({"status": "Retrying", "consumerResponse": {"webhookHttpStatus": 400}}, NOW_MS, Fate.RETRYING),
        ({"status": "somethingNew"}, NOW_MS, Fate.DELIVERED),
    ],
)
def test_how_a_sending_stands(fields: Json, now_ms: int, fate: Fate) -> None:
    found = sending(row(**fields), now_ms)
    assert found is not None
    assert found.fate is fate


def test_a_row_is_read_whole() -> None:
    found = sending(row(" a ", "2026-03-01T05:30:00.000+0530"), NOW_MS)
    assert found == ("a", "pointsIssued", "request-1", "1_2", START_MS, START_MS + 34, "delivered", 200)
    other = {"eventType": "tierUpgraded", "eventId": "b", "eventIngestionTimestamp": START_MS}
    assert sending(other, NOW_MS) == ("b", "tierUpgraded", "", "", START_MS, None, "pending", None)


@pytest.mark.parametrize(
    "broken", [None, 5, [], {}, row(""), row("a", None), row("a", "soon"), row("a", "2026-03-01T00:00")]
)
def test_rows_that_name_no_event_or_no_time_are_counted(broken: Any) -> None:
    assert sending(broken, NOW_MS) is None
    capillary = InMemory([START_MS], 50)
    capillary.get = lambda path, params=None, hide=None: [broken, row()]
    log = DeliveryLog(capillary, GROUP, page_rows=50, now_ms=NOW_MS)
    assert ids(log, START_MS, START_MS + 1) == ["a"]
    only_the_id = broken == row("")
    assert (log.extent.unreadable, log.extent.without_id) == ((0, 1) if only_the_id else (1, 0))


def test_an_event_without_an_id_counts_once_however_often_its_row_comes() -> None:
    api = InMemory([START_MS + number for number in range(9)], 5)
    api.rows.extend([row("", START_MS + 4)] * 2)
    log = DeliveryLog(api, GROUP, page_rows=5, now_ms=NOW_MS)
    assert len(set(ids(log))) == 9
    assert (log.extent.without_id, log.extent.unreadable) == (1, 0)


def test_capillarys_own_words_tell_what_it_does_not_like_of_the_question() -> None:
    words = {"data": None, "errors": [{"code": 400, "message": "limit must be at most 100"}]}
    with BackgroundServer(Capillary([], lambda _rows, _asked: words).app) as server:
        log = DeliveryLog(CapillaryApi(settings_for(server.base_url)), GROUP, page_rows=1000, now_ms=NOW_MS)
        with pytest.raises(PermanentCapillaryApiError, match="limit must be at most 100"):
            ids(log)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.integers(-12 * 60, 14 * 60))  # noqa: DTZ001 - bounds
def test_times_are_read_in_every_published_form(at: datetime, offset: int) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    expected = round(at.timestamp() * 1000)
    sign, ahead = ("-", -offset) if offset < 0 else ("+", offset)
    there = datetime.fromtimestamp(at.timestamp() + offset * 60, UTC)
    written = f"{there:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}"
    for told in (f"{written}{sign}{ahead // 60:02d}{ahead % 60:02d}", expected, str(expected), float(expected)):
        assert moment(told) == expected
    assert moment(written) is None
