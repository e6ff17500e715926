"""Field groups, data types and schemas of a tenant: making and changing them.

Belongs here: ids, versions, and that a change reaches whatever is made of the changed object. Does not belong here: the
checks (`schema_registry_rules`, `schema_registry_evolution`) and how an object is shown (`schema_registry_views`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, Final

from capillary_adobe.emulators.batch_states import now_ms
from capillary_adobe.emulators.effective_schema import folded
from capillary_adobe.emulators.json_patch import BadPatch, patched, paths_of
from capillary_adobe.emulators.sandboxes import Resources
from capillary_adobe.emulators.schema_registry_errors import breaking, invalid, not_found, refused
from capillary_adobe.emulators.schema_registry_evolution import UNION, breaks, enabled, in_use
from capillary_adobe.emulators.schema_registry_rules import (
    class_of,
    demand_mergeable,
    demand_parts,
    demand_sound,
    references,
    with_types,
)
from capillary_adobe.emulators.schema_registry_shape import demand_shape
from capillary_adobe.emulators.standard_groups import GLOBAL, next_version, short_id
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.xdm.schemas import tenant_key

_PATH_WORDS: Final = {"fieldgroups": "mixins", "schemas": "schemas", "datatypes": "datatypes"}
_SERVERS_OWN: Final = (
    "$id",
    "meta:altId",
    "meta:resourceType",
    "meta:containerId",
    "meta:tenantNamespace",
    "meta:registryMetadata",
    "meta:xdmType",
    "meta:class",
    "meta:extends",
    "version",
    "imsOrg",
    "refs",
)


class Library:
    """The objects of one sandbox, changed on behalf of a client of the tenant."""

    def __init__(self, resources: Resources, tenant: Tenant) -> None:
        self._resources = resources
        self._tenant = tenant
        self._key = tenant_key(tenant.tenant_id)

    def create(self, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        id_ = f"{GLOBAL}{self._tenant.tenant_id}/{_PATH_WORDS[kind]}/{secrets.token_hex(24)}"
        with self._resources.alone():
            made = self._made(kind, id_, asked, "1.0", now_ms())
            self._demand(kind, made)
            self._resources.put(kind, id_, made)
        return made

    def patch(self, kind: str, id_: str, operations: Any) -> dict[str, Any]:
        """Change parts of an object."""
        with self._resources.alone():
            current = self._existing(kind, id_)
            try:
                paths_of(operations)
                changed = patched(current, operations)
            except BadPatch as fault:
                raise invalid(str(fault)) from None
            return self._change(kind, current, changed)

    def replace(self, kind: str, id_: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Put another content in the place of an object's."""
        with self._resources.alone():
            return self._change(kind, self._existing(kind, id_), asked)

    def remove(self, kind: str, id_: str) -> None:
        """Take an object away that nothing needs."""
        with self._resources.alone():
            content = self._existing(kind, id_)
            users = [user["$id"] for _, user in self._users(content["$id"])]
            if users or (kind == "schemas" and in_use(self._resources, content)):
                needed = f"used by {', '.join(users)}" if users else "followed by a dataset or enabled for Profile"
                raise refused(400, f"The resource {content['$id']} is {needed}, so it cannot be deleted")
            self._resources.remove(kind, content["$id"])

    def _existing(self, kind: str, id_: str) -> dict[str, Any]:
        for content in self._resources.all(kind):
            if id_ in (content["$id"], content["meta:altId"]):
                return content
        raise not_found(id_)

    def _made(self, kind: str, id_: str, asked: dict[str, Any], version: str, created: int) -> dict[str, Any]:
        given = {name: value for name, value in asked.items() if name not in _SERVERS_OWN}
        demand_shape(given)
        made = {"description": "", "type": "object"} | with_types(given)
        dates = {"repo:createdDate": created, "repo:lastModifiedDate": now_ms()}
        client = self._tenant.client_id
        return made | {
            "$id": id_,
            "meta:altId": short_id(id_),
            "meta:resourceType": _PATH_WORDS[kind],
            "version": version,
            "imsOrg": self._tenant.org_id,
            "meta:extensible": kind != "schemas",
            "meta:abstract": kind != "schemas",
            "meta:containerId": "tenant",
            "meta:tenantNamespace": self._key,
            "meta:xdmType": "object",
            "meta:registryMetadata": dates | {"xdm:createdClientId": client, "xdm:lastModifiedClientId": client},
            **(_made_of(given) if kind == "schemas" else {}),
        }

    def _demand(self, kind: str, made: dict[str, Any]) -> None:
        demand_sound(self._resources, kind, made, self._key)
        if kind == "schemas":
            demand_mergeable(_Supposed(self._resources, kind, made), made)

    def _change(self, kind: str, current: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        created = current.get("meta:registryMetadata", {}).get("repo:createdDate", 0)
        changed = self._made(kind, current["$id"], asked, next_version(current["version"]), created)
        if kind == "schemas" and enabled(current) and not enabled(changed):
            raise breaking(f"The tag {UNION} of meta:immutableTags cannot be taken away")
        self._demand(kind, changed)
        supposed = _Supposed(self._resources, kind, changed)
        affected = [("schemas", current)] if kind == "schemas" else list(self._users(current["$id"]))
        for user_kind, user in affected:
            after = supposed.get(user_kind, user["$id"]) or user
            self._demand_nothing_breaks(supposed, user_kind, user, after)
        self._resources.put(kind, current["$id"], changed)
        for user_kind, user in affected:
            if user["$id"] != current["$id"]:
                self._resources.put(user_kind, user["$id"], user | {"version": next_version(user["version"])})
        return changed

    def _demand_nothing_breaks(
        self, supposed: _Supposed, kind: str, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        if kind != "schemas":
            return
        if in_use(self._resources, before):
            lost = list(breaks(folded(self._resources, before), folded(supposed, after)))
            if lost:
                raise breaking(f"The schema {before['$id']} is in use and must not lose anything: {'; '.join(lost)}")
        demand_parts(supposed, after)
        demand_mergeable(supposed, after)

    def _users(self, id_: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Whatever refers to an object, be it through others."""
        for kind in _PATH_WORDS:
            for content in self._resources.all(kind):
                if id_ in references(content):
                    yield kind, content
                    if kind != "schemas":
                        yield from self._users(content["$id"])


class _Supposed:
    """The objects of a sandbox as they would be with one of them changed."""

    def __init__(self, resources: Resources, kind: str, content: dict[str, Any]) -> None:
        self._resources = resources
        self._kind = kind
        self._content = content

    def get(self, kind: str, id_: str) -> dict[str, Any] | None:
        if (kind, id_) == (self._kind, self._content["$id"]):
            return self._content
        return self._resources.get(kind, id_)

    def all(self, kind: str) -> list[dict[str, Any]]:
        others = self._resources.all(kind)
        if kind != self._kind:
            return others
        return [item for item in others if item["$id"] != self._content["$id"]] + [self._content]


def _made_of(given: dict[str, Any]) -> dict[str, Any]:
    refs = list(dict.fromkeys(references(given)))
    return {"meta:class": class_of(given), "meta:extends": refs, "refs": refs}
