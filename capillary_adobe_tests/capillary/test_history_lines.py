"""Lines of an import: what the raw stage and enrichment make of them, and that no webhook passes for one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.history_line import is_history_line, read_history_line
from capillary_adobe.capillary.names import Names
from capillary_adobe.known_elsewhere import Elsewhere, Rules
from capillary_adobe.lake import Slice
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.erasure import ERASED_TEXT
from capillary_adobe.settings import CapillarySettings, IdentitySettings
from capillary_adobe.state import Erasures
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, DAY, ORG, Json, event
from capillary_adobe_tests.capillary.exported import FILE, exported, refused, told
from capillary_adobe_tests.capillary.road import Road

BILL = {"transactionId": 2149289332, "billType": "REGULAR"}
ITEMS = {"lineItems": [{"itemCode": "tea-1", "quantity": 2, "amount": 90}], "tax": 12.5}
OBJECT = "0123456789ab-points-0000.jsonl"


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rules file by which every event of these tests passes."""
    path = tmp_path / "insights.yaml"
    path.write_text("live_from: {default: 2030-01-01, tierUpgraded: 2020-01-01}\n")
    monkeypatch.setenv("INSIGHTS_RULES", str(path))
    return path


@pytest.fixture
def history(tmp_path: Path) -> Road:
    return Road(tmp_path, ["pointsIssued", "tierUpgraded", "transactionAdded", "loyaltyCustomerMerge", "pointsExpired"])


def land(history: Road, *lines: Json | bytes, name: str = OBJECT) -> str:
    return history.land(name, lines, lane="history")


def keys(history: Road) -> list[str]:
    history.run()
    return history.rows(RAW_EVENTS, "event_key")


def test_rows_of_an_export_become_a_raw_event_that_tells_where_it_came_from(history: Road) -> None:
    key = land(history, exported(data={"pointsIssued": 7}, eventLogId=41))
    counts = history.run()
    [row] = history.rows(RAW_EVENTS)
    assert (row["lane"], row["envelope"], row["object"], row["line"]) == ("history", "H", key, 1)
    assert (row["event_name"], row["created_ms"], row["event_log_id"]) == ("pointsIssued", CREATED_MS, 41)
    assert (row["event_id"], row["ref_id"], row["api_request_id"], row["loyalty_event_id"]) == (None,) * 4
    assert row["event_key"] == sha256(f"{ORG}|pointsIssued|insights|points|1".encode()).hexdigest()
    assert row["customer_id"] == str(CUSTOMER)
    assert set(orjson.loads(row["data"])) == {"customerIdentifiers", "loyaltyProgramDetails", "pointsIssued"}
    assert (counts.raw, counts.lines, counts.skewed) == (1, 1, 0)


def test_history_is_old_on_purpose_and_an_old_webhook_is_not(history: Road) -> None:
    land(history, exported(createdAt=CREATED_MS - 400 * 86_400_000))
    assert history.run().skewed == 0
    history.land("10/a.jsonl", [event("tierRenewed", createdAt=CREATED_MS - 400 * 86_400_000)])
    assert history.run().skewed == 0, "ignored: a type without a mapping"
    history.land("10/b.jsonl", [event("customerUpdated") | {"eventName": "transactionAdded", "data": _bill()}])
    assert history.run().skewed == 1


def _bill(**more: Any) -> Json:
    return {"customerIdentifiers": {"customerId": CUSTOMER}, **BILL, **more}


@pytest.mark.parametrize("first", ["history", "live"])
def test_a_bill_is_one_event_whichever_lane_tells_it_first(history: Road, first: str) -> None:
    def live() -> str:
        return history.land("10/a.jsonl", [event("transactionAdded", BILL)])

    def export() -> str:
        return land(history, exported("transactionAdded", BILL, "transactions|2149289332"))

    told_by = [export, live] if first == "history" else [live, export]
    for number, tell in enumerate(told_by):
        history.run(f"b-{number}", [tell()])
    assert len(history.rows(RAW_EVENTS)) == 1
    assert history.rows(SET_ASIDE, "kind") == ["duplicate"]
    before = history.rows(RAW_EVENTS, "event_key")
    assert keys(history) == before


