"""The import of a file: lines as webhooks write them, every row accounted for, and nothing before all is well."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe import history_lines, history_reading
from capillary_adobe.capillary.insights.model import Context
from capillary_adobe.capillary.insights.places import open_place
from capillary_adobe.capillary.insights.templates import TemplateUnknown
from capillary_adobe.history_importing import HistoryImportError, look_into
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Customers, HistoryDays
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.history_imports import BILLS, MEMBERS, NOW, ORG, TIERS, Importer, bill, csv, tier, zipped


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def test_rows_of_a_bill_become_one_line_with_the_rows(importer: Importer) -> None:
    done = importer.import_("bills.csv", csv(BILLS, bill(9), bill(8), bill(9, item=2)))
    (_, first), (day, line) = importer.lines()
    assert first["export"]["key"] == "transactions|8"
    assert day == "2026-09-01"
    assert line["eventName"] == "transactionAdded"
    assert line["orgId"] == ORG
    # 10:00 in Kolkata.
    assert line["createdAt"] == 1788237000000
    assert line["data"]["transactionId"] == 9
    cells = dict(zip(BILLS.split(","), bill(9, item=2).split(","), strict=True))
    version = done.file.version[:12]
    assert {name: line["export"][name] for name in ("template", "key", "file", "version")} == {
        "template": "transactions",
        "key": "transactions|9",
        "file": "bills.csv",
        "version": version,
    }
    assert [row["line"] for row in line["export"]["rows"]] == [2, 4]
    assert line["export"]["rows"][1] == {"line": 4, "cells": cells}
    assert list(importer.landed()) == [f"history/2026-09-01/{version}-transactions-0000.jsonl.gz"]
    assert (done.events, done.event_rows, done.file.rows) == (2, 3, 3)
    assert done.totals == {"transactionAdded.amount": Decimal("21.00")}


def test_rows_of_a_bill_may_stand_in_several_files_of_a_zip(importer: Importer) -> None:
    importer.import_("bills.zip", zipped(a=csv(BILLS, bill(9)), b=csv(BILLS, bill(9, item=2))))
    ((_, line),) = importer.lines()
    assert line["export"]["file"] == "bills.zip/a.csv"
    (first, second) = line["export"]["rows"]
    assert (first["line"], first.get("file")) == (2, None)
    assert (second["line"], second["file"]) == (2, "bills.zip/b.csv")
    assert line["data"]["lineItemCount"] == 2


def test_several_templates_in_a_zip(importer: Importer) -> None:
    members = csv(MEMBERS, "77,Ada,5,9,3")
    done = importer.import_("all.zip", zipped(bills=csv(BILLS, bill(1)), tiers=csv(TIERS, tier(5)), members=members))
    assert done.by_event_type == {"tierUpgraded": 1, "transactionAdded": 1}
    assert done.templates == ["members", "tiers", "transactions"]
    assert done.ignored == {"customer_state": 1}
    assert [key.split("-")[-2] for key in importer.landed()] == ["tiers", "transactions"]


def test_a_row_that_no_event_can_be_made_of_lands_with_its_reason(importer: Importer) -> None:
    importer.import_(
        "bills.csv", csv(BILLS, bill(1, amount="ten"), "2,77", bill(3, customer=0, day="2026-10-01"), bill(4))
    )
    refused = [(day, line["export"]) for day, line in importer.lines() if "refused" in line["export"]]
    told = [(day, export["refused"], export["rows"][0]["line"]) for day, export in refused]
    # A bad amount has a day; of a torn row nobody knows it, so it lands on the day of the import.
    assert told == [("2026-09-01", "bad_number", 2), ("2026-11-20", "row_ragged", 3)]
    assert refused[0][1]["rows"][0]["cells"]["bill_amount"] == "ten"
    assert refused[1][1]["rows"][0]["text"] == "2,77"
    assert "ten" not in refused[0][1]["detail"]


def test_days_before_the_first_partition_are_no_events_and_days_to_come_are_refused(importer: Importer) -> None:
    importer.start = date(2026, 9, 1)
    rows = [bill(1, "2026-08-31"), bill(2, "2026-09-01"), bill(3, "2026-11-20"), bill(4, "2026-11-21")]
    done = importer.import_("bills.csv", csv(BILLS, *rows))
    assert done.before_start == 1
    assert done.first_before_start == "2026-08-31"
    assert done.event_days == ["2026-09-01", "2026-11-20"]
    assert done.quarantined == {"time_in_future": 1}
    assert [day for day, line in importer.lines() if "refused" in line["export"]] == ["2026-11-20"]


def test_what_is_counted_is_what_the_days_know(importer: Importer) -> None:
    importer.import_("one.csv", csv(BILLS, bill(1), bill(2, "2026-09-02"), bill(3, "2026-09-02", amount="x")))
    importer.import_("two.csv", csv(BILLS, bill(4, "2026-09-02")))
    days = {day.day: (day.events, day.standing) for day in HistoryDays(importer.state).all()}
    assert days == {"2026-09-01": (1, "waiting"), "2026-09-02": (2, "waiting")}


# Numbers, dates and words as they come, good ones often, with what breaks a line of CSV.
cells = st.sampled_from(
    ["77", "1", "10.50", "2026-09-01", "10:00:00", "", "x", '"', "1e9", "-1", "UPGRADE", "\u2028", "9" * 30]
)
lines = st.lists(st.lists(cells, min_size=7, max_size=9).map(",".join) | st.builds(bill, st.integers(1, 3)), max_size=8)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines, lines)
def test_every_row_is_accounted_for(importer: Importer, bills: list[str], tiers: list[str]) -> None:
    shutil.rmtree(importer.root / "landing", ignore_errors=True)
    content = zipped(bills=csv(BILLS, *bills), tiers=csv(TIERS, *tiers))
    done = importer.import_("all.zip", content, again=True)
    assert done.file.rows == done.event_rows + sum(done.quarantined.values()) + sum(done.ignored.values())
    landed = Counter((day, line["export"]["template"]) for day, line in importer.lines())
    assert landed == Counter({(day.day, day.template): day.lines for day in done.days if day.lines})
    refused = [line["export"] for _, line in importer.lines() if "data" not in line]
    assert Counter(export["refused"] for export in refused for _ in export["rows"]) == Counter(done.quarantined)


def test_rows_that_are_lost_on_the_way_stop_the_import(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(template: str, rows: list, context: Context) -> list:
        return [event.__class__(**{**vars(event), "lines": event.lines[:1]}) for event in told(template, rows, context)]

    told = history_lines.events_of
    monkeypatch.setattr(history_lines, "events_of", forgetful)
    with pytest.raises(HistoryImportError, match="2 rows were read and 1 are accounted for"):
        importer.import_("bills.csv", csv(BILLS, bill(9), bill(9, item=2)))
    assert importer.landed() == {}
    (file,) = importer.files.all()
    assert file.done_ms is None
    assert "accounted for" in (file.failed or "")


def test_a_file_whose_name_tells_its_template_can_be_renamed_until_it_is_imported(importer: Importer) -> None:
    # The required columns alone, and none that tells the template.
    content = csv("bill_id,user_id,bill_amount,event_date", "1,77,10.50,2026-09-01")
    with pytest.raises(TemplateUnknown):
        importer.import_("export-17.csv", content)
    done = importer.import_("Transactions/export-17.csv", content)
    assert (done.events, done.file.name) == (1, "Transactions/export-17.csv")
    ((_, line),) = importer.lines()
    assert line["export"]["file"] == "Transactions/export-17.csv"


def test_an_export_whose_column_of_customers_is_called_otherwise_is_no_export_of_bills_without_any(
    importer: Importer,
) -> None:
    content = csv(BILLS.replace("user_id", "Member No"), bill(1))
    with pytest.raises(TemplateUnknown, match="lacks customer_id"):
        importer.import_("bills.csv", content)
    importer.rules = "columns: {transactions: {Member No: customer_id}}"
    assert importer.import_("bills.csv", content).events == 1


def test_a_missing_watermark_stops_the_import_before_anything_lands(importer: Importer) -> None:
    importer.rules = "live_from: {tierDowngraded: 2026-11-01}"
    members = csv(MEMBERS, "77,Ada,5,9,3")
    content = zipped(bills=csv(BILLS, bill(1)), tiers=csv(TIERS, tier(5)), members=members)
    with pytest.raises(HistoryImportError) as raised:
        importer.import_("all.zip", content)
    words = str(raised.value)
    assert "tierUpgraded" in words
    assert "transactionAdded" not in words
    assert "live_from" in words
    assert "INSIGHTS_RULES" in words
    assert importer.landed() == {}
    assert Customers(importer.state).documents([CustomerKey(ORG, 77)]) == {}
    assert HistoryDays(importer.state).all() == []
    importer.rules = "live_from: {tierUpgraded: 2026-11-01}"
    assert importer.import_("all.zip", content).events == 2


def test_types_that_a_file_could_hold_and_does_not_want_no_watermark(importer: Importer) -> None:
    importer.rules = ""
    assert importer.import_("all.zip", zipped(bills=csv(BILLS, bill(1)), tiers=csv(TIERS))).events == 1


def test_types_with_shared_keys_want_no_watermark(importer: Importer) -> None:
    importer.rules = "shared_keys: [tierUpgraded]"
    assert importer.import_("tiers.csv", csv(TIERS, tier(5))).events == 1


def test_members_are_known_as_of_the_day_in_the_name(importer: Importer) -> None:
    newer = csv(MEMBERS, "77,Ada,5,9,3", "78,Bob,1,1,3")
    assert importer.import_("members_2026-10-05.csv", newer).changed_customers == 2
    importer.import_("members_2026-09-05.csv", csv(MEMBERS, "77,Eve,5,9,3"))
    # Of a day that was to come when the file was made, nothing is known: it is as old as the file.
    importer.take(importer.put("members_2099-01-01.csv", csv(MEMBERS, "78,Zoe,5,9,3"), changed=NOW - 60 * 86_400))
    found = Customers(importer.state).documents([CustomerKey(ORG, 77), CustomerKey(ORG, 78)])
    assert {key.customer_id: one["first_name"].value for key, one in found.items()} == {77: "Ada", 78: "Bob"}


def test_tier_changes_are_known_though_their_days_have_no_partition(importer: Importer) -> None:
    importer.start = date(2026, 9, 1)
    done = importer.import_("tiers.csv", csv(TIERS, tier(5, "2026-08-01")))
    assert (done.events, done.before_start) == (0, 1)
    (document,) = Customers(importer.state).documents([CustomerKey(ORG, 77)]).values()
    assert document["program.3.tier_name"].value == "Gold"


def test_a_row_of_a_member_that_cannot_be_read_is_no_fact(importer: Importer) -> None:
    done = importer.import_("members.csv", csv(MEMBERS, "77,Ada,lots,9,3", "78,Bob,1,1,3"))
    assert done.quarantined == {"bad_number": 1}
    assert done.ignored == {"customer_state": 1}
    assert done.facts == 1


def test_an_event_of_too_many_rows_is_refused_row_by_row(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_lines, "LINE_BYTES", 4_000)
    rows = [bill(9, item=item) for item in range(50)]
    done = importer.import_("bills.csv", csv(BILLS, *rows, bill(10)))
    assert done.quarantined == {"event_too_large": 50}
    assert done.events == 1
    assert [day.lines for day in done.days] == [51]
    told = [line["export"]["rows"][0]["line"] for _, line in importer.lines() if "refused" in line["export"]]
    assert told == list(range(2, 52))


def test_an_event_that_is_too_large_beside_its_rows_is_refused_with_them(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_lines, "LINE_BYTES", 4_000)
    done = importer.import_("bills.csv", csv(BILLS, *[bill(9, item=item) for item in range(18)]))
    assert done.quarantined == {"event_too_large": 18}
    ((_, line),) = importer.lines()
    assert [row["line"] for row in line["export"]["rows"]] == list(range(2, 20))


def test_a_bill_of_many_line_items_is_one_event(importer: Importer) -> None:
    done = importer.import_("bills.csv", csv(BILLS, *[bill(9, item=item) for item in range(5_000)]))
    assert (done.events, done.event_rows) == (1, 5_000)
    ((_, line),) = importer.lines()
    assert len(line["data"]["exported"]["lineItems"]) == 5_000


def test_a_look_keeps_nothing(importer: Importer) -> None:
    importer.rules = ""
    found = importer.put("tiers.csv", csv(TIERS, tier(5)))
    setup = importer.setup
    file, made = look_into(open_place(str(importer.arrived), setup.insights), found, setup, importer.said.append)
    assert made.counts.event_types() == {"tierUpgraded"}
    assert importer.files.all() == []
    assert importer.landed() == {}
    assert importer.files.find(file.version) is None


def test_nothing_of_a_row_stands_in_words_or_the_ledger(importer: Importer) -> None:
    secret = "Zaphod"
    with pytest.raises(TemplateUnknown) as raised:
        importer.import_("odd.csv", csv("user_id,odd", f"77,{secret}"))
    importer.import_("members.csv", csv(MEMBERS, f"77,{secret},{secret},9,3"))
    importer.import_("bills.csv", csv(BILLS, bill(1, amount=secret)))
    details = [line["export"]["detail"] for _, line in importer.lines()]
    told = [*importer.said, str(raised.value), *details, *(file.failed or "" for file in importer.files.all())]
    assert not any(secret in words for words in told)


def test_a_work_folder_that_cannot_be_used_is_named(importer: Importer) -> None:
    (importer.root / "work").write_text("a file")
    with pytest.raises(HistoryImportError, match="INSIGHTS_WORK_FOLDER"):
        importer.import_("bills.csv", csv(BILLS, bill(1)))


def test_a_defect_is_noted_without_the_values_of_its_words(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise KeyError("Zaphod")

    monkeypatch.setattr(history_reading, "place_row", defect)
    with pytest.raises(KeyError):
        importer.import_("bills.csv", csv(BILLS, bill(1)))
    (file,) = importer.files.all()
    assert file.failed == "The import stopped at KeyError; the log of the run tells more."
