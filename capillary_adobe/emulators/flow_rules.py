"""What the Flow Service demands of connections and flows.

Belongs here: the parts that a body must have, and that what it refers to exists and fits. Does not belong here: the calls
(`flow_service`) and how objects are kept (`flow_objects`).

Not played: raw inlets, whose records are mapped by Data Prep, and any source other than the inlet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from capillary_adobe.emulators.flow_errors import FlowError, not_processed, unknown_spec
from capillary_adobe.emulators.flow_objects import FLOW_KINDS, SET_BY_SERVICE, FlowKind
from capillary_adobe.emulators.flow_specs import AUTHENTICATION, DATA_LAKE, FLOW_SPECS, SPEC_VERSION, STREAMING
from capillary_adobe.emulators.sandboxes import Resources

_CONTENT_TYPE = re.compile(r"application/vnd\.adobe\.xed-full(-notext)?\+json; ?version=1(\.\d+)?")
_INLET = ("inletId", "inletUrl")

_MAY_CHANGE: dict[FlowKind, frozenset[str]] = {
    "connections": frozenset({"name", "description", "auth"}),
    "sourceConnections": frozenset({"name", "description", "data", "params"}),
    "targetConnections": frozenset({"name", "description", "data", "params"}),
    "flows": frozenset({"name", "description", "transformations", "scheduleParams"}),
}


def check(kind: FlowKind, content: dict[str, Any], resources: Resources) -> None:
    """Demand what a new or changed object of a kind must have."""
    if not _is_text(content.get("name")):
        raise not_processed("name must be text")
    _CHECKS[kind](content, resources)


def check_new(kind: FlowKind, content: dict[str, Any], resources: Resources) -> None:
    """Demand what an object that is asked for must have."""
    if kind == "flows" and "state" in content:
        raise FlowError("1410-400", "State is not allowed in the create flow request.")
    if fixed := sorted(SET_BY_SERVICE & content.keys()):
        raise not_processed(f"{fixed[0]} is set by the service")
    check(kind, content, resources)


def check_paths(kind: FlowKind, paths: list[str]) -> None:
    """Demand that a change concerns only what may be changed."""
    for path in paths:
        steps = path.split("/")[1:]
        if steps[0] == "connectionSpec":
            raise FlowError("1414-400", "The connection spec of a connection cannot be updated.")
        if steps[0] not in _MAY_CHANGE[kind] or steps[-1] in _INLET:
            raise not_processed(f"{path} cannot be changed")


def check_unused(kind: FlowKind, id_: str, resources: Resources) -> None:
    """Demand that no flow needs an object that is to be deleted."""
    if kind == "flows":
        return
    if kind == "connections":
        used = {source["id"] for source in resources.all("sourceConnections") if source["baseConnectionId"] == id_}
    else:
        used = {id_}
    for flow in resources.all("flows"):
        if used & {*flow["sourceConnectionIds"], *flow["targetConnectionIds"]}:
            what = "base connection" if kind == "connections" else kind.removesuffix("s")
            message = (
                f"The {what} with the ID {id_} cannot be deleted because the {what} is being used in one or more flows. "
                f"Please ensure that corresponding flows are deleted before deleting a {what}."
            )
            raise FlowError("1418-400", message)


def _check_connection(content: dict[str, Any], resources: Resources) -> None:
    if _spec_id(content, "connectionSpec") != STREAMING:
        raise unknown_spec()
    auth = content.get("auth")
    params = auth.get("params") if isinstance(auth, dict) else None
    if not isinstance(auth, dict) or not isinstance(params, dict):
        raise not_processed("auth must have a specName and params")
    if auth.get("specName") != AUTHENTICATION:
        message = f"The auth spec {auth.get('specName')} could not be found for the connection spec ID {STREAMING}."
        raise FlowError("1415-400", message)
    if not _is_text(params.get("sourceId")):
        raise not_processed("sourceId must be text")
    if params.get("dataType") != "xdm":
        raise not_processed("dataType must be xdm")
    if not isinstance(params.get("authenticationRequired", False), bool):
        raise not_processed("authenticationRequired must be true or false")
    for other in resources.all("connections"):
        if other["id"] != content.get("id") and other["auth"]["params"]["sourceId"] == params["sourceId"]:
            raise not_processed(f"the sourceId {params['sourceId']} is taken by the connection {other['id']}")


def _check_source(content: dict[str, Any], resources: Resources) -> None:
    base = _referred("connections", content.get("baseConnectionId"), resources)
    if _spec_id(content, "connectionSpec") != base["connectionSpec"]["id"]:
        raise unknown_spec()


def _check_target(content: dict[str, Any], resources: Resources) -> None:
    if _spec_id(content, "connectionSpec") != DATA_LAKE:
        raise unknown_spec()
    params, data = content.get("params"), content.get("data", {})
    dataset_id = params.get("dataSetId") if isinstance(params, dict) else None
    dataset = resources.get("dataSets", dataset_id) if isinstance(dataset_id, str) else None
    if dataset is None:
        raise not_processed(f"the dataset {dataset_id} does not exist")
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema is None:
        return
    if not isinstance(schema, dict) or not _CONTENT_TYPE.fullmatch(str(schema.get("version"))):
        raise not_processed("data.schema must have an id and the content type of a whole schema as its version")
    if schema.get("id") != dataset["schemaRef"]["id"]:
        raise not_processed(f"the schema {schema.get('id')} is not the one of the dataset {dataset_id}")


def _check_flow(content: dict[str, Any], resources: Resources) -> None:
    spec = FLOW_SPECS.get(_spec_id(content, "flowSpec"))
    if spec is None:
        raise unknown_spec()
    for kind, ids, fitting in (
        ("sourceConnections", content.get("sourceConnectionIds"), spec["sourceConnectionSpecIds"]),
        ("targetConnections", content.get("targetConnectionIds"), spec["targetConnectionSpecIds"]),
    ):
        if not isinstance(ids, list) or len(ids) != 1:
            raise not_processed(f"{kind.removesuffix('s')}Ids must be a list with one id")
        if _referred(kind, ids[0], resources)["connectionSpec"]["id"] not in fitting:
            raise unknown_spec()
    if content.get("transformations", []) != []:
        raise not_processed("the flow spec has no transformations")


_CHECKS: dict[FlowKind, Callable[[dict[str, Any], Resources], None]] = dict(
    zip(FLOW_KINDS, (_check_connection, _check_source, _check_target, _check_flow), strict=True)
)


def _referred(kind: str, id_: Any, resources: Resources) -> dict[str, Any]:
    content = resources.get(kind, id_) if isinstance(id_, str) else None
    if content is None:
        raise not_processed(f"there is no {kind.removesuffix('s')} with the ID {id_}")
    return content


def _spec_id(content: dict[str, Any], name: str) -> str:
    spec = content.get(name)
    if not isinstance(spec, dict) or spec.get("version", SPEC_VERSION) != SPEC_VERSION:
        return ""
    return str(spec.get("id"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
