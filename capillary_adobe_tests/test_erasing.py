"""Erasing at the level of tables: which rows of which table are a customer's, and when a customer counts as erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capillary_adobe.erasing import Erased, Erasing
from capillary_adobe.lake import Slice
from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.profile_making import STAGE, quarantine_place
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.profiles.erasure import ERASED_TEXT
from capillary_adobe.settings import ErasureSettings
from capillary_adobe.state import Customers, Erasures, State
from capillary_adobe.state.open_profiles import ledger_id
from capillary_adobe.tables import ENRICHED_EVENTS, QUARANTINE, RAW_EVENTS, XDM_EVENTS, XDM_PROFILES, Table

DAY = "2026-11-19"
SECRET = "zelmirabel@quixanthony.org"
PERSON, OTHER = CustomerKey(7, 5), CustomerKey(7, 6)
DATA = ENRICHED_EVENTS.names.index("data")


@pytest.fixture
def lake(tmp_path: Path) -> RewritableLake:
    return RewritableLake(str(tmp_path / "lake"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    one = State(f"sqlite:///{tmp_path}/state.db")
    yield one
    one.engine.dispose()


def row(table: Table, **values: Any) -> dict[str, Any]:
    def usual(column: pa.Field) -> Any:
        return None if column.nullable else [] if pa.types.is_list(column.type) else 1 if _whole(column) else "x"

    return {column.name: usual(column) for column in table.schema} | {"day": DAY, "batch_id": "day"} | values


def _whole(column: pa.Field) -> bool:
    return pa.types.is_integer(column.type)


def put(lake: RewritableLake, table: Table, *rows: dict[str, Any]) -> None:
    lake.replace(table, Slice(DAY), pa.Table.from_pylist(list(rows), table.schema).to_batches())


def rows(lake: RewritableLake, table: Table) -> list[dict[str, Any]]:
    return [one for batch in lake.read(table, Slice(DAY)) for one in batch.to_pylist()]


def fill(lake: RewritableLake) -> None:
    """Rows of the person, rows of another, and one of the other's that names the person."""
    own = json.dumps({"customerIdentifiers": {"customerId": 5, "firstName": SECRET}, "amount": 4})
    others = json.dumps({"customerIdentifiers": {"customerId": 6, "firstName": "Ann"}})
    party = json.dumps(
        {"customerIdentifiers": {"customerId": 6, "firstName": "Ann"}, "x": {"customerId": 5, "y": SECRET}}
    )
    events = {
        "a": {"event_name": "transactionAdded", "customer_id": "5", "data": own.replace(" ", "")},
        "b": {"event_name": "transactionAdded", "customer_id": "6", "data": others.replace(" ", "")},
        "c": {"event_name": "pointsTransferredReceived", "customer_id": "6", "data": party.replace(" ", "")},
    }
    for table in (RAW_EVENTS, ENRICHED_EVENTS):
        told = {"looked_up": SECRET, "held_identities": ["mark"]} if table is ENRICHED_EVENTS else {}
        put(lake, table, *(row(table, event_key=key, org_id=7, **event, **told) for key, event in events.items()))
    put(lake, XDM_EVENTS, *(row(XDM_EVENTS, event_key=key, id=key, entity=entity(key, SECRET)) for key in "abc"))
    profiles = ((PERSON, SECRET), (OTHER, "Ann"))
    put(
        lake,
        XDM_PROFILES,
        *(
            row(XDM_PROFILES, id=ledger_id(key, 1), org_id=7, customer_id=key.customer_id, entity=entity("p", name))
            for key, name in profiles
        ),
    )
    refused = [
        {"stage": "xdm", "event_key": "a"},
        {"stage": "aep", "event_key": "b"},
        # Refused by AEP, and never made a record of.
        {"stage": "aep", "event_key": ledger_id(PERSON, 1)},
        {"stage": STAGE, "event_key": ledger_id(PERSON, 2), "object": quarantine_place(PERSON)},
        {"stage": STAGE, "event_key": ledger_id(OTHER, 2), "object": quarantine_place(OTHER)},
        {"stage": "raw", "object": "it's", "line": 1, "text": f'{{"orgId":7,"customerId":"5" {SECRET}'},
        {"stage": "raw", "object": "it's", "line": 2, "text": f'{{"orgId":8,"customerId":"5","x":"{SECRET}"}}'},
    ]
    put(lake, QUARANTINE, *(row(QUARANTINE, **{"text": SECRET, **one}) for one in refused))


def entity(id_: str, name: str) -> str:
    identities = [{"id": id_, "primary": True}, {"id": name, "primary": False}]
    return json.dumps({"_id": id_, "name": name, "identityMap": {"capillaryCustomerId": identities}})


