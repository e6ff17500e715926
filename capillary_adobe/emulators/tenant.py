"""The AEP organisation that the emulator plays: its credential, its inlet, and the two datasets the inlet feeds.

Belongs here: the identifiers, where they come from and which variables tell a client about them. Does not belong here:
how the emulator behaves (`behaviour`) and what it checks (`envelope`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

_INLET_VARIABLE = "ADOBE_INLET_URL"
_MADE_BY_SETUP = ("tenant_id", "inlet_id", "events_", "profiles_")


@dataclass(frozen=True)
class Dataset:
    """A dataset as the inlet sees it: the schema its entities follow and the dataflow that leads to it."""

    dataset_id: str
    schema_id: str
    flow_id: str
    time_series: bool


@dataclass(frozen=True)
class Tenant:
    """One organisation with one credential, one sandbox and one authenticated inlet."""

    client_id: str
    client_secret: str
    org_id: str
    tenant_id: str
    sandbox_name: str
    inlet_id: str
    events_schema_id: str
    events_dataset_id: str
    events_flow_id: str
    profiles_schema_id: str
    profiles_dataset_id: str
    profiles_flow_id: str
    scopes: str = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"

    @classmethod
    def demo(cls) -> Self:
        """The organisation of the demo: fixed values that exist nowhere else."""
        return cls(
            client_id="de300c11e471de300c11e471de300c11",
            client_secret="demo-secret-of-the-local-emulator",  # noqa: S106 - opens nothing but this emulator
            org_id="DE300064A0E5300000000001@AdobeOrg",
            tenant_id="demo",
            sandbox_name="demo",
            inlet_id="de30017de30017de30017de30017de30017de30017de30017de30017de300171",
            events_schema_id="https://ns.adobe.com/demo/schemas/de30e7e4757de30e7e4757de30e7e4757de30e7e4757de30",
            events_dataset_id="de30da7a5e70e7e475000001",
            events_flow_id="de30f106-0000-4000-8000-000000000001",
            profiles_schema_id="https://ns.adobe.com/demo/schemas/de30b40f11e5de30b40f11e5de30b40f11e5de30b40f11e5",
            profiles_dataset_id="de30da7a5e70b40f11e50002",
            profiles_flow_id="de30f106-0000-4000-8000-000000000002",
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The demo organisation, with every value that an ADOBE_* variable sets taken from there."""
        given = {field.name: environ[name] for field in fields(cls) if environ.get(name := _variable(field.name))}
        if inlet_url := environ.get(_INLET_VARIABLE):
            given["inlet_id"] = inlet_url.rstrip("/").rpartition("/")[2]
        return replace(cls.demo(), **given)

    def environment(self, base_url: str, *, empty: bool = False) -> dict[str, str]:
        """Every ADOBE_* variable that a client of the emulator at `base_url` needs; of an empty one, before a set-up."""
        base_url = base_url.rstrip("/")
        known = [field.name for field in fields(self) if not field.name.startswith(_MADE_BY_SETUP)]
        values = {_variable(name): getattr(self, name) for name in known}
        values |= {"ADOBE_IMS_URL": base_url, "ADOBE_PLATFORM_URL": base_url}
        if empty:
            return values
        made = [field.name for field in fields(self) if field.name not in known and field.name != "inlet_id"]
        values |= {_variable(name): getattr(self, name) for name in made}
        return values | {_INLET_VARIABLE: f"{base_url}/collection/{self.inlet_id}"}

    def datasets(self) -> dict[str, Dataset]:
        """The datasets that the inlet feeds, by id."""
        events = Dataset(self.events_dataset_id, self.events_schema_id, self.events_flow_id, time_series=True)
        profiles = Dataset(self.profiles_dataset_id, self.profiles_schema_id, self.profiles_flow_id, time_series=False)
        return {dataset.dataset_id: dataset for dataset in (events, profiles)}


def _variable(field: str) -> str:
    return f"ADOBE_{field.upper()}"
