"""A dataset as it is kept and as the Catalog shows it.

Belongs here: what the Catalog adds to what was asked for, and whether a dataset counts as enabled for Profile. Does not
belong here: the calls (`datasets`).
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from capillary_adobe.emulators.batch_states import now_ms
from capillary_adobe.xdm.building_blocks import CLASSES

if TYPE_CHECKING:
    from capillary_adobe.emulators.sandboxes import Resources
    from capillary_adobe.emulators.tenant import Tenant

CREATED_AT_FIRST: Final = 1_767_225_600_000
"""The seeded datasets have been there for as long as anyone can remember."""

SET_BY_CATALOG: Final = frozenset(
    {
        "id",
        "imsOrg",
        "sandboxName",
        "created",
        "updated",
        "createdClient",
        "createdUser",
        "updatedUser",
        "version",
        "state",
        "classification",
        "files",
    }
)
PROFILE: Final = "unifiedProfile"
IDENTITY: Final = "unifiedIdentity"

_OFF = "enabled:false"
_UPSERT = "isUpsert:true"
_TABLE = "adobe/pqs/table"


def new_dataset(
    asked: dict[str, Any], resources: Resources, tenant: Tenant, id_: str | None = None, created: int | None = None
) -> dict[str, Any]:
    """A new dataset of what was asked for."""
    now, id_ = created or now_ms(), id_ or secrets.token_hex(12)
    return asked | {
        "id": id_,
        "imsOrg": tenant.org_id,
        "sandboxName": resources.sandbox,
        "created": now,
        "updated": now,
        "createdClient": tenant.client_id,
        "createdUser": tenant.client_id,
        "updatedUser": tenant.client_id,
        "version": "1.0.0",
        "state": "ACTIVE",
        "files": f"@/dataSetFiles?dataSetId={id_}",
        "tags": {_TABLE: [re.sub(r"\W+", "_", asked["name"].lower(), flags=re.ASCII)]} | asked.get("tags", {}),
    }


def changed(content: dict[str, Any], tenant: Tenant) -> dict[str, Any]:
    """A dataset that was just changed."""
    head, _, last = content["version"].rpartition(".")
    version = f"{head}.{int(last) + 1}"
    return content | {"updated": now_ms(), "updatedUser": tenant.client_id, "version": version}


def shown(content: dict[str, Any], resources: Resources) -> dict[str, Any]:
    """A dataset as a client sees it: one whose schema is not part of the Profile union does not show as enabled."""
    tags = content["tags"]
    if is_on(content, PROFILE) and not in_union(content, resources):
        tags = tags | {PROFILE: [_OFF]}
    behaviour = "time-series" if is_time_series(content, resources) else "record"
    described = {"tags": tags, "classification": {"dataBehavior": behaviour, "managedBy": "CUSTOMER"}}
    return {name: value for name, value in content.items() if name != "id"} | described


def is_time_series(content: dict[str, Any], resources: Resources) -> bool:
    """Whether the schema of a dataset describes events."""
    schema = resources.get("schemas", content["schemaRef"]["id"]) or {}
    refs = {part.get("$ref") for part in schema.get("allOf", ()) if isinstance(part, dict)}
    return CLASSES["events"].id in refs | {schema.get("meta:class")}


def is_on(content: dict[str, Any], tag: str) -> bool:
    """Whether a tag says that a dataset is enabled."""
    return "enabled:true" in _words(content, tag)


def takes_upserts(content: dict[str, Any]) -> bool:
    """Whether a tag says that a dataset takes upserts."""
    return _UPSERT in _words(content, PROFILE)


def in_union(content: dict[str, Any], resources: Resources) -> bool:
    """Whether the schema of a dataset is part of the Profile union."""
    schema = resources.get("schemas", content["schemaRef"]["id"])
    return schema is not None and "union" in schema.get("meta:immutableTags", ())


def _words(content: dict[str, Any], tag: str) -> list[str]:
    return [word.replace(" ", "").replace("True", "true") for word in content["tags"].get(tag, ())]