def test_a_merge_is_one_event_by_its_victim(history: Road) -> None:
    parties = {
        "survivorCustomerIdentifiers": {"customerId": 5},
        "victimCustomerIdentifiers": {"customerId": 6, "instore": {"mobile": "919876500001"}},
    }
    bare = {name: {"customerId": ids["customerId"]} for name, ids in parties.items()}
    history.land(
        "10/a.jsonl", [event("loyaltyCustomerMerge", parties), event("loyaltyCustomerMerge", parties, eventId="2")]
    )
    land(history, exported("loyaltyCustomerMerge", bare, "merges|6"))
    assert keys(history) == [sha256(f"{ORG}|loyaltyCustomerMerge|6".encode()).hexdigest()]


def test_what_a_webhook_calls_an_export_changes_nothing_of_its_event(history: Road) -> None:
    claim = {"export": told(key="points|1")}
    by_id, by_content = event("tierUpgraded"), event("tierUpgraded", eventId=None, refId="2")
    history.land("10/a.jsonl", [by_id | claim, by_content | claim, claim, {"export": told(refused="row_ragged")}])
    forged = ("insights|points|1", "|insights|points|1", "log|41|5|973")
    history.land("10/b.jsonl", [event("tierUpgraded", eventId=name) for name in forged])
    land(history, exported("tierUpgraded", createdAt=1_500_000_000_000))
    history.run()
    rows = history.rows(RAW_EVENTS)
    assert [(row["lane"], row["envelope"]) for row in rows] == [("live", "A")] * 5 + [("history", "H")]
    assert len({row["event_key"] for row in rows}) == len(rows)
    assert rows[0]["event_key"] == sha256(f"{ORG}|tierUpgraded|{by_id['eventId']}".encode()).hexdigest()
    assert history.rows(QUARANTINE, "code") == ["envelope_unknown"] * 2


def test_events_put_into_the_history_lane_by_hand_are_read_as_before(history: Road) -> None:
    land(history, event("tierUpgraded"), event("tierUpgraded", eventId=None), name="by-hand.jsonl")
    history.run()
    assert history.rows(RAW_EVENTS, "envelope") == ["A", "A"]


def test_a_row_that_no_event_was_made_of_is_quarantined_with_its_file_and_line(history: Road) -> None:
    cells = {"User Id": "x", "Points": "many"}
    land(history, refused("number_unreadable", "Points is no number", line=9, cells=cells), exported())
    counts = history.run()
    [row] = history.rows(QUARANTINE)
    assert (row["stage"], row["lane"], row["code"]) == ("raw", "history", "number_unreadable")
    assert row["detail"] == f"Points is no number, file {FILE}, line 9."
    assert orjson.loads(row["text"])["export"]["rows"] == [{"line": 9, "cells": cells}]
    assert counts.lines == counts.raw + sum(counts.quarantined.values()) == 2


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (exported(data={"customerIdentifiers": {}}), "customer_missing", "line 17."),
        (exported(createdAt=CREATED_MS + 9 * 86_400_000), "time_in_future", "line 17."),
        (exported(createdAt=None), "time_missing", "line 17."),
        (exported(orgId=None), "org_missing", "line 17."),
        (exported("somethingNew"), "event_unknown", "line 17."),
        (exported(key="") | {"export": told(key="")}, "envelope_unknown", "Import the file again, file "),
        (exported() | {"data": []}, "envelope_unknown", "Import the file again, file "),
        (refused(code="No Code"), "envelope_unknown", "line 17."),
        ({"export": {"refused": "row_ragged"}}, "row_ragged", "file unknown."),
        ({"export": {"refused": "row_ragged", "rows": [5, {"line": "1"}], "file": 5}}, "row_ragged", "file 5."),
    ],
)
def test_a_line_that_cannot_be_an_event_names_its_rows(history: Road, line: Json, code: str, words: str) -> None:
    land(history, line)
    history.run()
    [row] = history.rows(QUARANTINE)
    assert row["code"] == code
    assert words in row["detail"]
    assert set(orjson.loads(row["text"])) == {"export"}


