"""The import of a file: lines as webhooks write them, every row accounted for, once, and nothing before all is well."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe import history_lines, history_reading
from capillary_adobe.capillary.insights.model import Context
from capillary_adobe.capillary.insights.places import PlaceUnavailable, open_place
from capillary_adobe.capillary.insights.templates import TemplateUnknown
from capillary_adobe.history_importing import HistoryImportError, Imported, look_into
from capillary_adobe.history_place import NotImported, import_place
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.landing.store import LandingError
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Customers, HistoryDays
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_a_file_is_imported_once_whatever_it_is_called(importer: Importer) -> None:
    content = csv(BILLS, bill(1))
    first = importer.import_("bills.csv", content)
    before = importer.landed()
    again = importer.import_("copy.csv", content)
    assert (first.already, again.already) == (False, True)
    assert (again.events, again.file.name) == (1, "bills.csv")
    assert importer.landed() == before


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


def test_a_changed_file_is_a_version_of_its_own_and_says_which_it_follows(importer: Importer) -> None:
    first = importer.import_("bills.csv", csv(BILLS, bill(1)))
    second = importer.import_("bills.csv", csv(BILLS, bill(1), bill(2)))
    assert first.follows is None
    assert second.follows == first.file.version
    assert len(importer.landed()) == 2


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


def test_objects_of_an_import_under_other_rules_are_not_landed_beside(importer: Importer) -> None:
    rows = [bill(1, amount="1.500"), bill(2, "2026-09-02", amount="1.500")]
    content = csv(BILLS, *[row.replace("5.25", "5") for row in rows])
    done = importer.import_("bills.csv", content)
    importer.rules = "form: {decimal: ','}"
    with pytest.raises(HistoryImportError, match=r"such as history/2026-09-01/.*Move all objects history/\*/"):
        importer.import_("bills.csv", content, again=True)
    for key in importer.landed():
        (importer.root / "landing" / key).unlink()
    again = importer.import_("bills.csv", content, again=True)
    assert done.totals == {"transactionAdded.amount": Decimal("3.000")}
    assert again.totals == {"transactionAdded.amount": Decimal(3000)}
    assert importer.files.days(done.file.version) == again.days


def test_an_import_again_that_finds_its_own_objects_only_adds(importer: Importer) -> None:
    importer.start = date(2026, 9, 1)
    content = csv(BILLS, bill(1, "2026-08-31"), bill(2, "2026-09-01"))
    importer.import_("bills.csv", content)
    before = importer.landed()
    importer.start = date(2026, 1, 1)
    assert importer.import_("bills.csv", content, again=True).events == 2
    assert before.items() < importer.landed().items()


def test_an_import_again_that_stops_half_way_is_not_done(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    importer.start = date(2026, 9, 1)
    content = csv(BILLS, bill(1, "2026-08-31"), bill(2, "2026-09-01"))
    importer.import_("bills.csv", content)
    importer.start = date(2026, 1, 1)

    def stop(*_: object) -> None:
        raise LandingError("The landing store cannot be written.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalLandingStore, "write", stop)
        with pytest.raises(LandingError):
            importer.import_("bills.csv", content, again=True)
    repeated = importer.import_("bills.csv", content)
    assert not repeated.already
    assert len(importer.landed()) == 2


def test_a_file_that_has_grown_since_it_was_found_waits(importer: Importer) -> None:
    found = importer.put("bills.csv", csv(BILLS, bill(1)))
    importer.put("bills.csv", csv(BILLS, bill(1), bill(2)))
    with pytest.raises(PlaceUnavailable, match=r"bills\.csv .* is still being written"):
        importer.take(found)
    assert importer.files.all() == []


def test_a_file_that_is_named_is_taken_though_its_clock_goes_ahead(importer: Importer) -> None:
    importer.put("bills.csv", csv(BILLS, bill(1)), changed=NOW + 3600)
    setup = importer.setup
    (told,) = import_place(open_place(str(importer.arrived), setup.insights), setup, importer.said.append)
    assert isinstance(told, Imported)


def test_a_place_goes_on_after_a_file_that_fails(importer: Importer) -> None:
    importer.put("a.csv", b"what,is,this\n1,2,3\n")
    importer.put("b.zip", b"PK\x03\x04 cut short")
    importer.put("c/bills.csv", csv(BILLS, bill(1)))
    importer.put("d footfall.csv", b"store,people\n1,2\n")
    importer.put("new.csv", csv(BILLS, bill(2)), changed=NOW)
    importer.rules = 'ignore: ["*footfall*"]'
    importer.settings = {}
    setup = importer.setup
    waits = setup.insights.model_copy(update={"settle_seconds": 60.0})
    setup = type(setup)(**{**vars(setup), "insights": waits})
    place = open_place(str(importer.arrived), setup.insights)

    def told() -> list[str]:
        return [
            f"{one.file.name} {one.events}" if isinstance(one, Imported) else f"{one.name} {one.error or one.reason}"
            for one in import_place(place, setup, importer.said.append)
        ]

    first, second, third, fourth, fifth = told()
    assert first.startswith("a.csv The template of a.csv cannot be told")
    assert second.startswith("b.zip ")
    assert third == "c/bills.csv 1"
    assert fourth == "d footfall.csv ignored by the rules file"
    assert fifth.startswith("new.csv changed within")
    assert told()[2] == "c/bills.csv imported before"


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


_A_PROCESS = """
import os, signal, sys
from pathlib import Path
from capillary_adobe import history_importing
from capillary_adobe_tests.history_imports import Importer
root, name, deadly, times = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
history_importing._OBJECTS_A_WORD = 1
class Said(list):
    def append(self, words):
        super().append(words)
        if deadly and sum(deadly in one for one in self) == times:
            os.kill(os.getpid(), signal.SIGKILL)
