"""A whole installation in a folder: landing store, lake, state, emulator, and runs of the real assets.

Belongs here: what the tests of the code location share. Does not belong here: assertions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import requests

from capillary_adobe.balance import Accounts, Balance
from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import AdobeResource, LakeResource, LandingResource, StateResource
from capillary_adobe.defs.runs import FIRST_DAY_TAG, LAST_DAY_TAG
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import open_landing_store
from capillary_adobe.state import State
from capillary_adobe.tables import ENRICHED_EVENTS, INGESTION_STATUS, RAW_EVENTS, XDM_EVENTS, XDM_PROFILES, Table

STEPS = (
    RAW_EVENTS.name,
    "customers",
    ENRICHED_EVENTS.name,
    XDM_EVENTS.name,
    XDM_PROFILES.name,
    INGESTION_STATUS.name,
)


@dataclass
class Installation:
    """Folders of one installation and the doors to them; an address takes the place of a folder."""

    root: Path
    landing_root: Path
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    adobe: AdobeResource = field(default_factory=AdobeResource)
    landing_url: str = ""
    lake_url: str = ""
    state_url: str = ""
    _built: tuple[object, dg.Definitions] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.landing_url = self.landing_url or str(self.landing_root)
        self.lake_url = self.lake_url or str(self.root / "lake")
        self.state_url = self.state_url or f"sqlite:///{self.root / 'state.db'}"
        self.store = open_landing_store(self.landing_url)
        self.lake = Lake(self.lake_url)
        self.state = State(self.state_url)

    @property
    def resources(self) -> dict[str, Any]:
        """Resources bound to these folders."""
        return {
            "landing": LandingResource(url=self.landing_url),
            "lake": LakeResource(url=self.lake_url),
            "state": StateResource(url=self.state_url),
            "adobe": self.adobe,
        }

    @property
    def definitions(self) -> dg.Definitions:
        """The code location on these folders; built anew only where settings or addresses have changed since."""
        given = (dict(os.environ), self.landing_url, self.lake_url, self.state_url, self.adobe)
        if self._built is None or self._built[0] != given:
            self._built = given, build_defs(resources=self.resources)
        return self._built[1]

    def land(self, key: str, *events: dict[str, Any]) -> str:
        """Land events as JSON lines; the key."""
        self.store.write(key, b"".join(json.dumps(event).encode() + b"\n" for event in events))
        return key

    def run(
        self,
        day: str,
        *,
        batch: MicroBatchConfig | None = None,
        begin: str = "raw_events",
        until: str | None = None,
        raise_on_error: bool = True,
    ) -> dg.ExecuteInProcessResult:
        """Run the road for a day, or one micro-batch of it, through Dagster, from stage `begin` to stage `until`."""
        steps = list(STEPS)
        last = steps.index(until) + 1 if until else len(steps)
        wanted = [*steps[steps.index(begin) : last], *([] if until else ["quarantine"])]
        job = self.definitions.resolve_job_def(JOB)
        # What Dagster says of its own at DEBUG takes a tenth of a run.
        quiet = {"console": {"config": {"log_level": "INFO"}}}
        config = dg.RunConfig(ops={name: batch for name in wanted if name in steps} if batch else {}, loggers=quiet)
        return job.execute_in_process(
            instance=self.instance,
            partition_key=day,
            run_config=config,
            asset_selection=[dg.AssetKey(name) for name in wanted],
            raise_on_error=raise_on_error,
        )

    def run_days(
        self,
        first: str,
        last: str,
        *,
        tags: dict[str, str] | None = None,
        config: dict[str, Any] | None = None,
        begin: str | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run the road, or stage `begin` alone, over several days at once, as a run of a backfill does; it may fail."""
        chunk = {FIRST_DAY_TAG: first, LAST_DAY_TAG: last}
        quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
        return self.definitions.resolve_job_def(JOB).execute_in_process(
            instance=self.instance,
            run_config=dg.RunConfig(ops=config or {}, loggers=quiet),
            tags={**chunk, **(tags or {})},
            asset_selection=[dg.AssetKey(begin)] if begin else None,
            raise_on_error=False,
        )

    def balance(self, day: str) -> Balance:
        """The day's balance."""
        return Accounts(self.store, self.lake, self.state).balance(day)

    def rows(self, table: Table, day: str, *, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """All rows of a day, in a stable order, without the named columns."""
        names = [name for name in table.names if name not in without]
        found: Iterator[pa.RecordBatch] = self.lake.read(table, Slice(day), names)
        rows = [row for batch in found for row in batch.to_pylist()]
        return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def accepted(base_url: str) -> list[dict[str, Any]]:
    """Every entity that the emulator has taken, in order."""
    entities: list[dict[str, Any]] = []
    while True:
        url = f"{base_url}/accepted.json?offset={len(entities)}&limit=5000"
        page = requests.get(url, timeout=30).json()
        if not page:
            return entities
        entities += [line["entity"] for line in page]


def events(base_url: str) -> list[dict[str, Any]]:
    """Every event that the emulator has taken, in order: profiles are no events."""
    return [entity for entity in accepted(base_url) if "eventType" in entity]


def summary(base_url: str) -> dict[str, Any]:
    """The emulator's own counts; what was received and what lies in the lake is that of events, profiles left out."""
    found = requests.get(f"{base_url}/summary.json", timeout=30).json()
    events, lake = Tenant.demo().events_dataset_id, found["in_lake"]
    received = found["by_dataset"].get(events, {"accepted": 0, "distinct": 0, "duplicates": 0})
    kept = lake["by_dataset"].get(events, {"records": 0, "distinct": 0})
    return found | received | {"in_lake": lake | kept}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """The words an operator reads of the failed step."""
    events = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    data = events[0].step_failure_data
    assert data.user_failure_data is not None, data.error
    return data.user_failure_data.description or ""
