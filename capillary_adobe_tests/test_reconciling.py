"""Reconciling a day: a real Capillary emulator posts, a webhook lands, the real raw stage reads, and every loss is named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from capillary_adobe.capillary.api.client import CapillaryApi
from capillary_adobe.capillary.api.delivery_log import DeliveryLog
from capillary_adobe.lake import Slice
from capillary_adobe.reconciling import ReconcileError, Reconciler, Reconciliation, not_set_up, open_reconciler
from capillary_adobe.settings import CapillaryApiSettings, SettingsError
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.capillary.api.test_delivery_log import row
from capillary_adobe_tests.capillary.events import event
from capillary_adobe_tests.capillary.road import Road
from capillary_adobe_tests.posting import DAY_MS, NOON_MS, YESTERDAY, Posting, told

MIDNIGHT_MS = NOON_MS + DAY_MS // 2


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    road = Road(tmp_path, load_rules())
    yield road
    road.state.engine.dispose()


@pytest.fixture
def posting(tmp_path: Path, road: Road, monkeypatch: pytest.MonkeyPatch) -> Iterator[Posting]:
    monkeypatch.chdir(tmp_path)
    with Posting(tmp_path, road.store) as running:
        for name, value in running.capillary.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def account(road: Road, day: str = YESTERDAY) -> Reconciliation:
    return open_reconciler(road.store, road.lake, road.state).account(day)


def outcomes(found: Reconciliation) -> dict[str, int]:
    return {name: count for name, count in found.outcomes.items() if count}


def day_from(days: int) -> str:
    return (date.fromisoformat(YESTERDAY) + timedelta(days=days)).isoformat()


def test_every_outcome_is_told_apart(road: Road, posting: Posting) -> None:
    hook = posting.webhook
    hook.dropped = {"lost", "refused", "waiting"}
    hook.answers = {"refused": 400, "waiting": 503, "landed-unanswered": 504}
    posting.capillary.delivery_faults.add(kind="duplicate", times=1)
    posting.send([told("twice")])
    posting.send(
        [
            told("kept"),
            told("ignored", "groupCreated"),
            told("unknown", "somethingNew"),
            told("without-org", orgId=None),
            *map(told, ("lost", "refused", "waiting", "landed-unanswered")),
        ]
    )
    road.run(day=YESTERDAY)
    found = account(road)

    assert sorted(road.rows(RAW_EVENTS, "event_id", day=YESTERDAY)) == ["kept", "landed-unanswered", "twice"]
    assert sorted(road.rows(SET_ASIDE, "event_id", day=YESTERDAY)) == ["ignored", "twice"]
    assert sorted(road.rows(QUARANTINE, "event_id", day=YESTERDAY)) == ["unknown", "without-org"]
    assert outcomes(found) == {"arrived": 5, "missing": 1, "failed": 1, "retrying": 1, "answer_lost": 1}
    assert [(one.event_id, one.judged, one.http_status) for one in found.lost] == [
        ("lost", "missing", 200),
        ("refused", "failed", 400),
    ]
    assert found.by_http_status == {"missing": {"200": 1}, "failed": {"400": 1}, "retrying": {"503": 1}}
    assert found.by_event_type["groupCreated"] == {"arrived": 1}
    assert (found.sent, found.told_by_capillary, found.doubts) == (9, 9, [])
    assert not found.nothing_lost
    assert [one.event_type for one in found.lost] == ["pointsExpired"] * 2


def test_what_no_run_has_read_yet_counts_as_landed_until_it_is_gone(road: Road, posting: Posting) -> None:
    posting.send([told("read")])
    road.run(day=YESTERDAY)
    posting.send([told("one"), told("two"), orjson.dumps(event(eventId="cut", createdAt=NOON_MS))[:-1]])
    # One body over several lines, as the receiver puts it aside.
    posting.webhook.dropped = {"aside"}
    posting.send([told("aside")])
    pretty = orjson.dumps(orjson.loads(told("aside")), option=orjson.OPT_INDENT_2)
    road.store.write(f"aside/{YESTERDAY}/12/1764072000000-r-000001.headers", pretty)
    found = account(road)
    assert (outcomes(found), found.unread_objects) == ({"arrived": 5}, 4)

    # Deleted by hand before anything has read it.
    [key] = [one.key for one in road.store.list("live", YESTERDAY) if b'"two"' in road.store.open(one.key).read()]
    (road_folder(road) / key).unlink()
    found = account(road)
    assert outcomes(found) == {"arrived": 4, "missing": 1}
    assert [one.event_id for one in found.lost] == ["two"]


def road_folder(road: Road) -> Path:
    return Path(road.lake.url).parent / "landing"


def test_an_event_is_looked_for_on_the_landing_days_of_its_repeats(road: Road, posting: Posting) -> None:
    posting.send([told("late", createdAt=NOON_MS - 7 * DAY_MS)], at_ms=NOON_MS - 7 * DAY_MS)
    road.run(day=YESTERDAY)
    assert road.rows(RAW_EVENTS, "event_id", day=YESTERDAY) == ["late"]
    assert outcomes(account(road, day_from(-7))) == {"arrived": 1}
    # Nine days later Capillary cannot have gone on.
    posting.send([told("later", createdAt=NOON_MS - 9 * DAY_MS)], at_ms=NOON_MS - 9 * DAY_MS)
    assert outcomes(account(road, day_from(-9))) == {"missing": 1}


def test_days_end_at_midnight_utc(road: Road, posting: Posting) -> None:
    start_ms = NOON_MS - DAY_MS // 2
    for at_ms in (start_ms - 1, start_ms, MIDNIGHT_MS - 1):
        posting.send([told(str(at_ms), createdAt=at_ms)], at_ms=at_ms)
    # Stored in the last millisecond of the day and taken in after midnight: the next day's, and no stranger to this one.
    posting.send([told("between", createdAt=MIDNIGHT_MS - 1)], at_ms=MIDNIGHT_MS + 2)
    road.run(day=YESTERDAY)
    assert len(road.rows(RAW_EVENTS, "event_id", day=YESTERDAY)) == 4
    before, of_day = account(road, day_from(-1)), account(road)
    assert (before.sent, outcomes(before)) == (1, {"arrived": 1})
    assert (of_day.sent, outcomes(of_day)) == (2, {"arrived": 2})
    assert of_day.not_in_log == {}


def test_a_log_in_many_pages_is_read_whole(road: Road, posting: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPILLARY_LOG_PAGE_ROWS", "20")
    for batch in range(4):
        names = [f"{batch}-{number}" for number in range(15)]
        # All of one batch may be taken in within a millisecond: fewer than a page.
        posting.send([told(name) for name in names], at_ms=NOON_MS + batch * 3_000_000)
    road.run(day=YESTERDAY)
    found = account(road)
    assert (found.sent, outcomes(found), found.doubts) == (60, {"arrived": 60}, [])
    assert found.log.requests > 10


def test_what_landed_by_another_road_is_told_and_is_no_loss(road: Road, posting: Posting) -> None:
    posting.send([told("sent")])
    road.land("export.jsonl", [orjson.loads(told("exported"))], day=YESTERDAY, lane="history")
    road.land("13/other.jsonl", [orjson.loads(told("by-hand"))], day=YESTERDAY)
    road.run(day=YESTERDAY)
    found = account(road)
    assert found.not_in_log == {"pointsExpired": {"history": 1, "live": 1}}
    assert found.not_in_log_by_lane() == {"history": 1, "live": 1}
    assert found.nothing_lost


def test_records_without_an_id_are_counted_and_told_by_their_request(road: Road, posting: Posting) -> None:
    hook = posting.webhook
    hook.dropped = {"a"}
    posting.send([told("a", apiRequestId="request-9", refId="9")])
    # Capillary's log names it, its body does not.
    road.land("13/a.jsonl", [orjson.loads(told(None, apiRequestId="request-9", refId="9")), b"no json"], day=YESTERDAY)
    road.run(day=YESTERDAY)
    found = account(road)
    assert (outcomes(found), found.matched_by_request, found.without_event_id) == ({"arrived": 1}, 1, 2)


def test_days_read_before_ids_were_stored_say_so(road: Road, posting: Posting) -> None:
    posting.send([told("ignored", "groupCreated")])
    older = replace(SET_ASIDE, columns=tuple(one for one in SET_ASIDE.columns if one.name != "event_id"))
    road.run(day=YESTERDAY)
    [row] = road.rows(SET_ASIDE, day=YESTERDAY)
    rows = pa.RecordBatch.from_pylist([row], schema=older.schema)
    before = Road(road_folder(road).parent / "older", load_rules())
    before.lake.replace(older, Slice(YESTERDAY), [rows])
    log = posting.capillary.environment
    api = CapillaryApi(CapillaryApiSettings(url=log["CAPILLARY_API_URL"]))
    reconciler = Reconciler(
        lambda now_ms: DeliveryLog(api, posting.group, 1000, now_ms),
        before.store,
        before.lake,
        before.state,
        settle_ms=0,
    )
    found = reconciler.account(YESTERDAY)
    assert (outcomes(found), found.without_event_id) == ({"missing": 1}, 1)
    before.state.engine.dispose()


def test_what_was_delivered_a_moment_ago_may_still_be_on_its_way(
    road: Road, posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    posting.webhook.dropped = {"fresh"}
    monkeypatch.setenv("CAPILLARY_LOG_SETTLE_MINUTES", "100000")
    posting.send([told("fresh")])
    found = account(road)
    assert outcomes(found) == {"just_sent": 1}
    assert found.nothing_lost


def test_events_without_an_id_are_compared_by_their_number(road: Road, posting: Posting) -> None:
    # The log has no id for either.
    nameless = told(None)
    posting.send([told("a"), b"no json", nameless])
    road.run(day=YESTERDAY)
    found = account(road)
    assert (outcomes(found), found.log.without_id, found.without_event_id) == ({"arrived": 1}, 2, 2)
    assert found.doubts == []

    posting.webhook.dropped = {None}
    posting.send([nameless])
    assert account(road).doubts == ["3 events of the log carry no id, and only 2 such records landed"]


def test_fewer_events_than_capillary_counts_are_a_doubt(road: Road, posting: Posting) -> None:
    posting.send([told("a"), told("b")])
    road.run(day=YESTERDAY)
    found = account(road)
    assert (found.told_by_capillary, found.doubts) == (2, [])
    assert replace(found, told_by_capillary=3).doubts == ["Capillary counts 3 events, its log gave 2"]


def test_the_log_of_another_webhook_is_a_doubt(road: Road, posting: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    posting.send([told("a")])
    road.run(day=YESTERDAY)
    other = posting.capillary.subscribe(name="other", webHookUrl="http://127.0.0.1:9/")
    monkeypatch.setenv("CAPILLARY_LOG_CONSUMER_GROUP_ID", other["consumerGroupId"])
    [doubt] = account(road).doubts
    assert "names no event, and 1 landed live" in doubt
    assert "CAPILLARY_LOG_CONSUMER_GROUP_ID" in doubt


def test_rows_of_another_time_are_a_doubt(road: Road, posting: Posting) -> None:
    """A log that goes by the time of the last attempt would leave out what was repeated on a later day."""
    posting.send([told("a")])

    class ByAttempt:
        def get(self, path: str, params: Mapping[str, Any] | None = None, hide: Collection[str] | None = None) -> Any:
            assert params is not None
            assert hide == ()
            there = params["startDate"] <= NOON_MS <= params["endDate"]
            rows = [row("b", NOON_MS - DAY_MS, eventEndTimestamp=NOON_MS)] if there else []
            return {"data": rows if path.endswith("/logs") else {}}

    found = Reconciler(
        lambda now_ms: DeliveryLog(ByAttempt(), posting.group, 1000, now_ms),
        road.store,
        road.lake,
        road.state,
        settle_ms=0,
    ).account(YESTERDAY)
    assert found.nothing_lost
    assert found.doubts == ["the log gave rows of another time than was asked for"]


def test_an_event_that_capillary_sent_twice_is_no_doubt(road: Road, posting: Posting) -> None:
    posting.send([told("twice"), told("twice"), told("once")])
    posting.send([told("twice")], NOON_MS + DAY_MS // 4)
    road.run(day=YESTERDAY)
    found = account(road)
    assert (found.sent, found.log_rows, found.told_by_capillary, found.doubts) == (2, 4, 4, [])


def test_days_that_cannot_be_reconciled_are_named(road: Road, posting: Posting) -> None:
    assert posting.group
    with pytest.raises(ReconcileError, match="lies ahead"):
        account(road, day_from(3))
    with pytest.raises(ReconcileError, match=r"keeps its delivery log for 30 days"):
        account(road, day_from(-40))
    assert account(road, day_from(-25)).sent == 0


def test_too_little_room_for_a_day_is_one_sentence(
    road: Road, posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    posting.send([told("a")])
    monkeypatch.setattr("capillary_adobe.sent_and_landed._MEMORY", "100KB")
    with pytest.raises(ReconcileError, match=f"Comparing {YESTERDAY} needs more room .* TMPDIR"):
        account(road)


def test_our_webhook_is_found_by_its_name(road: Road, posting: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    posting.send([told("a")])
    monkeypatch.setenv("CAPILLARY_WEBHOOK_NAME", "another")
    with pytest.raises(ReconcileError, match=r"no webhook by the name another .*capillary-adobe subscribe"):
        account(road)
    monkeypatch.setenv("CAPILLARY_LOG_CONSUMER_GROUP_ID", posting.group)
    assert account(road).sent == 1


def test_without_capillarys_api_it_says_what_is_missing(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "KEY", "SECRET"):
        monkeypatch.delenv(f"CAPILLARY_API_{name}", raising=False)
    assert "set CAPILLARY_API_URL" in not_set_up()
    with pytest.raises(SettingsError, match="CAPILLARY_API_URL"):
        account(road)
    monkeypatch.setenv("CAPILLARY_API_URL", "https://eu.api.example.com")
    with pytest.raises(SettingsError, match="CAPILLARY_API_KEY is missing"):
        not_set_up()
