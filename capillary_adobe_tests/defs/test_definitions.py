"""The code location: loads without a setting, and looks as an operator expects."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.road import ROAD, read_by
from capillary_adobe.settings import SettingsError
from capillary_adobe.tables import TABLES as LAKE_TABLES

GRAPH = {
    "history_files": set(),
    "landing": {"history_files"},
    "capillary_delivery_log": {"landing"},
    "raw_events": {"landing"},
    "customers": {"raw_events"},
    "enriched_events": {"raw_events", "customers"},
    "xdm_events": {"enriched_events"},
    "xdm_profiles": {"customers", "customer_lookups"},
    "ingestion_status": {"xdm_events", "xdm_profiles"},
    "aep_verdict": {"ingestion_status"},
    "quarantine": {"raw_events", "xdm_events", "ingestion_status"},
    "schema_conformance": {"xdm_events"},
    "adobe_environment": set(),
    "customer_lookups": set(),
    "stores": {"raw_events"},
    "programs": {"enriched_events"},
    "erased_customers": set(),
    "closed_days": {"ingestion_status", "quarantine"},
    "delivery_report": {"closed_days", "aep_verdict", "customer_lookups", "capillary_delivery_log"},
}
GROUPS = {
    "history_files": "history",
    "landing": "landing",
    "capillary_delivery_log": "source",
    "aep_verdict": "verdict",
    "schema_conformance": "schema",
    "adobe_environment": "environment",
    "customer_lookups": "customers",
    "stores": "reference",
    "programs": "reference",
    "erased_customers": "customers",
    "closed_days": "closing",
    "delivery_report": "report",
}
TABLES = {
    *(table.name for table in LAKE_TABLES if table.name != "set_aside"),
    "customers",
    "stores",
    "programs",
    "history_files",
    "customer_lookups",
    "aep_verdict",
    "erased_customers",
    "adobe_environment",
}
# What lies in no table of its own: objects, verdicts, what is found at another system.
NO_TABLES = {
    "landing",
    "capillary_delivery_log",
    "closed_days",
    "delivery_report",
    "schema_conformance",
}
UNPARTITIONED = {
    "aep_verdict",
    "schema_conformance",
    "adobe_environment",
    "stores",
    "programs",
    "customer_lookups",
    "erased_customers",
    "delivery_report",
}


def road() -> list[dg.AssetsDefinition]:
    return [asset for asset in build_defs().assets or [] if isinstance(asset, dg.AssetsDefinition)]


def test_the_location_loads_without_a_setting_and_without_a_warning(tmp_path: Path) -> None:
    code = "from capillary_adobe.definitions import defs; defs().get_repository_def(); print('loaded')"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "loaded", done.stderr
    assert "Warning" not in done.stderr


def test_the_graph_is_the_one_of_the_design() -> None:
    graph = build_defs().resolve_asset_graph()
    found = {
        key.to_user_string(): {p.to_user_string() for p in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_every_asset_tells_a_stranger_what_it_is() -> None:
    graph = build_defs().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert len(node.description) > 150, key
        assert node.kinds, key
        assert node.owners == ["team:data"], key
        assert node.group_name == GROUPS.get(key.to_user_string(), "delivery")


def test_every_asset_tells_the_operator_when_to_press_the_button() -> None:
    words = ("Materialize", "materialize", "Nothing to press", "launch the job", "the job `")
    graph = build_defs().resolve_asset_graph()
    silent = [
        key for key in graph.get_all_asset_keys() if not any(one in (graph.get(key).description or "") for one in words)
    ]
    assert silent == []


def test_every_table_tells_its_columns_with_their_meaning() -> None:
    graph = build_defs().resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == TABLES | NO_TABLES
    for name in TABLES:
        metadata = graph.get(dg.AssetKey(name)).metadata
        assert metadata["dagster/table_name"]
        columns = metadata["dagster/column_schema"].columns
        assert columns, name
        assert [column.name for column in columns if not column.description] == []
    # Dagster calls a column a string of which no type is told.
    (number,) = (
        one for one in graph.get(dg.AssetKey("stores")).metadata["dagster/column_schema"].columns if one.name == "id"
    )
    assert number.type == "bigint"


def test_every_asset_that_has_code_leads_to_it() -> None:
    graph = build_defs().resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        (reference,) = graph.get(key).metadata["dagster/code_references"].code_references
        lines = Path(reference.file_path).read_text("utf-8").splitlines()
        assert any(f"def {key.to_user_string()}(" in line for line in lines[reference.line_number - 1 :]), key


def test_owners_are_those_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "ASSET_OWNERS", "team:data ann@example.com customers=team:crm erased_customers=team:legal,team:crm"
    )
    graph = build_defs().resolve_asset_graph()
    # By the asset's own name before its group's; `customers` is an asset and a group.
    found = {name: graph.get(dg.AssetKey(name)).owners for name in ("landing", "customer_lookups", "erased_customers")}
    assert found == {
        "landing": ["team:data", "ann@example.com"],
        "customer_lookups": ["team:crm"],
        "erased_customers": ["team:legal", "team:crm"],
    }
    monkeypatch.setenv("ASSET_OWNERS", "team:data custmers=team:crm")
    with pytest.raises(SettingsError, match="ASSET_OWNERS names custmers: no asset and no group is called so"):
        build_defs()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data", "data names no owner"),
        ("team:data customers=", "customers= names no owner"),
        ("customers=team:crm", "names no owner of all the other assets"),
        ("team:data landing=team:a landing=team:b", "landing is named twice"),
    ],
)
def test_owners_that_are_none_are_told(monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    monkeypatch.setenv("ASSET_OWNERS", text)
    with pytest.raises(SettingsError, match=words):
        build_defs()


def test_every_check_tells_what_to_do_and_is_partitioned_as_its_asset_is() -> None:
    specs = [spec for asset in road() for spec in asset.check_specs]
    assert len(specs) >= 12
    for spec in specs:
        assert spec.description
        assert len(spec.description) > 60
        assert (spec.partitions_def is None) == (spec.asset_key.to_user_string() in UNPARTITIONED)
    assert {(spec.asset_key.to_user_string(), spec.name) for spec in specs if spec.blocking} == {
        ("xdm_events", "stored_entities_conform"),
        ("xdm_events", "no_identity_joins_customers"),
        ("xdm_profiles", "stored_profiles_conform"),
        ("xdm_profiles", "no_identity_joins_customers"),
    }


def test_today_is_a_partition() -> None:
    others = {*UNPARTITIONED, "history_files"}
    (partitions,) = {asset.partitions_def for asset in road() if asset.key.to_user_string() not in others}
    assert isinstance(partitions, dg.DailyPartitionsDefinition)
    assert partitions.get_last_partition_key() == datetime.now(UTC).date().isoformat()


def test_runs_take_one_process_and_a_chunk_of_days_alike_for_every_stage() -> None:
    definitions = build_defs()
    assert definitions.executor is dg.in_process_executor
    policies = {asset.key.to_user_string(): asset.backfill_policy for asset in road() if asset.backfill_policy}
    assert policies == dict.fromkeys([*ROAD, "closed_days"], dg.BackfillPolicy.multi_run(14))


def test_the_stages_read_from_each_other_as_dagster_is_told() -> None:
    graph = build_defs().resolve_asset_graph()
    for stage in ROAD:
        children = {key.to_user_string() for key in graph.get(dg.AssetKey(stage)).child_keys}
        assert set(read_by(stage)) == children & set(ROAD)