def render(row: tuple[Any, ...]) -> bytes | None:
    """An entity that says what its payload says; of one payload none can be made."""
    return None if "amount" in row[DATA] else json.dumps({"data": row[DATA]}).encode()


def erase(lake: RewritableLake, state: State, hours: float = 0) -> Erased:
    return Erasing(lake, state, ErasureSettings(keep_files_hours=hours), render).run(10, lambda _words: None)


def in_files(lake: RewritableLake) -> int:
    """Files that hold the secret, whoever refers to them, but for the table of quarantine."""
    found = [path for path in Path(lake.url).rglob("*.parquet") if QUARANTINE.name not in str(path)]
    return sum(SECRET in str(pq.ParquetFile(path).read().to_pylist()) for path in found)


def test_each_table_is_rewritten_where_the_person_stands_and_nowhere_else(lake: RewritableLake, state: State) -> None:
    fill(lake)
    Customers(state).merge([Facts(PERSON, Stamp(1), {"email": SECRET})])
    Erasures(state).note([PERSON], 1)
    assert in_files(lake) > 0
    done = erase(lake, state)
    assert (done.left, done.erased, done.came_back) == (0, 1, 0)
    raw = {one["event_key"]: json.loads(one["data"]) for one in rows(lake, RAW_EVENTS)}
    assert raw == {
        "a": {"customerIdentifiers": {"customerId": 5}, "amount": 4},
        "b": {"customerIdentifiers": {"customerId": 6, "firstName": "Ann"}},
        "c": {"customerIdentifiers": {"customerId": 6, "firstName": "Ann"}, "x": {"customerId": 5}},
    }
    enriched = {one["event_key"]: one for one in rows(lake, ENRICHED_EVENTS)}
    assert {key: json.loads(one["data"]) for key, one in enriched.items()} == raw
    assert (enriched["a"]["looked_up"], enriched["a"]["held_identities"]) == (None, [])
    assert (enriched["b"]["looked_up"], enriched["b"]["held_identities"]) == (SECRET, ["mark"])
    entities = {one["event_key"]: json.loads(one["entity"]) for one in rows(lake, XDM_EVENTS)}
    bare = {"_id": "a", "identityMap": {"capillaryCustomerId": [{"id": "a", "primary": True}]}}
    assert entities == {"a": bare, "b": json.loads(entity("b", SECRET)), "c": {"data": enriched["c"]["data"]}}
    assert all(one["size"] == len(one["entity"]) for one in rows(lake, XDM_EVENTS) if one["event_key"] != "b")
    assert SECRET not in str(rows(lake, XDM_PROFILES))
    assert "Ann" in str(rows(lake, XDM_PROFILES))
    texts = [one["text"] == ERASED_TEXT for one in rows(lake, QUARANTINE)]
    assert sorted(zip((one["stage"] for one in rows(lake, QUARANTINE)), texts, strict=True)) == [
        ("aep", False),
        ("aep", True),
        ("profile", False),
        ("profile", True),
        ("raw", False),
        ("raw", True),
        ("xdm", True),
    ]
    versions = [lake.files(table, Slice(DAY)) for table in (RAW_EVENTS, XDM_EVENTS, QUARANTINE)]
    again = erase(lake, state)
    assert (again.rows.total(), again.came_back, again.left) == (0, 0, 0)
    assert versions == [lake.files(table, Slice(DAY)) for table in (RAW_EVENTS, XDM_EVENTS, QUARANTINE)]


def test_a_customer_waits_as_long_as_old_files_are_kept(lake: RewritableLake, state: State) -> None:
    fill(lake)
    Erasures(state).note([PERSON], 1)
    # Of others, whose entities and look-ups hold the secret here as well.
    before = in_files(lake)
    done = erase(lake, state, hours=0.5)
    assert (done.left, done.erased, done.order_id) == (0, 0, None)
    assert done.young_files > 0
    assert in_files(lake) > before
    assert Erasures(state).waiting() == [PERSON]
    done = erase(lake, state)
    assert (done.rows.total(), done.erased, done.order_id, done.young_files) == (0, 1, 1, 0)
    assert Erasures(state).waiting() == []


def test_what_comes_back_is_found_where_rows_are_new(lake: RewritableLake, state: State) -> None:
    fill(lake)
    Erasures(state).note([PERSON], 1)
    erase(lake, state)
    fill(lake)
    done = erase(lake, state)
    assert done.came_back > 0
    assert done.left == 0
    assert '"firstName":"zelmirabel' not in str(rows(lake, RAW_EVENTS))


def test_where_nobody_was_deleted_nothing_is_looked_at(lake: RewritableLake, state: State) -> None:
    fill(lake)
    assert erase(lake, state) == Erased()
