"""The watermark: of what webhook and export tell under two names, each happening counts once, whatever the order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.insights.rules import InsightsRules, RulesError
from capillary_adobe.capillary.insights.templates import event_types
from capillary_adobe.capillary.insights.watermark import Watermark
from capillary_adobe.capillary.person import NotDelivered
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, DAY, ORG, PROGRAM, Json, event
from capillary_adobe_tests.capillary.exported import exported, told
from capillary_adobe_tests.capillary.road import Road
from capillary_adobe_tests.examples import examples

CUT = sorted(name for name in event_types() if not shipped_catalogue().find(name).natural_key)  # type: ignore[union-attr]
NOT_CUT = sorted(set(shipped_catalogue().names()) - set(CUT))
MARK_MS = CREATED_MS - CREATED_MS % 1000
DATA = {"loyaltyProgramDetails": PROGRAM}


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "insights.yaml"
    monkeypatch.setenv("INSIGHTS_RULES", str(path))
    return path


def mark(path: Path, *, shared: str = "", **moments: int) -> None:
    """Write a rules file with watermarks, epoch ms by event type or `default`."""
    lines = [f"  {name}: {_moment(at_ms)}" for name, at_ms in moments.items()]
    path.write_text(
        "\n".join([*([f"shared_keys: [{shared}]"] if shared else []), *(["live_from:", *lines] if lines else [])])
    )


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}+00:00"


def road_of(folder: Path) -> Road:
    return Road(folder, load_rules())


def webhook(name: str, created_ms: int, data: Json | None = None, **fields: object) -> Json:
    return event(name, DATA | (data or {}), createdAt=created_ms, **fields)


@pytest.mark.parametrize("name", CUT)
def test_history_counts_up_to_the_watermark_and_live_from_it_on(tmp_path: Path, rules: Path, name: str) -> None:
    mark(rules, default=MARK_MS)
    road = road_of(tmp_path)
    moments = (MARK_MS - 1, MARK_MS, MARK_MS + 1)
    road.land("10/a.jsonl", [webhook(name, at_ms, eventId=str(at_ms)) for at_ms in moments])
    road.land(
        "e.jsonl",
        [exported(name, key=f"k{at}", createdAt=at, export=told(key=f"k{at}")) for at in moments],
        lane="history",
    )
    counts = road.run()
    taken = sorted(road.rows(RAW_EVENTS, "created_ms", "lane"))
    assert taken == [(MARK_MS - 1, "history"), (MARK_MS, "live"), (MARK_MS + 1, "live")]
    assert dict(counts.ignored) == {"history_covers": 1, "live_covers": 2}
    aside = road.rows(SET_ASIDE, "lane", "kind", "reason", "event_name", "event_id")
    assert aside == [
        ("live", "ignored", "history_covers", name, str(MARK_MS - 1)),
        ("history", "ignored", "live_covers", name, None),
        ("history", "ignored", "live_covers", name, None),
    ]


def test_a_type_may_have_a_watermark_of_its_own(tmp_path: Path, rules: Path) -> None:
    mark(rules, default=MARK_MS, tierUpgraded=MARK_MS + 1000)
    road = road_of(tmp_path)
    road.land("10/a.jsonl", [webhook("tierUpgraded", MARK_MS), webhook("pointsIssued", MARK_MS, eventId="2")])
    road.run()
    assert road.rows(RAW_EVENTS, "event_name") == ["pointsIssued"]


@pytest.mark.parametrize("rules_file", [None, "default", "shared"])
def test_events_that_no_export_tells_otherwise_are_never_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules_file: str | None
) -> None:
    """Without a rules file that is every event of a webhook."""
    path = tmp_path / "insights.yaml"
    if rules_file is not None:
        monkeypatch.setenv("INSIGHTS_RULES", str(path))
        mark(path, default=MARK_MS, shared="tierRenewed" if rules_file == "shared" else "")
    watermark = Watermark.of_environment()
    for name in NOT_CUT if rules_file else shipped_catalogue().names():
        if shipped_catalogue().find(name).natural_key is None:  # type: ignore[union-attr]
            watermark.cut(name, MARK_MS - 10**9, exported=False)
            watermark.cut(name, MARK_MS + 10**9, exported=False)
    if rules_file == "default":
        with pytest.raises(NotDelivered, match="history_covers"):
            watermark.cut("tierRenewed", MARK_MS - 10**9, exported=False)


def test_a_fault_in_another_setting_of_exports_stops_no_live_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTS_POLL_SECONDS", "soon")
    Watermark.of_environment().cut("tierRenewed", MARK_MS, exported=False)


def test_a_bill_is_never_cut_since_both_lanes_name_it_alike(tmp_path: Path, rules: Path) -> None:
    mark(rules, default=MARK_MS)
    road = road_of(tmp_path)
    bills = [{"transactionId": number, "billType": "REGULAR"} for number in (1, 2)]
    road.land("10/a.jsonl", [webhook("transactionAdded", MARK_MS - 1000, bills[0])])
    road.land("e.jsonl", [exported("transactionAdded", bills[1], createdAt=MARK_MS + 1000)], lane="history")
    assert road.run().raw == 2


def test_without_a_watermark_an_export_waits_in_quarantine_until_there_is_one(tmp_path: Path, rules: Path) -> None:
    mark(rules, tierRenewed=MARK_MS)
    road = road_of(tmp_path)
    road.land("e.jsonl", [exported(createdAt=MARK_MS - 1)], lane="history")
    assert dict(road.run().quarantined) == {"no_watermark": 1}
    [detail] = road.rows(QUARANTINE, "detail")
    assert "live_from" in detail
    assert detail.endswith("line 17.")
    mark(rules, tierRenewed=MARK_MS, pointsIssued=MARK_MS)
    again = road_of(tmp_path)
    assert (again.run().raw, again.rows(QUARANTINE)) == (1, [])


def test_a_rules_file_that_cannot_be_read_stops_the_stage(tmp_path: Path, rules: Path) -> None:
    with pytest.raises(RulesError):
        road_of(tmp_path)
    rules.write_text("live_form: {}")
    with pytest.raises(RulesError, match="live_from"):
        road_of(tmp_path)


@pytest.mark.parametrize("first", ["live", "history"])
def test_types_with_shared_keys_find_each_other_whichever_lane_came_first(
    tmp_path: Path, rules: Path, first: str
) -> None:
    mark(rules, shared="pointsIssued", default=MARK_MS)
    road = road_of(tmp_path)
    moments = {"live": MARK_MS - 5, "history": MARK_MS + 5}
    others = {"customerIdentifiers": {"customerId": CUSTOMER + 1}}, {"loyaltyProgramDetails": {"id": 974}}

    def land(lane: str) -> str:
        at_ms = moments[lane]
        if lane == "live":
            lines = [
                webhook("pointsIssued", at_ms, more, eventLogId=41, eventId=str(n))
                for n, more in enumerate(({}, *others))
            ]
            return road.land("10/a.jsonl", lines)
        lines = [
            exported(data=more, createdAt=at_ms, eventLogId=41, export=told(key=f"k{n}"))
            for n, more in enumerate(({}, *others))
        ]
        return road.land("e.jsonl", lines, lane="history")

    for number, lane in enumerate([first, "history" if first == "live" else "live"]):
        road.run(f"b-{number}", [land(lane)])
    assert len(road.rows(RAW_EVENTS)) == 3, "one action, two customers and two programs"
    assert road.rows(SET_ASIDE, "kind") == ["duplicate"] * 3


@pytest.mark.parametrize(
    "lacking",
    [{"eventLogId": None}, {"eventLogId": 0}, {"data": {"customerIdentifiers": {"customerId": CUSTOMER}}}],
)
def test_an_event_without_what_shared_keys_are_made_of_is_never_doubled_in_silence(
    tmp_path: Path, rules: Path, lacking: Json
) -> None:
    mark(rules, shared="pointsIssued")
    road = road_of(tmp_path)
    road.land("10/a.jsonl", [webhook("pointsIssued", MARK_MS, eventLogId=41) | lacking])
    road.land("e.jsonl", [exported(eventLogId=41) | lacking], lane="history")
    road.run()
    assert road.rows(RAW_EVENTS, "lane") == ["live"]
    [detail] = road.rows(QUARANTINE, "detail")
    assert "shared_keys" in detail


_names = st.sampled_from(["pointsIssued", "pointsExpired", "tierUpgraded", "transactionAdded", "pointsRedeemed"])
_happenings = st.lists(st.tuples(_names, st.integers(-3000, 3000)), min_size=1, max_size=5)


@settings(deadline=None, max_examples=examples(10), database=None)
@given(
    happened=_happenings,
    marks=st.dictionaries(_names, st.integers(-3, 3), max_size=3),
    turns=st.lists(st.sampled_from(["live", "history"]), max_size=12),
    shared=st.sampled_from(["", "pointsIssued"]),
)
def test_every_happening_counts_once_whatever_the_marks_and_the_order_of_landing(
    tmp_path_factory: pytest.TempPathFactory,
    happened: list[tuple[str, int]],
    marks: dict[str, int],
    turns: list[str],
    shared: str,
) -> None:
    folder = tmp_path_factory.mktemp("marks")
    (folder / "landing").mkdir()
    path = folder / "insights.yaml"
    written = {
        name: MARK_MS + 1000 * at
        for name, at in marks.items()
        if name not in (shared, "transactionAdded", "pointsRedeemed")
    }
    mark(path, shared=shared, **{"default": MARK_MS} | written)
    twins: dict[str, list[Json]] = {"live": [], "history": []}
    for number, (name, at) in enumerate(happened, start=1):
        data = {"transactionId": number, "redemptionSummaryId": number, "number": number}
        at_ms = MARK_MS + at
        twins["live"].append(webhook(name, at_ms, data, eventId=f"e{number}", eventLogId=number))
        line = exported(name, data, createdAt=at_ms, eventLogId=number, export=told(key=f"k{number}"))
        twins["history"].append(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIGHTS_RULES", str(path))
        road = road_of(folder)
    # Lines of both lanes land one by one, in the order of the turns; what is left lands at the end.
    for number, lane in enumerate([*turns, *["live"] * len(happened), *["history"] * len(happened)]):
        if twins[lane]:
            name = f"10/{number:03}.jsonl" if lane == "live" else f"{number:03}.jsonl"
            key = road.land(name, [twins[lane].pop()], lane="events" if lane == "live" else "history")
            road.run(f"b-{number:03}", [key])
    taken = [orjson.loads(data)["number"] for data in road.rows(RAW_EVENTS, "data")]
    assert sorted(taken) == list(range(1, len(happened) + 1))
    assert road.rows(QUARANTINE) == []
    assert len(road.rows(SET_ASIDE)) == len(happened)
    whole = road.rows(RAW_EVENTS, "event_key")
    road.run()
    assert sorted(road.rows(RAW_EVENTS, "event_key")) == sorted(whole)


def test_the_cut_names_no_customer_and_no_value() -> None:
    with pytest.raises(NotAnEvent) as refused:
        Watermark(InsightsRules()).cut("pointsIssued", CREATED_MS, exported=True)
    assert str(CREATED_MS) not in refused.value.detail
    assert (refused.value.code, refused.value.event_name) == ("no_watermark", "pointsIssued")
    assert str(ORG) not in refused.value.detail
    assert DAY not in refused.value.detail
