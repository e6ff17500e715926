"""An empty sandbox, an installation beside it, and what stands in the sandbox afterwards.

Belongs here: what the tests of set-up share. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Named
from dataclasses import dataclass, field
from typing import Any

import requests

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.setup import Plan, Setup, Wanted
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.settings import CredentialSettings, SetupSettings, load
from capillary_adobe.state import EnvironmentRecord, State
from capillary_adobe.xdm.language.mapping_files import Mapping, load_mapping, with_tenant

EVERYTHING = {
    "namespace": 2,
    "field group": 2,
    "schema": 2,
    "identity descriptor": 1,
    "dataset": 2,
    "streaming connection": 1,
    "source connection": 2,
    "target connection": 2,
    "dataflow": 2,
}
"""How many objects of each kind a set-up makes."""
COUNT = sum(EVERYTHING.values())

SHOE_SIZE = """
pointsIssued:
  fields:
    _tenant.shoeSize: {from: "customFields[key=shoe_size].value", as: %s}
"""


def mapping_with_shoe_size(as_: str = "integer") -> Mapping:
    """The shipped mapping and one field of a tenant's."""
    return with_tenant({"points.yaml": SHOE_SIZE % as_})


@dataclass
class Place:
    """An emulator, and the state database of an installation that uses it."""

    emulator: RunningEmulator
    state: State
    sandbox: str = ""
    mapping: Mapping = field(default_factory=lambda: load_mapping(None))
    told: list[str] = field(default_factory=list)

    def credential(self, **changes: Any) -> CredentialSettings:
        """The settings of the credential."""
        environment = self.emulator.environment | ({"ADOBE_SANDBOX_NAME": self.sandbox} if self.sandbox else {})
        values = {name.removeprefix("ADOBE_").lower(): value for name, value in environment.items()}
        known = {name: value for name, value in values.items() if name in CredentialSettings.model_fields}
        return load(CredentialSettings, **{"retry_budget_seconds": 0, **known, **changes})

    def setup(
        self,
        given: Named[str, str] | None = None,
        *,
        card: bool = False,
        enable_profile: bool = False,
        namespaces: tuple[str, ...] = (),
        name: str = "Capillary",
        **changes: Any,
    ) -> Setup:
        """A set-up; `changes` are of the credential's settings."""
        credential = self.credential(**changes)
        platform = Platform(credential, AccessToken(credential))
        settings = load(SetupSettings, name=name)
        wanted = Wanted(card=card, enable_profile=enable_profile, namespaces=namespaces)
        return Setup(platform, self.state, credential, settings, self.mapping, given or {}, wanted)

    def apply(self, given: Named[str, str] | None = None, **more: Any) -> Plan:
        """Set up."""
        return self.setup(given, **more).apply(self.told.append)

    def recorded(self) -> dict[str, str]:
        """What the environment record holds."""
        credential = self.credential()
        return EnvironmentRecord(self.state, credential.org_id, credential.sandbox_name).read()

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """A call as any other client would make it."""
        credential = self.credential()
        headers = {
            "Authorization": f"Bearer {AccessToken(credential).value()}",
            "x-api-key": credential.client_id,
            "x-gw-ims-org-id": credential.org_id,
            "x-sandbox-name": credential.sandbox_name,
        }
        headers |= more.pop("headers", {})
        url = f"{self.emulator.base_url}/data/{path}"
        answer = requests.request(method, url, headers=headers, timeout=30, **more)
        answer.raise_for_status()
        return answer

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Every object of the sandbox that somebody made, by kind."""
        listed = {"Accept": "application/vnd.adobe.xed+json"}
        described = {"Accept": "application/vnd.adobe.xdm+json"}
        registry, flows = "foundation/schemaregistry/tenant", "foundation/flowservice"
        namespaces = self.call("GET", "core/idnamespace/identities").json()
        datasets = self.call("GET", "foundation/catalog/dataSets", params={"limit": 100}).json()
        descriptors = self.call("GET", f"{registry}/descriptors", headers=described).json()
        found = {
            "namespace": [one for one in namespaces if one["custom"]],
            "field group": self.call("GET", f"{registry}/fieldgroups", headers=listed).json()["results"],
            "schema": self.call("GET", f"{registry}/schemas", headers=listed).json()["results"],
            "identity descriptor": [one for kind in descriptors.values() for one in kind],
            "dataset": [one | {"id": id_} for id_, one in datasets.items()],
        }
        for kind, entity in {
            "streaming connection": "connections",
            "source connection": "sourceConnections",
            "target connection": "targetConnections",
            "dataflow": "flows",
        }.items():
            found[kind] = self.call("GET", f"{flows}/{entity}").json()["items"]
        return {kind: objects for kind, objects in found.items() if objects}

    def counts(self) -> dict[str, int]:
        """How many objects of each kind there are."""
        return {kind: len(objects) for kind, objects in self.objects().items()}

    def changing_calls(self) -> int:
        """How many calls that change something the emulator was asked for, as a fault that never fires met them."""
        return sum(one["met"] for one in self.emulator.faults.overview())

    def watch_changes(self) -> None:
        """Count the calls that change something from now on."""
        self.emulator.faults.clear()
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            self.emulator.faults.add(kind="status", path="/data/", method=method, skip=100_000)


def actions(plan: Plan) -> Counter[str]:
    """How many steps there are of each action."""
    return Counter(step.action.value for step in plan.steps)
