"""`capillary-adobe erasure list`, `show` and `approve`: what an operator reads, and exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import Result

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Erasures, State
from capillary_adobe.tables import RAW_EVENTS, SET_ASIDE, Table
from capillary_adobe_tests.cli.conftest import Call, storage

DAY = "2026-11-19"
KEPT, GONE = f"events/{DAY}/10/1.jsonl", f"events/{DAY}/10/2.jsonl"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path_factory.mktemp("aep") / "s", behaviour=Behaviour(work_order_seconds=0)) as running:
        yield running


class Operator:
    """An operator of an installation in which customers were deleted."""

    def __init__(self, call: Call, place: Path, emulator: RunningEmulator) -> None:
        self._call = call
        self._settings = {**storage(place), **emulator.environment}
        self.state = State(self._settings["STATE_URL"])
        self.lake = Lake(self._settings["LAKE_URL"])
        self.landing = LocalLandingStore(place / "landing")

    def __call__(self, *arguments: str, **settings: str) -> Result:
        return self._call("erasure", *arguments, **{**self._settings, **settings})

    def deleted(self, *ids: int, erased: bool = True) -> None:
        erasures, keys = Erasures(self.state), [CustomerKey(7, one) for one in ids]
        erasures.note(keys, 1_795_000_000_000)
        if erased:
            erasures.note_redacted(keys, 1_795_000_000_000, again=False)
            erasures.settle(1_795_000_000_000, 1_795_000_000_000)
            erasures.prepare(100, 1_795_000_000_000)


@pytest.fixture
def operator(call: Call, place: Path, emulator: RunningEmulator) -> Iterator[Operator]:
    one = Operator(call, place, emulator)
    yield one
    one.state.engine.dispose()


def put(operator: Operator, table: Table, lines: list[tuple[str, int, str]]) -> None:
    def value(column: pa.Field) -> object:
        return DAY if column.name == "day" else 7 if pa.types.is_integer(column.type) else "1"

    rows = [
        {column.name: value(column) for column in table.schema if column.type != pa.bool_()}
        | {"object": key, "line": line, "event_key": event_key}
        | ({"replaced": False} if table is SET_ASIDE else {"customer_id": "1", "data": "{}"})
        for key, line, event_key in lines
    ]
    operator.lake.replace(table, Slice(DAY), pa.Table.from_pylist(rows, table.schema).to_batches())


def test_list_says_who_waits_and_which_orders_there_are(operator: Operator) -> None:
    assert "0 customers deleted" in operator("list").output
    operator.deleted(3, erased=False)
    operator.deleted(1, 2)
    shown = operator("list")
    assert shown.exit_code == 0, shown.output
    assert "3 customers deleted at Capillary, 1 of them not erased yet." in shown.output
    assert "waits for approval" in shown.output
    found = json.loads(operator("list", "--json").output)
    assert found["customers"] == {"deleted": 3, "waiting": 1, "in_no_order": 1}
    assert [(one["order"], one["customers"], one["approved"]) for one in found["orders"]] == [(1, 2, None)]


def test_show_tells_the_order_as_it_would_be_posted_and_what_the_landing_store_holds(operator: Operator) -> None:
    operator.deleted(1, *range(10, 30))
    put(operator, RAW_EVENTS, [(KEPT, 1, "a"), (KEPT, 2, "b"), (GONE, 1, "c")])
    put(operator, SET_ASIDE, [(KEPT, 3, "a"), (KEPT, 4, "of another")])
    operator.landing.write(KEPT, b"{}\n")
    found = json.loads(operator("show", "1", "--json").output)
    order = found["work_order"]
    assert (order["action"], order["datasetId"]) == ("delete_identity", "ALL")
    [group] = order["namespacesIdentities"]
    assert group == {"namespace": {"code": "capillaryCustomerId"}, "IDs": ["1", *map(str, range(10, 30))]}
    assert found["landed"] == [{"day": DAY, "object": KEPT, "lines": 3}]
    shown = operator("show", "1").output
    assert "and 11 more" in shown
    assert KEPT in shown
    assert GONE not in shown
    settings = {"CAPILLARY_IDENTITY_WITH_ORG": "true", "ERASURE_WORK_ORDER_DATASET": "5c8c3c555033b814b69f947f"}
    order = json.loads(operator("show", "1", "--json", **settings).output)["work_order"]
    assert order["namespacesIdentities"][0]["IDs"][0] == "7-1"
    assert order["datasetId"] == "5c8c3c555033b814b69f947f"


def test_approve_posts_the_order_once(operator: Operator) -> None:
    operator.deleted(1, 2)
    asked = operator("approve", "1")
    assert asked.exit_code == 1
    assert "records of 2 customers in dataset ALL" in asked.output
    assert Erasures(operator.state).orders()[0].approved_ms is None
    approved = operator("approve", "1", "--yes")
    assert approved.exit_code == 0, approved.output
    assert "AEP has taken order 1 as DI-" in approved.output
    again = operator("approve", "1", "--yes")
    assert again.exit_code == 1
    assert "was approved before" in again.output
    listed = operator("list").output
    assert "completed" in listed
    assert Erasures(operator.state).orders()[0].status == "completed"


def test_an_order_that_is_not_there_is_told(operator: Operator) -> None:
    for command in ("show", "approve"):
        told = operator(command, "9")
        assert told.exit_code == 1
        assert "There is no work order 9. Known: none." in told.output
