"""Totals of a day of history: each event once, found at AEP by its key, on whatever day and lane it was delivered."""

from __future__ import annotations

import tempfile
import time
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.insights.places import open_place
from capillary_adobe.demo.exports import Plan, month_of_lines, rules_of, write_exports
from capillary_adobe.history_checks import account_of_file, unfinished_versions
from capillary_adobe.history_importing import Imported
from capillary_adobe.history_place import import_place
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.history_totals import DayTotals, Sums, totals_of_day
from capillary_adobe.state.history_files import FileDay, HistoryFile
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.history_days import DAY, TENANT, VERSION, HistoryDay, bill, key_of, line, points, purchase

OTHER_DAY = "2025-03-12"
BILL = "transactionAdded"


@pytest.fixture
def day(tmp_path: Path) -> HistoryDay:
    return HistoryDay(tmp_path)


def totals(day: HistoryDay) -> DayTotals:
    day.write()
    counted, unfinished = day.files.days(day=DAY), unfinished_versions(day.files)
    return totals_of_day(DAY, day.store, day.lake, TENANT, counted, unfinished)


def told(found: DayTotals) -> dict[str, tuple[int, Decimal, Decimal]]:
    return {one.fate: (one.events, one.exported, one.delivered) for one in found.sums}


def test_what_aep_took_sums_to_what_the_export_tells_to_the_last_place(day: HistoryDay) -> None:
    amounts = [0.1, 0.2, 1999.995, 12]
    key = day.land(bill(str(number), amount) for number, amount in enumerate(amounts))
    for number, amount in enumerate(amounts):
        day.raw(BILL, key_of(str(number)), (key, number + 1))
        day.entity(BILL, key_of(str(number)), purchase(amount), "accepted")
    day.note(
        FileDay(
            VERSION,
            "transactions",
            DAY,
            4,
            4,
            4,
            by_event_type={BILL: 4},
            totals={f"{BILL}.amount": Decimal("2012.295")},
        )
    )
    found = totals(day)
    total = Decimal("2012.295")
    assert found.sums == [Sums(BILL, "amount", "accepted", 4, total, total)]
    assert (found.lines, found.differing, found.without_value, found.not_as_counted) == (4, 0, 0, [])


def test_an_event_that_the_webhook_delivered_on_another_day_is_found_by_its_key(day: HistoryDay) -> None:
    key = day.land([bill("1", 100), bill("2", 50)])
    day.aside(BILL, key_of("1"), (key, 1), "duplicate", OTHER_DAY)
    day.aside(BILL, key_of("2"), (key, 2), "duplicate", DAY)
    day.entity(BILL, key_of("1"), purchase(100), "accepted", day=OTHER_DAY, lane="live")
    day.entity(BILL, key_of("2"), purchase(50), "accepted", lane="live")
    assert told(totals(day)) == {"accepted": (2, Decimal(150), Decimal(150))}


def test_an_event_that_several_lines_tell_counts_once(day: HistoryDay) -> None:
    later = "cd" * 32
    first, second = day.land([bill("1", 100)]), day.land([bill("1", 100, version=later)], version=later)
    day.raw(BILL, key_of("1"), (first, 1))
    day.aside(BILL, key_of("1"), (second, 1), "duplicate", DAY)
    # And once more, as a line that gave way is noted by the run that took its place.
    day.aside(BILL, key_of("1"), (second, 1), "duplicate", DAY, replaced=True)
    day.entity(BILL, key_of("1"), purchase(100), "accepted")
    assert told(totals(day)) == {"accepted": (1, Decimal(100), Decimal(100))}


def test_what_is_not_at_aep_is_named_by_its_fate(day: HistoryDay) -> None:
    amounts = {
        "accepted": 1,
        "refused": 2,
        "failed": 4,
        "pending": 8,
        "held": 16,
        "xdm": 32,
        "lost": 64,
        "raw": 128,
        "cut": 256,
    }
    key = day.land([*(bill(name, amount) for name, amount in amounts.items()), bill("unread", 512)])
    for number, name in enumerate(amounts, start=1):
        match name:
            case "raw":
                day.refused((key, number))
            case "cut":
                day.aside(BILL, None, (key, number), "ignored", "live_covers")
            case _:
                day.raw(BILL, key_of(name), (key, number))
    for name, status in (("accepted",) * 2, ("refused", "rejected"), ("failed",) * 2, ("pending",) * 2, ("held", None)):
        day.entity(BILL, key_of(name), purchase(amounts[name]), status)
    day.refused((key, 6), stage="xdm", key=key_of("xdm"))
    found = totals(day)
    assert {fate: (events, exported) for fate, (events, exported, _) in told(found).items()} == {
        "accepted": (1, Decimal(1)),
        "refused": (1, Decimal(2)),
        "open": (3, Decimal(4 + 8 + 16)),
        "quarantined": (2, Decimal(32 + 128)),
        "lost": (1, Decimal(64)),
        "ignored": (1, Decimal(256)),
        "unread": (1, Decimal(512)),
    }
    assert found.events("lost") == 1


