"""Tenant fields that the mapping writes and the shipped schemas lack, and the schemas and field groups with them.

Belongs here: types of new fields from the rules' conversions, and three forms of the result: the additions alone, our
closed schema with them, the tenant's field group for the Schema Registry. Does not belong here: standard fields, which
nobody can add (`checking` complains), and creating anything in AEP (`adobe.setup`).

Field groups are XED, as the Schema Registry takes it: types, formats, patterns and ranges. What only our own check adds
(nothing empty, nothing unknown) stays out of them: it would be enforced on every writer of the tenant for ever.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any, Final

from capillary_adobe.xdm.language.rule_model import TENANT, Rules, wrong
from capillary_adobe.xdm.language.written import LIST, OBJECT, Written, leaves, written_fields
from capillary_adobe.xdm.schemas import Kind, entity_schema, tenant_key

Schema = dict[str, Any]

# Whole numbers are XDM's long, as the ids of the shipped schemas: what a source counts or numbers may outgrow an int, and
# a field can never be widened once data is in it.
_LONGEST: Final = 9_007_199_254_740_991
_TYPES: Final[dict[str, Schema]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer", "minimum": -_LONGEST, "maximum": _LONGEST},
    "boolean": {"type": "boolean"},
    "currency code": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
}
_REGISTRY_KEYWORDS: Final = ("type", "format", "pattern", "enum", "minimum", "maximum", "title", "description")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def additions(rules: Rules, kind: Kind = "events") -> Schema:
    """XED properties of the root with every tenant field that the shipped schema lacks; `_tenant` stands for the tenant.

    Fields inside a standard object stand below its properties. Rules make events, so profiles have no additions.

    Raises:
        MappingError: two rules give a field two types, or a field's name is none for XDM.
    """
    if kind != "events":
        return {}
    shipped = _Shipped(kind, "tenant")
    missing = _missing(shipped, shipped.root, written_fields(rules), within=False)
    return missing["properties"] if missing else {}


def extended_schema(kind: Kind, tenant_id: str, rules: Rules) -> Schema:
    """The shipped schema of an entity with the additions, closed as the shipped one is.

    Raises:
        MappingError: as `additions` does.
    """
    added = additions(rules, kind)
    if not added:
        return entity_schema(kind, tenant_id)
    shipped = _Shipped(kind, tenant_id)
    named = _named({"properties": added}, tenant_key(tenant_id))
    return _grown(shipped, shipped.root, named)


def tenant_field_group(kind: Kind, tenant_id: str, rules: Rules) -> Schema:
    """XED properties of the tenant's field group: all its fields of our schemas and the additions.

    The tenant's object stands at the root; fields inside a standard object stand below that object's own name.

    Raises:
        MappingError: as `additions` does.
    """
    shipped = _Shipped(kind, tenant_id)
    own = _own_parts(shipped, shipped.root, tenant_key(tenant_id)) or {"properties": {}}
    return _joined(own, _named({"properties": additions(rules, kind)}, tenant_key(tenant_id)))["properties"]


def identity_fields(rules: Rules, tenant_id: str) -> dict[str, str]:
    """Namespaces of the fields that rules mark as identities, by path in a descriptor's form (`/_acme/a/b`).

    Raises:
        MappingError: a field in a list, or one that is no text, is marked, which cannot be an identity; or a field is
            marked with two namespaces.
    """
    found: dict[str, str] = {}
    for path, written in leaves(written_fields(rules)):
        if not written.identities:
            continue
        _demand_one_namespace(written)
        if any(name.endswith("[]") for name in path):
            raise wrong(
                written.spot.place,
                f"{written.spot.event}: {written.spot.target} lies in a list, where no field can be an identity. Take "
                "`identity` away.",
            )
        if written.kind != "text":
            raise wrong(
                written.spot.place,
                f"{written.spot.event}: {written.spot.target} is {_article(written.kind)}, and an identity is a text. Convert "
                "it with `as: id`.",
            )
        found[_descriptor_path(path, tenant_key(tenant_id))] = next(iter(written.identities))
    return found


def _demand_one_namespace(written: Written) -> None:
    if len(written.identities) > 1:
        (namespace, first), (other, second) = list(written.identities.items())[:2]
        raise wrong(
            second.place,
            f"{second.event}: {second.target} is an identity of {other} here and of {namespace} in {first}. A field is an "
            "identity of one namespace in the whole tenant: name the same one, or write to two fields.",
        )


def required_paths(kind: Kind, tenant_id: str, rules: Rules) -> dict[str, str]:
    """What a schema in AEP must have: type by path, both in a descriptor's form (`/loyalty/pointsGained[*]/value`).

    For events what the mapping writes and the head of every entity, for profiles every field of the shipped schema. A
    type is the schema's own, or its format where that names it better (`date-time`).
    """
    schema = extended_schema(kind, tenant_id, rules)
    every = {_descriptor_path(path, tenant_key(tenant_id)): type_ for path, type_ in schema_leaves(schema)}
    if kind != "events":
        return every
    wanted = {_descriptor_path(path, tenant_key(tenant_id)) for path, _ in leaves(written_fields(rules))}
    head = ("/_id", "/timestamp", "/eventType", "/producedBy", "/identityMap")
    return {path: type_ for path, type_ in every.items() if path in wanted or path in head}


def schema_leaves(schema: Schema) -> list[tuple[tuple[str, ...], str]]:
    """Every field of a schema that holds a value, with its type; `[]` ends the name of a list, maps count as values."""
    shipped = _Resolver(schema)
    found: list[tuple[tuple[str, ...], str]] = []

    def visit(node: Schema, path: tuple[str, ...]) -> None:
        resolved = shipped.resolve(node)
        if resolved.get("properties"):
            for name, child in resolved["properties"].items():
                visit(child, (*path, name))
        elif resolved.get("type") == "array":
            visit(resolved.get("items", {}), (*path[:-1], path[-1] + "[]"))
        else:
            found.append((path, _type_of(resolved)))

    visit(schema, ())
    return found


class _Resolver:
    """A schema whose `$ref`s point into its own definitions."""

    def __init__(self, root: Schema) -> None:
        self.root = root

    def resolve(self, node: Schema) -> Schema:
        """The schema that a reference stands for, itself where it is none."""
        while "$ref" in node:
            node = self.root["definitions"][node["$ref"].removeprefix("#/definitions/")]
        return node


class _Shipped(_Resolver):
    def __init__(self, kind: Kind, tenant_id: str) -> None:
        super().__init__(entity_schema(kind, tenant_id))


def _type_of(node: Schema) -> str:
    if node.get("format") in ("date-time", "date"):
        return node["format"]
    return node.get("type", "string" if "enum" in node else "object")


def _missing(shipped: _Shipped, known: Schema, written: Written, *, within: bool) -> Schema | None:
    """XED of what a known field lacks of the written one; None where it lacks nothing."""
    known = shipped.resolve(known)
    in_list = known.get("type") == "array"
    if within:
        _demand_same_form(known, written)
    if not written.children or (in_list != (LIST in written.kinds)):
        return None
    properties = shipped.resolve(known.get("items", {}) if in_list else known).get("properties", {})
    lacking: Schema = {}
    for name, child in written.children.items():
        inside = within or name == TENANT
        there = properties.get(name)
        if there is not None:
            part = _missing(shipped, there, child, within=inside)
        else:
            part = _xed(name, child) if inside and not _no_object(known, properties) else None
        if part is not None:
            lacking[name] = part
    if not lacking:
        return None
    return _as_list(lacking) if in_list else {"type": "object", "properties": lacking}


def _no_object(known: Schema, properties: Schema) -> bool:
    """Whether a standard field cannot hold an object of the tenant's."""
    return not properties and known.get("type") != "object"


