"""What the Schema Registry holds before a tenant adds anything: Adobe's classes and standard field groups.

Belongs here: making those that our schemas are built of out of the shipped schemas, and the demo tenant's own objects
out of the rest. Does not belong here: which property comes from which group (`xdm.building_blocks`) and how objects
refer to one another (`effective_schema`).

The shipped schemas are stricter than XDM: they refuse what is empty or unknown. What is made here is not.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from capillary_adobe.xdm.building_blocks import CLASSES, FIELD_GROUPS
from capillary_adobe.xdm.schemas import Kind, entity_schema, tenant_key

if TYPE_CHECKING:
    from capillary_adobe.emulators.sandboxes import Resources
    from capillary_adobe.emulators.tenant import Tenant

KINDS: Final[tuple[Kind, ...]] = ("events", "profiles")
GLOBAL: Final = "https://ns.adobe.com/"

_ANY_TENANT = "x"
_OURS = ("minLength", "minItems", "minProperties", "$comment", "$ref")
_CLASS_NEEDS: dict[Kind, list[str]] = {"events": ["_id", "timestamp"], "profiles": []}
_TIGHTER = ("extSourceSystemAudit", "identityMap")  # XDM demands no field of theirs
_LOOSER: Final = {  # XDM's patterns of these fields are bound to neither end of the text
    "birthDayAndMonth": "[0-1][0-9]-[0-9][0-9]",
    "stateProvince": "([A-Z]{2}-[A-Z0-9]{1,3}|)",
}
_WORDS: dict[Kind, str] = {"events": "Event", "profiles": "Profile"}
_XDM_TYPES = {"date": "date", "date-time": "date-time"}
_INT: Final = 2_147_483_647
_LONG: Final = 9_007_199_254_740_991


@cache
def standard() -> dict[str, dict[str, Any]]:
    """The classes and standard field groups by `$id`, as the Registry keeps them; never change them."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        fields = _standard_fields(kind)
        class_ = CLASSES[kind]
        made = {name: fields[name] for name in class_.properties}
        found[class_.id] = _object("classes", class_.id, class_.title, made, _CLASS_NEEDS[kind])
        for group in FIELD_GROUPS[kind]:
            if group.id not in found:
                found[group.id] = _object(
                    "mixins", group.id, group.title, {name: fields[name] for name in group.properties}, []
                )
                found[group.id]["meta:intendedToExtend"] = []
            found[group.id]["meta:intendedToExtend"].append(class_.id)
    return found


def short_id(id_: str) -> str:
    """The `meta:altId` of an object: its `$id` without a slash."""
    return f"_{id_.removeprefix(GLOBAL).replace('/', '.')}"


def seed_schemas(resources: Resources, tenant: Tenant) -> None:
    """Make the two schemas of the tenant, with a field group of its own for each."""
    ids: dict[Kind, str] = {"events": tenant.events_schema_id, "profiles": tenant.profiles_schema_id}
    for kind in KINDS:
        group = _tenant_group(kind, tenant.tenant_id)
        schema = _schema(kind, ids[kind], group["$id"], tenant.tenant_id)
        grown = _seed(resources, "fieldgroups", group)
        _seed(resources, "schemas", schema)
        if grown:
            made = resources.get("schemas", schema["$id"]) or schema
            resources.put("schemas", schema["$id"], made | {"version": next_version(made["version"])})


def next_version(version: str) -> str:
    """The version after a change that takes nothing away."""
    major, _, minor = version.partition(".")
    return f"{major}.{int(minor) + 1}"


def _seed(resources: Resources, kind: str, wanted: dict[str, Any]) -> bool:
    """Make an object, or add what it lacks since an older version of the emulator made it; say if it was the latter."""
    there = resources.get(kind, wanted["$id"])
    if there is None:
        resources.put(kind, wanted["$id"], wanted)
        return False
    whole = _topped_up(there, wanted)
    if whole == there:
        return False
    resources.put(kind, wanted["$id"], whole | {"version": next_version(there["version"])})
    return True