def test_differences_that_cancel_out_are_found_and_told_from_those_of_the_webhook(day: HistoryDay) -> None:
    key = day.land([bill("1", 100), bill("2", 50), bill("3", 7)])
    for number in (1, 2):
        day.raw(BILL, key_of(str(number)), (key, number))
    day.aside(BILL, key_of("3"), (key, 3), "duplicate", DAY)
    day.entity(BILL, key_of("1"), purchase(50), "accepted")
    day.entity(BILL, key_of("2"), purchase(100), "accepted")
    day.entity(BILL, key_of("3"), purchase(8), "accepted", lane="live")
    found = totals(day)
    assert told(found) == {"accepted": (3, Decimal(157), Decimal(158))}
    assert (found.differing, found.by_webhook) == (2, 1)
    assert found.examples == sorted(map(key_of, "123"))


def test_a_field_that_the_mapping_leaves_out_cannot_be_compared(day: HistoryDay) -> None:
    key = day.land([bill("1", 100)])
    day.raw(BILL, key_of("1"), (key, 1))
    day.entity(BILL, key_of("1"), {"commerce": {}}, "accepted")
    found = totals(day)
    assert (found.without_value, found.differing) == (1, 0)


@pytest.mark.parametrize(
    ("name", "source", "entity"),
    [
        (BILL, "amount", {"commerce": {"order": {"refundTotal": 12.5}}}),
        ("pointsIssued", "totalPointsIssued", points(12.5)),
        ("pointsRedeemed", "totalPointsRedeemed", points(12.5)),
        ("pointsExpired", "pointsExpired", points(12.5)),
        ("issuedPointsReversed", "totalIssuedPointsReversed", points(12.5)),
        ("redeemedPointsReversed", "redeemedPointsReversed", points(12.5)),
        ("pointsTransferredInitiated", "totalPointsTransferred", points(12.5)),
        ("manualPointsAdjustment", "totalPoinstDeducted", points(12.5)),
    ],
)
def test_each_measure_is_found_in_line_and_entity(
    day: HistoryDay, name: str, source: str, entity: dict[str, Any]
) -> None:
    key = day.land([line(name, "points|1", {source: 12.5})], template="points")
    day.raw(name, key_of("1"), (key, 1))
    day.entity(name, key_of("1"), entity, "accepted")
    assert told(totals(day)) == {"accepted": (1, Decimal("12.5"), Decimal("12.5"))}


def test_an_event_without_a_measure_counts_all_the_same(day: HistoryDay) -> None:
    key = day.land([line("tierUpgraded", "tiers|1", {})], template="tiers")
    day.raw("tierUpgraded", key_of("1"), (key, 1))
    found = totals(day)
    assert found.sums == [Sums("tierUpgraded", "", "lost", 1, Decimal(0), Decimal(0))]


def test_lines_that_are_not_what_the_import_counted_are_named(day: HistoryDay) -> None:
    other = "cd" * 32
    day.land([bill("1", 100), bill("2", 50)])
    day.land([bill("3", 1, version=other)], version=other)
    day.note(
        FileDay(
            VERSION, "transactions", DAY, 2, 2, 2, by_event_type={BILL: 2}, totals={f"{BILL}.amount": Decimal(151)}
        ),
        FileDay(VERSION, "points", DAY, 1, 1, 1, by_event_type={"pointsIssued": 1}),
    )
    assert totals(day).not_as_counted == [
        "pointsIssued of points, version abababababab: 0 lines, 1 events imported",
        "transactionAdded of transactions, version abababababab: lines sum to 150, rows to 151",
        "transactionAdded of transactions, version cdcdcdcdcdcd: no import noted it",
    ]


def test_more_places_than_are_summed_are_no_difference(day: HistoryDay) -> None:
    # As a warehouse tells what it has kept in binary.
    amounts = ["1999.9899999999998", "0.30000000000000004", "7.0000000004"]
    key = day.land(bill(str(number), float(amount)) for number, amount in enumerate(amounts))
    for number, amount in enumerate(amounts):
        day.raw(BILL, key_of(str(number)), (key, number + 1))
        day.entity(BILL, key_of(str(number)), purchase(float(amount)), "accepted")
    total = sum(map(Decimal, amounts), Decimal(0))
    day.note(FileDay(VERSION, "transactions", DAY, 3, 3, 3, by_event_type={BILL: 3}, totals={f"{BILL}.amount": total}))
    found = totals(day)
    assert (found.differing, found.not_as_counted) == (0, [])


