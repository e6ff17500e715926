"""What AEP demands of a record beyond the letter of its schema: nothing unknown, nothing null, nothing empty.

Belongs here: turning the schema that the Registry shows into the one that records are held against, for each lane. Does
not belong here: putting that schema together (`effective_schema`), applying it (`demands`) and the demands that no schema
can say (`record_rules`).
"""

from __future__ import annotations

from typing import Any, Literal

Lane = Literal["streaming", "batch"]

_SKIPPED_BY_BATCH = ("pattern", "format")
_HOLD_SCHEMAS_BY_NAME = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas")
_HOLD_VALUES = ("enum", "const", "default", "examples")
_NAMES = ("$id", "$schema")
_LEAST = {"string": "minLength", "array": "minItems", "object": "minProperties"}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of whole records as they are held against it."""
    closed = _strict(schema)
    identities = closed.get("properties", {}).get("identityMap", {}).get("additionalProperties", {})
    if isinstance(identities, dict) and isinstance(identities.get("items"), dict):
        # The schema leaves it open, but an identity is nothing without its value.
        identities["items"] = {**identities["items"], "required": ["id"], "minProperties": 0}
    return closed


def of_lane(schema: dict[str, Any], lane: Lane) -> dict[str, Any]:
    """What a lane looks at: batch ingestion sees neither pattern nor format."""
    return schema if lane == "streaming" else _as_batch_reads_it(schema)


def _strict(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    closed = {name: value for name, value in node.items() if not (name.startswith("meta:") or name in _NAMES)}
    if "properties" in closed:
        closed["properties"] = {name: _strict(part) for name, part in closed["properties"].items()}
        closed.setdefault("additionalProperties", False)
        closed.setdefault("type", "object")
    for name in ("items", "additionalProperties"):
        closed |= {name: _strict(closed[name])} if name in closed else {}
    if "enum" in closed and all(isinstance(value, str) for value in closed["enum"]):
        closed.setdefault("type", "string")
    if not closed.get("required") and (least := _LEAST.get(str(closed.get("type")))):
        closed[least] = max(1, closed.get(least, 0))
    return closed


def _as_batch_reads_it(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_as_batch_reads_it(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _member(key, value) for key, value in schema.items() if key not in _SKIPPED_BY_BATCH}


def _member(key: str, value: Any) -> Any:
    if key in _HOLD_VALUES:
        return value
    if key in _HOLD_SCHEMAS_BY_NAME and isinstance(value, dict):
        return {name: _as_batch_reads_it(schema) for name, schema in value.items()}
    return _as_batch_reads_it(value)