def _topped_up(there: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    added = {name: value for name, value in wanted.items() if name not in there}
    both = {
        name: _topped_up(there[name], value)
        for name, value in wanted.items()
        if isinstance(value, dict) and isinstance(there.get(name), dict)
    }
    return there | both | added


def tenant_fields(kind: Kind, tenant_id: str) -> dict[str, Any]:
    """The root properties through which a kind's fields of the tenant's own are reached, and nothing else of them."""
    schema = entity_schema(kind, tenant_id)
    key = tenant_key(tenant_id)
    parts = {name: _own_part(name, _as_xdm(node, schema), key) for name, node in schema["properties"].items()}
    return {name: part for name, part in parts.items() if part is not None}


def _standard_fields(kind: Kind) -> dict[str, Any]:
    schema = entity_schema(kind, _ANY_TENANT)
    key = tenant_key(_ANY_TENANT)
    fields = {name: _as_xdm(node, schema) for name, node in schema["properties"].items() if name != key}
    for name in _TIGHTER:
        _forget_needs(fields.get(name, {}))
    return {name: _without(node, key) for name, node in fields.items()}


def _as_xdm(node: Any, schema: dict[str, Any]) -> Any:
    """A property with its references followed, less strict than ours, and with XDM's name of its type."""
    if "$ref" in node:
        return _as_xdm(schema["definitions"][node["$ref"].rpartition("/")[2]], schema)
    kept = {name: value for name, value in node.items() if name not in _OURS}
    if kept.get("additionalProperties") is False:
        del kept["additionalProperties"]
    for name in ("items", "additionalProperties"):
        if name in kept:
            kept[name] = _as_xdm(kept[name], schema)
    if "properties" in kept:
        kept["properties"] = {name: _as_xdm(part, schema) for name, part in kept["properties"].items()}
        for name in _LOOSER.keys() & kept["properties"].keys():
            kept["properties"][name]["pattern"] = _LOOSER[name]
    if "enum" in kept:
        kept.setdefault("type", "string")
    return kept | {"meta:xdmType": xdm_type(kept)}


def xdm_type(node: dict[str, Any]) -> str:
    """XDM's name for the type of a property."""
    if isinstance(node.get("additionalProperties"), dict):
        return "map"
    if node.get("type") == "integer":
        low, high = node.get("minimum", -_LONG), node.get("maximum", _LONG)
        return "int" if low >= -_INT - 1 and high <= _INT else "long"
    return _XDM_TYPES.get(node.get("format", ""), str(node.get("type", "object")))


def _forget_needs(node: dict[str, Any]) -> None:
    node.pop("required", None)
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            _forget_needs(node[name])


def _without(node: dict[str, Any], key: str) -> dict[str, Any]:
    changed = dict(node)
    if "properties" in node:
        changed["properties"] = {name: _without(part, key) for name, part in node["properties"].items() if name != key}
    if "items" in node:
        changed["items"] = _without(node["items"], key)
    return changed


def _own_part(name: str, node: dict[str, Any], key: str) -> dict[str, Any] | None:
    if name == key:
        return node
    if "items" in node:
        items = _own_part("", node["items"], key)
        return None if items is None else {"type": "array", "items": items, "meta:xdmType": "array"}
    parts = {child: _own_part(child, part, key) for child, part in node.get("properties", {}).items()}
    found = {child: part for child, part in parts.items() if part is not None}
    return {"type": "object", "properties": found, "meta:xdmType": "object"} if found else None


def _object(type_: str, id_: str, title: str, fields: dict[str, Any], needs: list[str]) -> dict[str, Any]:
    return {
        "$id": id_,
        "meta:altId": short_id(id_),
        "meta:resourceType": type_,
        "version": "1.0",
        "title": title,
        "description": title,
        "type": "object",
        "definitions": {"fields": {"properties": fields} | ({"required": needs} if needs else {})},
        "allOf": [{"$ref": "#/definitions/fields", "type": "object", "meta:xdmType": "object"}],
        "meta:extensible": True,
        "meta:abstract": True,
        "meta:containerId": "global",
        "meta:xdmType": "object",
    }


def _tenant_group(kind: Kind, tenant_id: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{tenant_id} {kind}".encode()).hexdigest()[:48]
    title = f"Demo {_WORDS[kind]} Details"
    id_ = f"{GLOBAL}{tenant_id}/mixins/{digest}"
    return _object("mixins", id_, title, tenant_fields(kind, tenant_id), []) | {
        "meta:altId": short_id(id_),
        "meta:containerId": "tenant",
        "meta:tenantNamespace": tenant_key(tenant_id),
        "meta:intendedToExtend": [CLASSES[kind].id],
    }


def _schema(kind: Kind, id_: str, group_id: str, tenant_id: str) -> dict[str, Any]:
    title = f"Demo {_WORDS[kind]}s"
    parts = [CLASSES[kind].id, *(group.id for group in FIELD_GROUPS[kind]), group_id]
    return {
        "$id": id_,
        "meta:altId": short_id(id_),
        "meta:resourceType": "schemas",
        "version": "1.0",
        "title": title,
        "description": title,
        "type": "object",
        "allOf": [{"$ref": part, "type": "object", "meta:xdmType": "object"} for part in parts],
        "meta:class": CLASSES[kind].id,
        "meta:immutableTags": ["union"],
        "meta:extensible": False,
        "meta:abstract": False,
        "meta:extends": parts,
        "meta:containerId": "tenant",
        "meta:tenantNamespace": tenant_key(tenant_id),
        "meta:xdmType": "object",
    }