importer = Importer(root)
importer.said = Said()
found = importer.put(name, (importer.arrived / name).read_bytes())
print("already" if importer.take(found).already else "imported")
"""


def start(importer: Importer, name: str, deadly: str = "", times: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _A_PROCESS, str(importer.root), name, deadly, str(times)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def everything() -> bytes:
    """A file with all that an import does, over several days."""
    bills = [bill(number, f"2026-09-{number % 5 + 1:02}", item=item) for number in range(1, 30) for item in (1, 2)]
    tiers = [tier(number, f"2026-09-{number % 5 + 1:02}", customer=number) for number in range(1, 9)]
    return zipped(
        bills=csv(BILLS, *bills, bill(99, amount="x"), "torn"),
        tiers=csv(TIERS, *tiers),
        members=csv(MEMBERS, *[f"{number},Ada,5,9,3" for number in range(1, 9)]),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Importer:
    importer = Importer(tmp_path_factory.mktemp("undisturbed"))
    importer.import_("all.zip", everything())
    return importer


@pytest.mark.parametrize(
    ("deadly", "times"),
    [("sorting", 1), ("facts", 1), ("landed", 6), ("11 of 11 objects", 1)],
)
def test_whoever_is_killed_on_the_way_and_begins_anew_lands_the_same(
    importer: Importer, undisturbed: Importer, deadly: str, times: int
) -> None:
    importer.put("all.zip", everything())
    killed = start(importer, "all.zip", deadly, times)
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    assert all(file.done_ms is None for file in importer.files.all())
    assert any(importer.work.glob("import-*"))
    # On another day: the one on which it first began counts.
    importer.now += 3 * 86_400
    done = importer.import_("all.zip", everything())
    assert not done.already
    assert importer.landed() == undisturbed.landed()
    assert importer.files.days() == undisturbed.files.days()
    assert list(importer.work.glob("import-*")) == []
    keys = [CustomerKey(ORG, number) for number in range(1, 9)]
    assert Customers(importer.state).documents(keys) == Customers(undisturbed.state).documents(keys)
    days = [(day.day, day.events) for day in HistoryDays(importer.state).all()]
    assert days == [(day.day, day.events) for day in HistoryDays(undisturbed.state).all()]


def test_of_two_imports_of_a_file_at_once_one_waits_and_does_nothing(importer: Importer, undisturbed: Importer) -> None:
    importer.put("all.zip", everything())
    importer.put("copy.zip", everything())
    # The tables are there, so that both are at the same work at the same time.
    importer.files.all()
    both = [start(importer, "all.zip"), start(importer, "copy.zip")]
    told = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert told == ["already", "imported"]
    assert importer.landed().keys() == undisturbed.landed().keys()
    assert len(importer.files.all()) == 1


def test_a_failing_file_is_told_apart_from_one_that_is_left(importer: Importer) -> None:
    assert NotImported("a", error="why").as_dict() == {"file": "a", "error": "why"}
    assert NotImported("a", reason="old").as_dict() == {"file": "a", "left_alone": "old"}
