"""The tenant's own schemas: what AEP shows of one (`xed-full`) made into a validator as strict as AEP's rules are.

Belongs here: folding a schema into plain JSON Schema, closing it against unknown, null and empty values, the bounds of
XDM's number types. Does not belong here: fetching it (`adobe.schema_registry`), keeping it (`state.schemas`), the words
for what it finds (`violations`).

AEP's form says more than JSON Schema and less than AEP demands: beside `meta:` notes that no validator reads, it leaves
objects open, and its prose says that no unknown field, no null and nothing empty is taken.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import jsonschema_rs
import orjson

Json = dict[str, Any]

# Stricter than the format's own standard, which allows "Jane <jane@example.com>" and hosts without a domain: neither
# is an address that AEP can match or a channel can send to.
_EMAIL = jsonschema_rs.EmailOptions(require_tld=True, allow_domain_literal=False, allow_display_text=False)

_LONG = 2**53 - 1
# https://experienceleague.adobe.com/docs/experience-platform/xdm/schema/field-constraints.html
_BOUNDS: Final = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-_LONG, _LONG),
}
_KEPT: Final = frozenset(
    {
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems"),
        *("minProperties", "maxProperties", "required"),
    }
)
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_DEEPEST = 40
_SOMETHING: Final = {"not": {"enum": [None, "", [], {}]}}


class SchemaError(Exception):
    """A schema cannot be made into a validator; the text says why."""


def validator_of(schema: Json) -> jsonschema_rs.Validator:
    """The validator of a schema that is strict already, with formats and addresses read as AEP does.

    Raises:
        SchemaError: it is no schema that can be compiled.
    """
    try:
        return jsonschema_rs.validator_for(schema, validate_formats=True, email_options=_EMAIL)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        cause = str(error).splitlines()[0][:200]
        raise SchemaError(f"the schema cannot be compiled ({cause})") from error


def strict(schema: Json) -> Json:
    """A schema in AEP's `xed-full` form as plain, closed JSON Schema (draft 7); one that is closed already stays so.

    Raises:
        SchemaError: it describes no object, refers to something that is not in it, or to itself without end.
    """
    try:
        folded = _Fold(schema).node(schema, 0)
        _demand_value(folded.get("properties", {}).get("identityMap", {}).get("additionalProperties"))
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        # A keyword that holds what it cannot, such as `properties` without a mapping.
        raise SchemaError(f"the schema is no JSON Schema ({type(error).__name__})") from error
    if folded.get("type") != "object" or not folded.get("properties"):
        raise SchemaError("the schema describes no object with fields; it is not in the form xed-full")
    return {"$schema": "http://json-schema.org/draft-07/schema#", **folded}


def _demand_value(identities: Any) -> None:
    """The schema leaves it open, but an identity is nothing without its value."""
    identity = identities.get("items", {}) if isinstance(identities, dict) else {}
    if identity.get("type") == "object":
        identity.pop("minProperties", None)
        identity["required"] = list(dict.fromkeys([*identity.get("required", []), "id"]))


def fingerprint(schema: Json, identity_fields: dict[str, str]) -> str:
    """What tells two schemas, with the fields that are identities, apart for an entity: titles and notes do not count.

    Raises:
        SchemaError: as `strict` does.
    """
    return sha256(orjson.dumps([strict(schema), identity_fields], option=orjson.OPT_SORT_KEYS)).hexdigest()


class _Fold:
    """Folds what hangs together by `$ref` and `allOf` into one node each, and closes the nodes."""

    def __init__(self, root: Json) -> None:
        self._root = root

    def node(self, schema: Any, depth: int) -> Json:
        """A node and everything below it, closed."""
        if depth > _DEEPEST:
            raise SchemaError(f"the schema is deeper than {_DEEPEST} levels, or refers to itself")
        if not isinstance(schema, dict):
            return dict(_SOMETHING)
        whole = self._gathered(schema, depth)
        node: Json = {name: value for name, value in whole.items() if name in _KEPT}
        node |= self._branches(whole, depth)
        if "properties" in whole:
            node["properties"] = {name: self.node(one, depth + 1) for name, one in whole["properties"].items()}
            node.setdefault("type", "object")
        _without_null(node)
        self._closed(node, whole, depth)
        return node

    def _gathered(self, schema: Json, depth: int) -> Json:
        """One node out of a reference, what stands beside it, and the members of `allOf`."""
        if depth > _DEEPEST:
            raise SchemaError(f"the schema is deeper than {_DEEPEST} levels, or refers to itself")
        whole = {name: value for name, value in schema.items() if name not in ("$ref", "allOf")}
        if "$ref" in schema:
            whole = _merged(whole, self._gathered(self._referred(schema["$ref"]), depth + 1))
        for member in schema.get("allOf", []):
            if isinstance(member, dict):
                whole = _merged(whole, self._gathered(member, depth + 1))
        return whole

    def _referred(self, address: Any) -> Json:
        if not isinstance(address, str) or not address.startswith("#"):
            raise SchemaError(f"the schema refers to {address!s:.120}, which is not in it")
        found: Any = self._root
        for step in address[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise SchemaError(f"the schema refers to {address:.120}, which is not in it")
        return found

    def _branches(self, whole: Json, depth: int) -> Json:
        """`anyOf` and `oneOf`: their members stay open, the fields they name count as the node's own."""
        found: Json = {}
        for keyword in ("anyOf", "oneOf"):
            members = [self._gathered(one, depth + 1) for one in whole.get(keyword, []) if isinstance(one, dict)]
            if not members:
                continue
            for member in members:
                if member.get("properties"):
                    whole["properties"] = {**member["properties"], **whole.get("properties", {})}
            found[keyword] = [self._open(member, depth + 1) for member in members]
        return found

    def _open(self, member: Json, depth: int) -> Json:
        node = {name: value for name, value in member.items() if name in _KEPT}
        if "properties" in member:
            node["properties"] = {name: self.node(one, depth + 1) for name, one in member["properties"].items()}
        return node

    def _closed(self, node: Json, whole: Json, depth: int) -> None:
        match node.get("type"):
            case "object":
                if not node.get("required"):
                    # Else an empty object lacks a field, and that says more.
                    node["minProperties"] = max(1, node.get("minProperties", 0))
                values = whole.get("additionalProperties")
                if isinstance(values, dict) or not node.get("properties"):
                    node["additionalProperties"] = self.node(values, depth + 1) if values is not False else False
                else:
                    node["additionalProperties"] = False
            case "array":
                node["minItems"] = max(1, node.get("minItems", 0))
                node["items"] = self.node(whole.get("items"), depth + 1)
            case "string":
                node["minLength"] = max(1, node.get("minLength", 0))
            case "integer":
                _bound(node, whole.get("meta:xdmType"))
            case None:
                if not node.keys() & {"enum", "const", "anyOf", "oneOf"}:
                    node |= _SOMETHING