def test_what_an_import_has_landed_that_has_not_ended_is_not_held_against_it(day: HistoryDay) -> None:
    other = "cd" * 32
    day.land([bill("1", 100)])
    day.land([bill("2", 1, version=other)], version=other)
    day.note(FileDay(VERSION, "transactions", DAY, 1, 1, 1, by_event_type={BILL: 1}))
    day.files.begin(HistoryFile(other, "export.zip", "/exports", 10, 1))
    assert totals(day).not_as_counted == []
    day.files.finish(other, 0, [])
    assert totals(day).not_as_counted == ["transactionAdded of transactions, version cdcdcdcdcdcd: no import noted it"]


def test_refused_rows_and_lines_that_no_import_wrote_are_no_events(day: HistoryDay) -> None:
    day.land([bill("1", 100, refused="not_a_number"), {"eventName": BILL, "data": {"amount": 5}}])
    assert totals(day) == DayTotals()


FATES = st.sampled_from(["accepted", "live", "open", "refused", "quarantined", "ignored", "unread", "lost"])


@settings(max_examples=examples(8), deadline=None)
@given(st.lists(st.tuples(FATES, st.decimals(0, 10**7, places=3)), max_size=40))
def test_every_event_ends_in_one_fate_with_its_sum(happenings: list[tuple[str, Decimal]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        day = HistoryDay(Path(folder))
        key = day.land(bill(str(n), float(amount)) for n, (_, amount) in enumerate(happenings))
        for n, (fate, amount) in enumerate(happenings):
            name, place = key_of(str(n)), (key, n + 1)
            if fate == "ignored":
                day.aside(BILL, None, place, "ignored", "live_covers")
            elif fate == "quarantined":
                day.refused(place)
            elif fate == "live":
                day.aside(BILL, name, place, "duplicate", OTHER_DAY)
                day.entity(BILL, name, purchase(float(amount)), "accepted", lane="live", day=OTHER_DAY)
            elif fate != "unread":
                day.raw(BILL, name, place)
            if status := {"accepted": "accepted", "open": "pending", "refused": "rejected"}.get(fate):
                day.entity(BILL, name, purchase(float(amount)), status)
        expected: dict[str, tuple[int, Decimal]] = {}
        for fate, amount in happenings:
            named = "accepted" if fate == "live" else fate
            events, total = expected.get(named, (0, Decimal(0)))
            expected[named] = (events + 1, total + amount)
        found = totals(day)
        assert {one.fate: (one.events, one.exported) for one in found.sums} == expected
        assert found.differing == found.without_value == 0


def test_a_day_of_20_000_events_takes_a_second_or_two(day: HistoryDay) -> None:
    count = 20_000
    key = day.land(bill(str(n), n / 100) for n in range(count))
    for n in range(count):
        day.raw(BILL, key_of(str(n)), (key, n + 1))
        day.entity(BILL, key_of(str(n)), {**purchase(n / 100), "filler": "x" * 1500}, "accepted")
    day.write()
    began = time.process_time()
    found = totals_of_day(DAY, day.store, day.lake, TENANT, [])
    assert found.events("accepted") == count
    assert time.process_time() - began < 6


def test_lines_of_every_template_sum_to_what_their_rows_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone, exports = ZoneInfo("Asia/Kolkata"), tmp_path / "exports"
    plan = Plan(datetime(2025, 5, 1, tzinfo=zone), zone, inflated=0.2, broken=0.02)
    write_exports(exports, month_of_lines(date(2025, 3, 1), 20, 600), plan)
    (tmp_path / "rules.yaml").write_text(rules_of(plan, datetime(2025, 5, 1, tzinfo=zone)))
    variables = {"URL": exports, "ORG_ID": "100458", "RULES": tmp_path / "rules.yaml", "WORK_FOLDER": tmp_path / "work"}
    for name, value in variables.items():
        monkeypatch.setenv(f"INSIGHTS_{name}", str(value))
    monkeypatch.setenv("CAPILLARY_ORG_TIMEZONE", str(zone))
    day = HistoryDay(tmp_path / "stores")
    setup = ImportSetup.read(day.store, day.state)
    imported = list(import_place(open_place(str(exports), setup.insights), setup, lambda _: None))
    assert all(isinstance(one, Imported) for one in imported), imported
    summed: dict[str, int] = {}
    for of_day in day.store.days("history"):
        found = totals_of_day(of_day, day.store, day.lake, TENANT, day.files.days(day=of_day))
        assert found.not_as_counted == []
        for one in found.sums:
            if one.exported:
                summed[one.event_name] = summed.get(one.event_name, 0) + one.events
    # Nothing that has a measure passes for want of a sum.
    assert {BILL, "pointsIssued", "pointsRedeemed", "pointsExpired"} <= set(summed)
    for one in imported:
        assert isinstance(one, Imported)
        assert account_of_file(one.file, one.days, day.store).differences == ()
