"""A plain client that builds the road from an inlet to a dataset, and sends on it.

Belongs here: what several test files need to make datasets, connections and dataflows. Does not belong here: any
expectation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe_tests.emulators.client import CONTENT_TYPE, Client
from capillary_adobe_tests.emulators.platform_client import eventually
from capillary_adobe_tests.emulators.registry_client import Registry

STREAMING = "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb"
LAKE = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
STREAMING_FLOW = "d8a6f005-7eaf-4153-983e-e8574508b877"
FLOWS = "foundation/flowservice"
DATASETS = "foundation/catalog/dataSets"
ON = ["enabled:true"]


@dataclass(frozen=True)
class Road:
    """What a message needs to know."""

    inlet_url: str
    schema_id: str
    dataset_id: str
    flow_id: str


class RoadBuilder:
    """Calls of Catalog and Flow Service in the sandbox of a registry's client."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.client = registry.client
        self.tenant = registry.tenant

    def post(self, kind: str, **body: Any) -> requests.Response:
        """Make an object of the Flow Service."""
        return self.registry.call("POST", f"{FLOWS}/{kind}", json=body)

    def get(self, kind: str, id_: str = "", **params: Any) -> requests.Response:
        """Look at one object of the Flow Service, or at the list of a kind."""
        return self.registry.call("GET", f"{FLOWS}/{kind}{id_ and '/'}{id_}", params=params)

    def item(self, kind: str, id_: str) -> dict[str, Any]:
        """One object of the Flow Service."""
        (item,) = self.get(kind, id_).json()["items"]
        return item

    def ids(self, kind: str, **params: Any) -> list[str]:
        """The ids of the objects of a kind that are found."""
        return [item["id"] for item in self.get(kind, **params).json()["items"]]

    def patch(self, kind: str, id_: str, etag: str | None, *operations: dict[str, Any]) -> requests.Response:
        """Change an object of the Flow Service."""
        headers = {"x-sandbox-name": self.registry.sandbox} | ({"If-Match": etag} if etag else {})
        return self._raw("PATCH", f"{FLOWS}/{kind}/{id_}", headers, json=list(operations))

    def delete(self, kind: str, id_: str) -> requests.Response:
        """Delete an object of the Flow Service."""
        return self.registry.call("DELETE", f"{FLOWS}/{kind}/{id_}")

    def new_dataset(self, schema_id: str, name: str = "Members", **more: Any) -> requests.Response:
        """Make a dataset."""
        body = {"name": name, "schemaRef": {"id": schema_id, "contentType": CONTENT_TYPE}} | more
        return self.registry.call("POST", DATASETS, json=body)

    def dataset(self, schema_id: str, name: str = "Members", **more: Any) -> str:
        """Make a dataset and give its id."""
        (reference,) = self.new_dataset(schema_id, name, **more).json()
        return reference.removeprefix("@/dataSets/")

    def datasets(self, **params: Any) -> dict[str, dict[str, Any]]:
        """The datasets that are found."""
        return self.registry.call("GET", DATASETS, params=params).json()

    def change_dataset(self, dataset_id: str, body: Any, content_type: str = "application/json") -> requests.Response:
        """Change a dataset."""
        headers = {"x-sandbox-name": self.registry.sandbox, "Content-Type": content_type}
        return self._raw("PATCH", f"{DATASETS}/{dataset_id}", headers, json=body)

    def connect(self, source_id: str = "members", **params: Any) -> str:
        """Make a base connection and give its id."""
        auth = {"specName": "Streaming Connection", "params": params_of(source_id) | params}
        return self.post("connections", name=source_id, connectionSpec=spec(STREAMING), auth=auth).json()["id"]

    def source(self, connection_id: str, name: str = "source") -> str:
        """Make a source connection and give its id."""
        body = {"name": name, "baseConnectionId": connection_id, "connectionSpec": spec(STREAMING)}
        return self.post("sourceConnections", **body).json()["id"]

    def target(self, dataset_id: str, schema_id: str, name: str = "target") -> str:
        """Make a target connection and give its id."""
        schema = {"id": schema_id, "version": f"{CONTENT_TYPE}.0"}
        body = {"name": name, "data": {"schema": schema}, "params": {"dataSetId": dataset_id}}
        return self.post("targetConnections", **body, connectionSpec=spec(LAKE)).json()["id"]

    def flow(self, source_id: str, target_id: str, name: str = "flow") -> str:
        """Make a dataflow and give its id."""
        ends = {"sourceConnectionIds": [source_id], "targetConnectionIds": [target_id]}
        return self.post("flows", name=name, flowSpec=spec(STREAMING_FLOW), **ends).json()["id"]

    def road(self, schema_id: str, source_id: str = "members", **params: Any) -> Road:
        """Make everything from an inlet to a dataset of a schema."""
        connection = self.connect(source_id, **params)
        dataset = self.dataset(schema_id)
        flow = self.flow(self.source(connection), self.target(dataset, schema_id))
        return Road(self.inlet_url(connection), schema_id, dataset, flow)

    def inlet_url(self, connection_id: str) -> str:
        """Where the messages of a base connection go."""
        return self.item("connections", connection_id)["auth"]["params"]["inletUrl"]

    def send(self, road: Road, entity: dict[str, Any], **header: Any) -> requests.Response:
        """Send one entity; a part of the header that is None is left out."""
        reference = {"id": road.schema_id, "contentType": CONTENT_TYPE}
        usual = {"schemaRef": reference, "imsOrgId": self.tenant.org_id, "datasetId": road.dataset_id}
        whole = {
            name: value for name, value in (usual | {"flowId": road.flow_id} | header).items() if value is not None
        }
        body = {"xdmMeta": {"schemaRef": whole["schemaRef"]}, "xdmEntity": entity}
        headers = {"Authorization": f"Bearer {self.client.token}"}
        return requests.post(road.inlet_url, json={"header": whole, "body": body}, headers=headers, timeout=30)

    def counts(self) -> dict[str, Any]:
        """The emulator's summary once everything is validated."""

        def look() -> dict[str, Any] | None:
            summary = self.client.summary()
            return None if summary["awaiting_validation"] else summary

        return eventually(look, "the end of the validation")

    def _raw(self, method: str, path: str, headers: dict[str, str], **more: Any) -> requests.Response:
        usual = {
            "Authorization": f"Bearer {self.client.token}",
            "x-api-key": self.tenant.client_id,
            "x-gw-ims-org-id": self.tenant.org_id,
        }
        return requests.request(
            method, f"{self.client.base_url}/data/{path}", headers=usual | headers, timeout=30, **more
        )


def spec(id_: str) -> dict[str, str]:
    """A reference to a specification."""
    return {"id": id_, "version": "1.0"}


def params_of(source_id: str) -> dict[str, Any]:
    """The parameters of an inlet that wants a token."""
    return {"sourceId": source_id, "dataType": "xdm", "name": source_id, "authenticationRequired": True}


def member(customer: str = "c-1", **fields: Any) -> dict[str, Any]:
    """A record of the schema that `Registry.made` makes."""
    return {"identityMap": {"Email": [{"id": customer, "primary": True}]}, "_demo": {"member": customer}} | fields


@contextmanager
def building(store: Path, *, empty: bool = True, **behaviour: Any) -> Iterator[RoadBuilder]:
    """The client of an emulator that loses no time, until the context ends."""
    swift = Behaviour(**({"batch_seconds": 0, "validation_seconds": 0.05} | behaviour))
    with RunningEmulator(store, behaviour=swift, empty=empty) as emulator, requests.Session() as session:
        yield RoadBuilder(Registry(Client(emulator, session)))
