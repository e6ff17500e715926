"""The objects of the Flow Service as they are kept and shown: base, source and target connections, and flows.

Belongs here: what the service adds to what was asked for, and how an object looks to a client. Does not belong here: what
may be asked for (`flow_rules`) and the calls (`flow_service`).
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any, Final, Literal

from capillary_adobe.emulators.batch_states import now_ms

if TYPE_CHECKING:
    from capillary_adobe.emulators.sandboxes import Resources

FlowKind = Literal["connections", "sourceConnections", "targetConnections", "flows"]
FLOW_KINDS: Final[tuple[FlowKind, ...]] = ("connections", "sourceConnections", "targetConnections", "flows")

SET_BY_SERVICE: Final = frozenset(
    {
        "id",
        "createdAt",
        "updatedAt",
        "createdBy",
        "updatedBy",
        "createdClient",
        "updatedClient",
        "sandboxId",
        "sandboxName",
        "imsOrgId",
        "state",
        "version",
        "etag",
        "inheritedAttributes",
        "runs",
        "lastOperation",
    }
)

_SANDBOX_IDS = uuid.UUID("6b36e130-c5d7-41e9-949c-0da8d50fcac1")


def made(
    asked: dict[str, Any], resources: Resources, org_id: str, client_id: str, id_: str | None = None
) -> dict[str, Any]:
    """A new object of what was asked for."""
    now, etag = now_ms(), new_etag()
    return asked | {
        "id": id_ or str(uuid.uuid4()),
        "createdAt": now,
        "updatedAt": now,
        "createdBy": client_id,
        "updatedBy": client_id,
        "createdClient": client_id,
        "updatedClient": client_id,
        "sandboxId": str(uuid.uuid5(_SANDBOX_IDS, resources.sandbox)),
        "sandboxName": resources.sandbox,
        "imsOrgId": org_id,
        "state": "enabled",
        "version": etag,
        "etag": etag,
    }


def with_inlet(connection: dict[str, Any], inlet_id: str | None = None) -> dict[str, Any]:
    """A streaming connection with the inlet that it opens."""
    auth = connection["auth"]
    return connection | {"auth": auth | {"params": auth["params"] | {"inletId": inlet_id or secrets.token_hex(32)}}}


def with_origin(flow: dict[str, Any], resources: Resources) -> dict[str, Any]:
    """A flow with what its connections say of themselves."""
    sources = [_described(resources, "sourceConnections", id_) for id_ in flow["sourceConnectionIds"]]
    targets = [_described(resources, "targetConnections", id_) for id_ in flow["targetConnectionIds"]]
    for source in sources:
        base = resources.get("sourceConnections", source["id"]) or {}
        source["baseConnection"] = _described(resources, "connections", base.get("baseConnectionId", ""))
    inherited = {"properties": {"isSourceFlow": True}, "sourceConnections": sources, "targetConnections": targets}
    return flow | {"inheritedAttributes": inherited, "runs": f"/runs?property=flowId=={flow['id']}"}


def shown(kind: FlowKind, content: dict[str, Any], base_url: str) -> dict[str, Any]:
    """An object as a client of the emulator at an address sees it."""
    if kind != "connections":
        return content
    params = content["auth"]["params"]
    reached = params | {"inletUrl": f"{base_url}/collection/{params['inletId']}"}
    return content | {"auth": content["auth"] | {"params": reached}}


def new_etag() -> str:
    """A fresh version; the quotes belong to it."""
    return f'"{secrets.token_hex(4)}-0000-0200-0000-{secrets.token_hex(4)}0000"'


def _described(resources: Resources, kind: FlowKind, id_: str) -> dict[str, Any]:
    content = resources.get(kind, id_) or {}
    return {"id": id_, "connectionSpec": content.get("connectionSpec", {})}