def _demand_same_form(known: Schema, written: Written) -> None:
    """Within the tenant's object: a list, an object and a value cannot stand for one another."""
    form = {"array": LIST, "object": OBJECT}.get(known.get("type", ""), "value")
    for kind, spot in written.kinds.items():
        is_form = kind if kind in (LIST, OBJECT) else "value"
        if is_form != form:
            raise wrong(
                spot.place,
                f"{spot.event}: {spot.target} is {_article(is_form)} here, and the schema has {_article(form)} there. "
                "Choose another field.",
            )


def _article(form: str) -> str:
    return f"an {form}" if form[0] in "aeiou" else f"a {form}"


def _xed(name: str, written: Written) -> Schema:
    """XED of a new field."""
    _demand_one_kind(written)
    spot = written.spot
    if name == TENANT and written.kind != OBJECT:
        words = f"{spot.event}: {TENANT} is an object. Write to a field in it, such as {TENANT}.shoeSize."
        raise wrong(spot.place, words)
    if name != TENANT and not _FIELD_NAME.fullmatch(name):
        raise wrong(
            spot.place,
            f"{spot.event}: {name} is no name for a field in XDM. Use letters, digits and underscores, a letter first, such "
            "as shoeSize.",
        )
    if written.kind not in (OBJECT, LIST):
        described = {"description": written.description} if written.description else {}
        return {**_TYPES[written.kind], "title": _title(name), **described}
    properties = {child: _xed(child, part) for child, part in written.children.items()}
    return _as_list(properties) if written.kind == LIST else {"type": "object", "properties": properties}