def _without_null(node: Json) -> None:
    types = node.get("type")
    if isinstance(types, list):
        left = [one for one in types if one != "null"]
        node["type"] = left[0] if len(left) == 1 else left
    if isinstance(node.get("enum"), list):
        node["enum"] = [one for one in node["enum"] if one is not None]


def _bound(node: Json, xdm_type: Any) -> None:
    lowest, highest = _BOUNDS.get(str(xdm_type), (None, None))
    if lowest is None and not {"minimum", "maximum"} <= node.keys():
        # XDM reads a whole number without a type of its own as an int.
        lowest, highest = _BOUNDS["int"]
    if lowest is not None and highest is not None:
        node["minimum"] = max(lowest, node.get("minimum", lowest))
        node["maximum"] = min(highest, node.get("maximum", highest))


def _merged(one: Json, other: Json) -> Json:
    """Both at once: fields of both, the narrower of two bounds."""
    both = dict(one)
    for name, value in other.items():
        if name not in both:
            both[name] = value
        elif name == "properties":
            both[name] = _merged_fields(both[name], value)
        elif name == "required":
            both[name] = list(dict.fromkeys([*both[name], *value]))
        elif name == "enum":
            both[name] = [option for option in both[name] if option in value]
        elif name in _LOWER:
            both[name] = max(both[name], value)
        elif name in _UPPER:
            both[name] = min(both[name], value)
        elif name in ("items", "additionalProperties") and isinstance(value, dict) and isinstance(both[name], dict):
            both[name] = {"allOf": [both[name], value]}
        elif name == "type" and both[name] != value:
            raise SchemaError(f"the schema demands two types of one value, {both[name]} and {value}")
    return both


def _merged_fields(one: Json, other: Json) -> Json:
    shared = {name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}
    return {**one, **other, **shared}
