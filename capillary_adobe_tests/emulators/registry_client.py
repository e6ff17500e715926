"""A plain client of the set-up services of the AEP emulator: Schema Registry, Identity Service, sandboxes.

Belongs here: what several test files need to make objects. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from capillary_adobe.emulators.aep import RunningEmulator, Tenant
from capillary_adobe.emulators.sandboxes import Resources, Sandboxes
from capillary_adobe_tests.emulators.client import Client

EVENTS = "https://ns.adobe.com/xdm/context/experienceevent"
PROFILES = "https://ns.adobe.com/xdm/context/profile"
IDENTITY_MAP = "https://ns.adobe.com/xdm/context/identitymap"
TEXT = {"type": "string"}
XED = "application/vnd.adobe.xed+json; version=1"
FULL = "application/vnd.adobe.xed-full+json; version=1"
LIST = "application/vnd.adobe.xed-id+json"
DESCRIPTORS = "application/vnd.adobe.xdm+json"


class Registry:
    """Calls in one sandbox, the tenant's own unless another is named; an empty name leaves the header out."""

    def __init__(self, client: Client, sandbox: str | None = None) -> None:
        self.client = client
        self.tenant = client.tenant
        self.sandbox = client.tenant.sandbox_name if sandbox is None else sandbox

    def call(self, method: str, path: str, accept: str | None = None, **more: Any) -> requests.Response:
        """Any call below /data/; what is sent as `data` counts as JSON."""
        headers = {
            "Authorization": f"Bearer {self.client.token}",
            "x-api-key": self.tenant.client_id,
            "x-gw-ims-org-id": self.tenant.org_id,
            "Accept": accept or "*/*",
        }
        if self.sandbox:
            headers["x-sandbox-name"] = self.sandbox
        if "data" in more:
            headers["Content-Type"] = "application/json"
        return requests.request(method, f"{self.client.base_url}/data/{path}", headers=headers, timeout=30, **more)

    def registry(self, method: str, path: str, accept: str | None = None, **more: Any) -> requests.Response:
        """A call of the Schema Registry."""
        return self.call(method, f"foundation/schemaregistry/{path}", accept, **more)

    def look_up(
        self, id_: str, accept: str = FULL, kind: str = "schemas", container: str = "tenant"
    ) -> requests.Response:
        """One object."""
        return self.registry("GET", f"{container}/{kind}/{quote(id_, safe='')}", accept)

    def list(self, kind: str = "schemas", container: str = "tenant", **params: Any) -> list[dict[str, Any]]:
        """The objects of a kind."""
        return self.registry("GET", f"{container}/{kind}", LIST, params=params).json()["results"]

    def new_group(self, title: str, fields: dict[str, Any], *classes: str) -> requests.Response:
        """Make a field group with these fields of the tenant's own."""
        return self.registry("POST", "tenant/fieldgroups", json=group(title, {"_demo": own(fields)}, *classes))

    def new_schema(self, title: str, *refs: str, union: bool = False, class_: str = PROFILES) -> requests.Response:
        """Make a schema of a class and field groups."""
        body: dict[str, Any] = {"type": "object", "title": title, "description": title}
        body["allOf"] = [{"$ref": ref} for ref in (class_, *refs)]
        tags = {"meta:immutableTags": ["union"]} if union else {}
        return self.registry("POST", "tenant/schemas", json=body | tags)

    def made(
        self, title: str = "Members", fields: dict[str, Any] | None = None, *, union: bool = True
    ) -> tuple[str, str]:
        """Make a schema with a field group; gives the ids of the schema and of the group."""
        group_id = self.new_group(f"{title} group", fields or {"member": TEXT}).json()["$id"]
        return self.new_schema(title, IDENTITY_MAP, group_id, union=union).json()["$id"], group_id

    def patch(self, kind: str, id_: str, *operations: dict[str, Any]) -> requests.Response:
        """Change an object by a JSON Patch."""
        return self.registry("PATCH", f"tenant/{kind}/{quote(id_, safe='')}", json=list(operations))

    def describe(self, schema_id: str, path: str = "/_demo/member", /, **changes: Any) -> requests.Response:
        """Make a field an identity."""
        return self.registry("POST", "tenant/descriptors", json=identity(schema_id, path) | changes)

    def new_namespace(self, code: str = "member", **changes: Any) -> requests.Response:
        """Make a namespace."""
        body = {"name": "Member", "code": code, "idType": "Cross_device"} | changes
        return self.call("POST", "core/idnamespace/identities", json=body)


def group(title: str, fields: dict[str, Any], *classes: str) -> dict[str, Any]:
    """A field group with these root fields."""
    return {
        "type": "object",
        "title": title,
        "description": title,
        "meta:intendedToExtend": list(classes) or [PROFILES],
        "definitions": {"own": {"properties": fields}},
        "allOf": [{"$ref": "#/definitions/own"}],
    }


def own(fields: dict[str, Any]) -> dict[str, Any]:
    """An object with these fields."""
    return {"type": "object", "properties": fields}


def identity(schema_id: str, path: str = "/_demo/member") -> dict[str, Any]:
    """A descriptor that makes a field a secondary identity."""
    return {
        "@type": "xdm:descriptorIdentity",
        "xdm:sourceSchema": schema_id,
        "xdm:sourceVersion": 1,
        "xdm:sourceProperty": path,
        "xdm:namespace": "Email",
        "xdm:property": "xdm:code",
        "xdm:isPrimary": False,
    }


def opened(tenant: Tenant, store: Path, *, empty: bool = False) -> Resources:
    """The objects of the tenant's own sandbox, without an emulator around them."""
    sandboxes = Sandboxes(tenant, store, empty=empty)
    sandboxes.open()
    return sandboxes.every()[0][1]


@contextmanager
def set_up(store: Path, *, empty: bool = True) -> Iterator[Registry]:
    """The set-up services of an emulator until the context ends."""
    with RunningEmulator(store, empty=empty) as emulator, requests.Session() as session:
        yield Registry(Client(emulator, session))