def _demand_one_kind(written: Written) -> None:
    if len(written.kinds) > 1:
        (kind, first), (other, second) = list(written.kinds.items())[:2]
        raise wrong(
            second.place,
            f"{second.event}: {second.target} is {_article(other)} here and {_article(kind)} in {first}. One field has one "
            "type in the whole tenant: give both rules the same `as`, or write to two fields.",
        )


def _as_list(properties: Schema) -> Schema:
    return {"type": "array", "items": {"type": "object", "properties": properties}}


def _title(name: str) -> str:
    """Words for people: `shoeSize` becomes `Shoe size`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").strip().lower()
    return words[:1].upper() + words[1:]


def _named(schema: Schema, key: str) -> Schema:
    """A copy with the tenant's key in place of `_tenant`."""
    copied = {**schema}
    if "properties" in schema:
        copied["properties"] = {
            key if name == TENANT else name: _named(child, key) for name, child in schema["properties"].items()
        }
    if "items" in schema:
        copied["items"] = _named(schema["items"], key)
    return copied


def _grown(shipped: _Shipped, known: Schema, added: Schema) -> Schema:
    """The known field with what is added below it; what it referred to is copied, for others refer to it too."""
    resolved = shipped.resolve(known)
    if "items" in added:
        return {**resolved, "items": _grown(shipped, resolved["items"], added["items"])}
    properties = dict(resolved["properties"])
    for name, child in added.get("properties", {}).items():
        properties[name] = _grown(shipped, properties[name], child) if name in properties else _closed(child)
    return {**resolved, "properties": properties}


def _closed(added: Schema) -> Schema:
    """A new field as our own check wants it: nothing unknown, nothing empty."""
    match added["type"]:
        case "object":
            properties = {name: _closed(child) for name, child in added["properties"].items()}
            return {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": properties}
        case "array":
            return {"type": "array", "minItems": 1, "items": _closed(added["items"])}
    closed = {word: value for word, value in added.items() if word not in ("title", "description")}
    return {**closed, "minLength": 1} if closed == {"type": "string"} else closed


def _own_parts(shipped: _Shipped, known: Schema, key: str) -> Schema | None:
    """XED of the tenant's objects at and below a field of the shipped schema; None where there are none."""
    resolved = shipped.resolve(known)
    if "items" in resolved:
        items = _own_parts(shipped, resolved["items"], key)
        return {"type": "array", "items": items} if items else None
    own: Schema = {}
    for name, child in resolved.get("properties", {}).items():
        part = _loose(shipped, name, child) if name == key else _own_parts(shipped, child, key)
        if part is not None:
            own[name] = part
    return {"type": "object", "properties": own} if own else None


def _loose(shipped: _Shipped, name: str, known: Schema) -> Schema:
    """XED of a shipped field: what the Schema Registry is to enforce, without what only our own check asks."""
    resolved = shipped.resolve(known)
    if "properties" in resolved:
        properties = {child: _loose(shipped, child, part) for child, part in resolved["properties"].items()}
        return {"type": "object", "properties": properties}
    if "items" in resolved:
        return {"type": "array", "items": _loose(shipped, "", resolved["items"])}
    kept = {word: deepcopy(resolved[word]) for word in _REGISTRY_KEYWORDS if word in resolved}
    return {"type": "string", **kept, **({"title": _title(name)} if name else {})}


def _joined(one: Schema, other: Schema) -> Schema:
    """Two trees of XED as one; they meet in objects and lists only."""
    joined = {**one}
    if "items" in other:
        joined["items"] = _joined(one["items"], other["items"])
    if "properties" in other:
        properties = dict(one.get("properties", {}))
        for name, child in other["properties"].items():
            properties[name] = _joined(properties[name], child) if name in properties else child
        joined["properties"] = properties
    return joined


def _descriptor_path(path: tuple[str, ...], key: str) -> str:
    steps = (key if name == TENANT else name for name in path)
    return "".join("/" + (step.removesuffix("[]") + "[*]" if step.endswith("[]") else step) for step in steps)
