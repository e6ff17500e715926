"""What may be changed in a schema that is in use: something may be added, nothing may be taken away or narrowed.

Belongs here: comparing the fields before and after a change, and whether a schema is in use. Does not belong here:
making the change (`schema_registry_objects`).

Adobe enforces this from the moment a schema is enabled for Profile or a dataset follows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from capillary_adobe.emulators.effective_schema import Objects

UNION: Final = "union"

_REDEFINED: Final = ("type", "format", "pattern")
_XDM: Final = "meta:xdmType"
_FLOORS: Final = ("minimum", "minLength", "minItems")
_CEILINGS: Final = ("maximum", "maxLength", "maxItems")


def in_use(objects: Objects, schema: dict[str, Any]) -> bool:
    """Whether a schema is enabled for Profile, or a dataset follows it."""
    followed = {dataset.get("schemaRef", {}).get("id") for dataset in objects.all("dataSets")}
    return enabled(schema) or schema["$id"] in followed


def enabled(schema: dict[str, Any]) -> bool:
    """Whether a schema is enabled for Profile."""
    return UNION in (schema.get("meta:immutableTags") or [])


def breaks(before: dict[str, Any], after: dict[str, Any], path: str = "") -> Iterator[str]:
    """What a change takes away from a field and those below it, in words."""
    here = path or "/"
    for keyword in _REDEFINED:
        if before.get(keyword) != after.get(keyword) and (keyword == "type" or keyword in after):
            yield f"{keyword} of {here} was {before.get(keyword)} and would be {after.get(keyword)}"
    if before.get("type") == after.get("type") and (was := before.get(_XDM)) != (would := after.get(_XDM, was)) and was:
        yield f"{_XDM} of {here} was {was} and would be {would}"
    yield from _narrowed(before, after, here)
    for name in after.get("required", ()):
        if name not in before.get("required", ()):
            yield f"{path}/{name} would be required"
    for name, field in before.get("properties", {}).items():
        if name not in after.get("properties", {}):
            yield f"{path}/{name} would be removed"
        else:
            yield from breaks(field, after["properties"][name], f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(before.get(keyword), dict):
            held = after.get(keyword)
            yield from breaks(before[keyword], held if isinstance(held, dict) else {}, f"{path}/*")


def _narrowed(before: dict[str, Any], after: dict[str, Any], here: str) -> Iterator[str]:
    if "enum" in after:
        lost = [value for value in before.get("enum", ()) if value not in after["enum"]]
        if lost or "enum" not in before:
            yield f"enum of {here} would allow fewer values"
    for keyword in _FLOORS:
        if keyword in after and after[keyword] > before.get(keyword, float("-inf")):
            yield f"{keyword} of {here} would be raised"
    for keyword in _CEILINGS:
        if keyword in after and after[keyword] < before.get(keyword, float("inf")):
            yield f"{keyword} of {here} would be lowered"
