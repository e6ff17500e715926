"""The checks: each fails when what it claims is broken, and says how loudly."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from capillary_adobe.defs.checks import rows_as_declared
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.settings import CapillarySettings, TenantSettings, load
from capillary_adobe.state import Fate, Receipt, Receipts
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS, XDM_EVENTS
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe.xdm.sampling import make_again, read_back
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_road import DAY, KEY, sale


def evaluation(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [e for e in result.get_asset_check_evaluations() if e.check_name == name]
    return found


def rewrite(installation: Installation, column: str, value: str, number: int = 0) -> None:
    """Change one value of one stored entity, as no part of the software would."""
    rows = installation.rows(XDM_EVENTS, DAY)
    rows[number] = {**rows[number], column: value}
    installation.lake.replace(XDM_EVENTS, Slice(DAY), [pa.RecordBatch.from_pylist(rows, schema=XDM_EVENTS.schema)])


@pytest.fixture
def delivered(installation: Installation) -> Installation:
    """A day of three sales, delivered."""
    installation.land(KEY, sale(1), sale(2), sale(3))
    installation.run(DAY)
    return installation


def test_a_lost_raw_event_is_seen(delivered: Installation) -> None:
    lost = delivered.rows(RAW_EVENTS, DAY)[0]["event_key"]
    DeltaTable(delivered.lake.uri(RAW_EVENTS)).delete(f"event_key = '{lost}'")
    check = evaluation(delivered.run(DAY, begin="ingestion_status", until="ingestion_status"), "nothing_is_lost")
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.metadata["difference"].value == 3


def test_an_entity_acknowledged_twice_is_seen(delivered: Installation) -> None:
    entity = delivered.rows(XDM_EVENTS, DAY)[0]["id"]
    Receipts(delivered.state).record(Receipt("again", DAY, "events", [entity], [Fate.ACCEPTED], http_status=207))
    result = delivered.run(DAY, begin="ingestion_status", until="ingestion_status")
    assert not evaluation(result, "nothing_is_sent_twice").passed
    assert evaluation(result, "nothing_is_lost").passed


def test_an_event_without_its_enriched_row_is_seen(delivered: Installation) -> None:
    event = {**delivered.rows(RAW_EVENTS, DAY)[0], "event_key": "f" * 64, "batch_id": "stray"}
    rows = [pa.RecordBatch.from_pylist([event], schema=RAW_EVENTS.schema)]
    delivered.lake.replace(RAW_EVENTS, Slice(DAY, "stray"), rows)
    result = delivered.run(DAY, begin="ingestion_status", until="ingestion_status")
    assert not evaluation(result, "nothing_is_lost").passed


def test_an_id_that_occurs_twice_blocks_delivery(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(KEY, sale(1))
    installation.run(DAY, until="enriched_events")
    (row,) = installation.rows(ENRICHED_EVENTS, DAY)
    doubled = [pa.RecordBatch.from_pylist([row, row], schema=ENRICHED_EVENTS.schema)]
    installation.lake.replace(ENRICHED_EVENTS, Slice(DAY), doubled)
    result = installation.run(DAY, begin="xdm_events", raise_on_error=False)
    assert not result.success
    assert not evaluation(result, "stored_entities_conform").passed
    assert summary(emulator.base_url)["accepted"] == 0


def test_a_stored_entity_that_does_not_conform_is_found(delivered: Installation) -> None:
    stage = EntityStage(load_rules(), load(TenantSettings), load(CapillarySettings))
    assert read_back(delivered.lake, Slice(DAY), stage).faults == {}
    rewrite(delivered, "entity", '{"_id": "x", "eventType": null}')
    found = read_back(delivered.lake, Slice(DAY), stage)
    assert found.faults["columns_differ"] == 1
    assert found.faults["null_value"] == 1


def test_an_entity_that_comes_out_otherwise_is_found(delivered: Installation) -> None:
    settings = load(CapillarySettings)
    stage = EntityStage(load_rules(), load(TenantSettings), settings)
    assert make_again(delivered.lake, Slice(DAY), stage, settings).differing == 0
    entity = delivered.rows(XDM_EVENTS, DAY)[0]["entity"]
    rewrite(delivered, "entity", entity.replace("10.5", "10.6"))
    found = make_again(delivered.lake, Slice(DAY), stage, settings)
    assert (found.made_again, found.differing) == (3, 1)


def test_a_value_that_must_be_there_and_a_column_that_differs_are_found(delivered: Installation) -> None:
    assert rows_as_declared("claim", delivered.lake, RAW_EVENTS, Slice(DAY)).passed
    rows = delivered.rows(RAW_EVENTS, DAY)
    rows[0]["customer_id"] = ""
    delivered.lake.replace(RAW_EVENTS, Slice(DAY), [pa.RecordBatch.from_pylist(rows, schema=RAW_EVENTS.schema)])
    gap = rows_as_declared("claim", delivered.lake, RAW_EVENTS, Slice(DAY))
    assert not gap.passed
    assert gap.metadata["columns_with_gaps"].value == "customer_id (1)"
    grown = replace(RAW_EVENTS, columns=(*RAW_EVENTS.columns, replace(RAW_EVENTS.columns[0], name="declared_later")))
    assert not rows_as_declared(
        "claim", delivered.lake, replace(grown, bulk=(*grown.bulk, "declared_later")), Slice(DAY)
    ).passed


@pytest.mark.parametrize(
    ("good", "bad", "severity"),
    [(1, 1, dg.AssetCheckSeverity.WARN), (600, 25, dg.AssetCheckSeverity.WARN), (1, 25, dg.AssetCheckSeverity.ERROR)],
)
def test_quarantine_warns_at_first_and_errs_above_the_threshold(
    installation: Installation, good: int, bad: int, severity: dg.AssetCheckSeverity
) -> None:
    installation.land(KEY, *(sale(number + 1) for number in range(good)), *([{"no": "event"}] * bad))
    result = installation.run(DAY, until="raw_events")
    check = evaluation(result, "few_lines_quarantined")
    assert not check.passed
    assert check.severity is severity
    assert result.success


def test_old_events_are_told(installation: Installation) -> None:
    installation.land(KEY, sale(1, createdAt=1700000000000))
    assert not evaluation(installation.run(DAY, until="raw_events"), "events_are_fresh").passed


def test_checks_belong_to_their_partition(delivered: Installation) -> None:
    result = delivered.run(DAY)
    assert {e.partition for e in result.get_asset_check_evaluations()} == {DAY}
