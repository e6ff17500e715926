"""The datasets of the demo tenant, and the road from its inlet to each of them.

Belongs here: making these objects as a set-up would have made them, with the ids that the tenant fixes. Does not belong
here: the schemas (`standard_groups`) and the calls that make such objects (`datasets`, `flow_service`).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from capillary_adobe.emulators.dataset_objects import CREATED_AT_FIRST, new_dataset
from capillary_adobe.emulators.flow_objects import FlowKind, made, with_inlet, with_origin
from capillary_adobe.emulators.flow_specs import AUTHENTICATION, DATA_LAKE, STREAMING, STREAMING_FLOW

if TYPE_CHECKING:
    from capillary_adobe.emulators.sandboxes import Resources
    from capillary_adobe.emulators.tenant import Dataset, Tenant

_CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"
_ON = ["enabled:true"]


def seed_targets(resources: Resources, tenant: Tenant) -> None:
    """Make what is missing of the tenant's datasets, connections and dataflows, and what has to lead elsewhere now."""
    _Road(resources, tenant).make()


class _Road:
    def __init__(self, resources: Resources, tenant: Tenant) -> None:
        self._resources = resources
        self._tenant = tenant

    def make(self) -> None:
        base, source = self._id("base"), self._id("source")
        params = {"sourceId": "demo", "dataType": "xdm", "name": "demo", "authenticationRequired": True}
        auth = {"specName": AUTHENTICATION, "params": params}
        connection = with_inlet(_named("Demo inlet", STREAMING) | {"auth": auth}, self._tenant.inlet_id)
        self._put("connections", base, connection)
        self._put("sourceConnections", source, _named("Demo source", STREAMING) | {"baseConnectionId": base})
        for dataset in self._tenant.datasets().values():
            self._lead_to(dataset, source)

    def _lead_to(self, dataset: Dataset, source: str) -> None:
        name = "events" if dataset.time_series else "profiles"
        reference = {"id": dataset.schema_id, "contentType": _CONTENT_TYPE}
        asked = {"name": name, "schemaRef": reference, "tags": {"unifiedProfile": _ON, "unifiedIdentity": _ON}}
        there = self._resources.get("dataSets", dataset.dataset_id)
        if there is None or there["schemaRef"]["id"] != dataset.schema_id:
            content = new_dataset(asked, self._resources, self._tenant, dataset.dataset_id, CREATED_AT_FIRST)
            self._resources.put("dataSets", dataset.dataset_id, content)
        target = self._id(f"target {dataset.dataset_id} {dataset.schema_id}")
        data = {"schema": {"id": dataset.schema_id, "version": _CONTENT_TYPE}}
        leads = {"data": data, "params": {"dataSetId": dataset.dataset_id}}
        self._put("targetConnections", target, _named(f"Demo {name} target", DATA_LAKE) | leads)
        ends = {"sourceConnectionIds": [source], "targetConnectionIds": [target]}
        there = self._resources.get("flows", dataset.flow_id)
        if there is None or any(there[name] != end for name, end in ends.items()):
            flow = {"name": f"Demo {name}", "flowSpec": {"id": STREAMING_FLOW, "version": "1.0"}} | ends
            self._resources.put(
                "flows", dataset.flow_id, with_origin(self._made(dataset.flow_id, flow), self._resources)
            )

    def _put(self, kind: FlowKind, id_: str, asked: dict[str, Any]) -> None:
        if self._resources.get(kind, id_) is None:
            self._resources.put(kind, id_, self._made(id_, asked))

    def _made(self, id_: str, asked: dict[str, Any]) -> dict[str, Any]:
        return made(asked, self._resources, self._tenant.org_id, self._tenant.client_id, id_)

    def _id(self, what: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._tenant.inlet_id} {self._tenant.sandbox_name} {what}"))


def _named(name: str, spec_id: str) -> dict[str, Any]:
    return {"name": name, "connectionSpec": {"id": spec_id, "version": "1.0"}}
