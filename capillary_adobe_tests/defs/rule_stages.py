"""A tenant with a mapping folder of its own: two custom fields for a shipped event, and one event type of its own.

Belongs here: the folder, the events, the tenant's schema in AEP, and the operator's commands. Does not belong here: any
expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner, Result

from capillary_adobe.balance import Balance
from capillary_adobe.cli import main
from capillary_adobe.defs.stage_job import STAGE_JOB, STAGE_OP, StageAction, StageConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.state.schemas import tenant_schemas
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.registry_client import Registry

DAY = "2026-11-19"
STAMPS, POINTS = "stampCollected", "pointsIssued"

EVENTS_FILE = """\
loyalty:
  stampCollected: {person: customerIdentifiers}
custom_sources:
  stampCollected: [stampCount]
  pointsIssued: ["customFields[].key", "customFields[].value"]
"""
RULES_FILE = """\
pointsIssued:
  fields:
    _tenant.shoeSize: {from: "customFields[key=shoe_size].value", as: integer}
    _tenant.favouriteStore: {from: "customFields[key=favourite_store].value"}
stampCollected:
  event_type: loyalty.stampCollected
  use: [envelope]
  fields:
    _tenant.stamps: {from: stampCount, as: integer}
"""
FIELDS = {
    "shoeSize": {"type": "integer", "meta:xdmType": "int"},
    "favouriteStore": {"type": "string"},
    "stamps": {"type": "integer", "meta:xdmType": "int"},
}


def stamp(number: int, count: Any = 3) -> dict[str, Any]:
    """An event of the tenant's own type."""
    return _event(STAMPS, number, {"stampCount": count})


def points(number: int, size: Any = "42") -> dict[str, Any]:
    """A shipped event with custom fields."""
    custom = [{"key": "shoe_size", "value": size}, {"key": "favourite_store", "value": "Pune 3"}]
    return _event(POINTS, number, {"totalPointsIssued": 5, "regularPointsIssued": 5, "customFields": custom})


def _event(name: str, number: int, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventId": f"{name}-{number}",
        "orgId": 7,
        "createdAt": 1795000000000 + number,
        "data": {"customerIdentifiers": {"customerId": 100 + number}, **data},
    }


def add_fields(emulator: RunningEmulator, fields: dict[str, Any]) -> None:
    """Add fields of the tenant's own to its events schema in AEP, over HTTP."""
    with requests.Session() as session:
        registry = Registry(Client(emulator, session))
    group = registry.new_group("Own fields", fields, "https://ns.adobe.com/xdm/context/experienceevent")
    assert group.status_code == 201, group.text
    addition = {"op": "add", "path": "/allOf/-", "value": {"$ref": group.json()["$id"]}}
    answer = registry.patch("schemas", emulator.tenant.events_schema_id, addition)
    assert answer.status_code == 200, answer.text


@dataclass(frozen=True)
class OwnMapping:
    """An installation with a mapping folder, and its operator."""

    installation: Installation
    folder: Path

    def write(self, **texts: str) -> None:
        """Write files of the folder, `events.yaml` as `events`."""
        self.folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / f"{name}.yaml").write_text(text, "utf-8")

    def call(self, *arguments: str) -> Result:
        """`capillary-adobe` with arguments."""
        return CliRunner().invoke(main, arguments)

    def change_in_ui(self, event: str, action: StageAction) -> dg.ExecuteInProcessResult:
        """The job that the UI offers."""
        return self.installation.definitions.resolve_job_def(STAGE_JOB).execute_in_process(
            instance=self.installation.instance,
            run_config=dg.RunConfig(ops={STAGE_OP: StageConfig(event=event, action=action)}),
            raise_on_error=False,
        )

    def forget_schema(self) -> None:
        """As after ADOBE_SCHEMA_SECONDS: the next run asks AEP for the schema."""
        with self.installation.state.begin() as connection:
            connection.execute(sa.delete(tenant_schemas))

    def balance(self, day: str = DAY) -> Balance:
        return self.installation.balance(day)

    def statuses(self, event: str, day: str = DAY) -> list[tuple[str, str | None]]:
        """Outcome and words of each entity of an event."""
        read = self.installation.lake.read(INGESTION_STATUS, Slice(day), ["event_name", "status", "detail"])
        rows = [row for batch in read for row in batch.to_pylist()]
        return [(row["status"], row["detail"]) for row in rows if row["event_name"] == event]


def own_mapping(installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OwnMapping:
    """The folder as written above, and settings for the commands."""
    tenant = OwnMapping(installation, tmp_path / "mapping")
    tenant.write(events=EVENTS_FILE, rules=RULES_FILE)
    settings = {
        "MAPPING_PATH": str(tenant.folder),
        "LANDING_URL": str(installation.landing_root),
        "LAKE_URL": installation.lake.url,
        "STATE_URL": f"sqlite:///{installation.root / 'state.db'}",
        "LANDING_SETTLE_SECONDS": "0",
        "LANDING_SWEEP_SECONDS": "1",
        "LANDING_RETRY_SECONDS": "0.001",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tenant