def test_many_rows_of_several_files_are_named_briefly() -> None:
    rows = [{"line": number} for number in range(2, 12)] + [{"line": 3, "file": "b.csv"}]
    line = exported() | {"export": told(key="k") | {"rows": rows, "file": "a.csv"}}
    assert is_history_line(line)
    export = read_history_line(line).export
    assert export is not None
    assert export.rows == "file a.csv, lines 2, 3, 4, 5, 6 and 5 more; file b.csv, line 3"


@pytest.mark.parametrize(
    "row",
    [
        {"line": 2, "cells": {"User Id": str(CUSTOMER), "Points": "many"}},
        {"line": 2, "cells": {"User Id": f" {CUSTOMER}.0", "Points": "many"}},
        {"line": 2, "text": f'"{CUSTOMER}";many'},
    ],
)
def test_a_refused_row_of_a_deleted_customer_keeps_no_text(history: Road, row: Json) -> None:
    others = {"line": 3, "cells": {"User Id": f"{CUSTOMER}1", "Points": "many"}}
    Erasures(history.state).note([CustomerKey(ORG, CUSTOMER)], CREATED_MS)
    land(history, *({"export": told(refused="number_unreadable") | {"rows": [one]}} for one in (row, others)))
    history.run()
    mine, theirs = history.rows(QUARANTINE, "text")
    assert mine == ERASED_TEXT
    assert orjson.loads(theirs)["export"]["rows"] == [others]


def test_an_event_of_a_deleted_customer_keeps_nothing_of_its_rows(history: Road) -> None:
    Erasures(history.state).note([CustomerKey(ORG, CUSTOMER)], CREATED_MS)
    names = {"customerIdentifiers": {"customerId": CUSTOMER, "firstName": "Asha"}}
    land(history, exported("transactionAdded", {**BILL, **names, "exported": ITEMS}))
    history.run()
    [data] = history.rows(RAW_EVENTS, "data")
    kept = orjson.loads(data)
    assert set(kept) == {"customerIdentifiers", "loyaltyProgramDetails", *BILL}
    assert kept["customerIdentifiers"] == {"customerId": CUSTOMER}


@pytest.mark.parametrize("asks_capillary", [False, True])
def test_line_items_of_an_export_stand_beside_its_bill_alone(history: Road, *, asks_capillary: bool) -> None:
    land(history, exported("transactionAdded", {**BILL, "exported": ITEMS}))
    forged = {**BILL, "transactionId": 5, "exported": ITEMS}
    history.land("10/a.jsonl", [event("transactionAdded", forged)])
    land(history, event("transactionAdded", forged | {"transactionId": 6}), name="by-hand.jsonl")
    history.run()
    rules = Rules(
        now_ms=CREATED_MS,
        customers=False,
        transactions=asks_capillary,
        holds=False,
        hold_ms=0,
        fresh_ms=0,
        skew_ms=0,
        default_program=None,
    )
    elsewhere = Elsewhere(history.state, rules, IdentitySettings(), Names())
    elsewhere.want(history.lake.read(RAW_EVENTS, Slice(DAY), elsewhere.wanted_columns))
    raw = history.lake.read(RAW_EVENTS, Slice(DAY), RAW_EVENTS.names)
    rows = [row for part in enrich(raw, CapillarySettings(), known=elsewhere.known) for row in part.to_pylist()]
    looked_up = {orjson.loads(row["data"])["transactionId"]: orjson.loads(row["looked_up"] or "{}") for row in rows}
    assert looked_up == {2149289332: {"transaction": ITEMS}, 5: {}, 6: {}}
    asked = {orjson.loads(row["data"])["transactionId"] for row in rows if "transaction" in row["missing"]}
    assert asked == ({5, 6} if asks_capillary else set())
