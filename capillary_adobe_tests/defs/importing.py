"""An operator who imports exports through Dagster: a folder of exports, ticks of the sensor, runs of the job.

Belongs here: what the tests of the files of history share. Does not belong here: assertions.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from capillary_adobe.defs.assets.history_files import NAME
from capillary_adobe.defs.build import IMPORT_JOB
from capillary_adobe_tests.defs.installation import Installation

ORG = "100458"
HEADER = (
    "bill_id,bill_number,bill_amount,event_date.date,event_date_time,store.code,user.user_id,line_item_id,item_code,"
    "item_quantity,item_amount"
)
OLD = datetime(2025, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Tick:
    """What a tick asked for, what it made known, and its words."""

    requests: list[dg.RunRequest]
    added: list[str]
    words: str


@dataclass
class Importer:
    """Ticks the sensor and runs what it asks for, as the daemon does."""

    installation: Installation
    folder: Path

    @cached_property
    def definitions(self) -> dg.Definitions:
        """The code location, built once: each time costs half a second."""
        return self.installation.definitions

    def put(self, name: str, data: bytes, at: datetime = OLD) -> Path:
        """Put a file that was last changed at a moment; its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    def tick(self) -> Tick:
        definitions = self.definitions
        with dg.build_sensor_context(
            instance=self.installation.instance,
            # As the daemon's: without an address, Dagster knows of no partition that the tick adds. It is not gone to.
            instance_ref=InstanceRef.from_dir(str(self.folder)),
            resources=self.installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            result = definitions.resolve_sensor_def("history_sensor").evaluate_tick(context)
        added = [key for one in result.dynamic_partitions_requests or [] for key in one.partition_keys]
        if added:
            self.installation.instance.add_dynamic_partitions(NAME, added)
        return Tick(list(result.run_requests or []), added, result.skip_message or "")

    def run(
        self, key: str, *, tags: dict[str, str] | None = None, raise_on_error: bool = True, **config: Any
    ) -> dg.ExecuteInProcessResult:
        """Import the file of a partition."""
        return self.definitions.resolve_job_def(IMPORT_JOB).execute_in_process(
            instance=self.installation.instance,
            partition_key=key,
            run_config={
                "ops": {NAME: {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags=tags,
            raise_on_error=raise_on_error,
        )

    def daemon(self, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult | None:
        """A tick, and the run that it asked for."""
        requests = self.tick().requests
        if not requests:
            return None
        (request,) = requests
        assert request.partition_key is not None
        return self.run(request.partition_key, tags=dict(request.tags), raise_on_error=raise_on_error)

    @property
    def partitions(self) -> list[str]:
        return sorted(self.installation.instance.get_dynamic_partitions(NAME))


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the materialization."""
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The evaluations of a run by name."""
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def bills(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """An export of bills, zipped: bill, amount, day, customer, a line item each."""
    lines = [HEADER]
    lines += [
        f"{bill},B{bill},{amount},{day},{day} 12:00:00,S1,{customer},{bill}1,SKU1,1,{amount}"
        for bill, amount, day, customer in rows
    ]
    return packed("\n".join([*lines, ""]).encode())


def packed(data: bytes, name: str = "Transactions.csv") -> bytes:
    """A zip file of one file."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, (2025, 6, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return found.getvalue()


def importer_of(root: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance | None = None) -> Importer:
    """An operator in a folder, whose exports arrive in another below it; his runs are kept in memory, or in `instance`."""
    folder = root / "exports"
    folder.mkdir(parents=True)
    monkeypatch.chdir(root)
    settings = {
        "INSIGHTS_URL": str(folder),
        "INSIGHTS_ORG_ID": ORG,
        "INSIGHTS_WORK_FOLDER": str(root / "work"),
        "HISTORY_START": "2024-01-01",
        "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    # On disk, what a run writes to Dagster's files would take three quarters of its time.
    kept = instance or dg.DagsterInstance.ephemeral()
    return Importer(Installation(root / "installation", root / "landing", instance=kept), folder)


def kept_in(home: Path) -> dg.DagsterInstance:
    """An instance that two processes have in common."""
    home.mkdir(exist_ok=True)
    return dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})
