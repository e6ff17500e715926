"""Whether a body is a description of fields at all.

Belongs here: that each keyword has a value of the right kind, however deep, so that everything else may rely on it.
Does not belong here: what the fields are called and whether they may be there (`schema_registry_rules`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from capillary_adobe.emulators.schema_registry_errors import invalid

_DEEPEST: Final = 30


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _fields(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())


def _parts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


_KEYWORDS: Final[dict[str, Callable[[Any], bool]]] = {
    "$ref": _text,
    "type": _text,
    "format": _text,
    "pattern": _text,
    "title": _text,
    "description": _text,
    "meta:xdmType": _text,
    "required": _texts,
    "enum": lambda value: isinstance(value, list),
    "properties": _fields,
    "definitions": _fields,
    "allOf": _parts,
    "items": lambda value: isinstance(value, dict),
    "additionalProperties": lambda value: isinstance(value, dict | bool),
    "minimum": _number,
    "maximum": _number,
    "minLength": _number,
    "maxLength": _number,
    "minItems": _number,
    "maxItems": _number,
    "meta:intendedToExtend": _texts,
    "meta:immutableTags": lambda value: value is None or _texts(value),
}


def demand_shape(node: dict[str, Any], path: str = "", depth: int = 0) -> None:
    """Refuse a body in which a keyword has a value of the wrong kind."""
    if depth > _DEEPEST:
        raise invalid(f"The fields at {path} are nested too deep")
    for keyword, fits in _KEYWORDS.items():
        if keyword in node and not fits(node[keyword]):
            raise invalid(f"The value of {path}/{keyword} is of the wrong kind")
    for keyword in ("properties", "definitions"):
        for name, part in node.get(keyword, {}).items():
            demand_shape(part, f"{path}/{keyword}/{name}", depth + 1)
    for number, part in enumerate(node.get("allOf", ())):
        demand_shape(part, f"{path}/allOf/{number}", depth + 1)
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), dict):
            demand_shape(node[keyword], f"{path}/{keyword}", depth + 1)
