"""Fields as they are needed against fields as AEP has them; evolution is additive only.

Belongs here: what an existing field group lacks, which differences AEP would refuse to have changed, and what a whole
schema lacks. Does not belong here: asking AEP, and where the needed fields come from (`xdm.language.additions`).
Source: the rules of schema evolution at experienceleague.adobe.com/docs/experience-platform/xdm/schema/composition.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Json = Mapping[str, Any]
_Place = tuple[str, Json]
"""Something in a field group, with the JSON pointer to it."""

_INT: Final = 2**31
_SAME: Final = {"double": "number", "float": "number", "short": "int", "byte": "int"}


@dataclass
class Comparison:
    """What a field group lacks, as JSON Patch, with the paths for people; and what would be no addition."""

    operations: list[dict[str, Any]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def compare(needed: Json, group: Json) -> Comparison:
    """Compare needed properties of the root with a field group as the Schema Registry keeps it."""
    found = Comparison()
    _compare_properties(found, needed, list(_places(group)) or [("/properties", {})], "")
    return found


def lacking(content: Json, required: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Required paths that a schema in full lacks, and those that have another type there, each in words."""
    missing: list[str] = []
    differing: list[str] = []
    for path, type_ in required.items():
        node = _at(content, [step for step in path.split("/") if step])
        if node is None:
            missing.append(path)
        elif not _takes(node, type_):
            differing.append(f"{path} is {xdm_type(node)} and must be {type_}")
    return missing, differing


def xdm_type(node: Json) -> str:
    """The type as XDM names it."""
    named = node.get("meta:xdmType")
    if isinstance(named, str) and named not in ("string", "object"):
        return _SAME.get(named, named)
    type_ = node.get("type")
    if type_ == "integer":
        low, high = node.get("minimum"), node.get("maximum")
        wide = any(isinstance(bound, int | float) and abs(bound) > _INT for bound in (low, high))
        return "long" if wide else "int"
    if type_ in (None, "string"):
        formatted = node.get("format")
        return str(formatted) if formatted in ("date-time", "date") else ("string" if type_ or "enum" in node else "")
    return str(type_)


def _places(group: Json) -> Iterator[_Place]:
    """Where a field group keeps its fields."""
    for name, definition in _object(group.get("definitions")).items():
        if "properties" in _object(definition):
            yield f"/definitions/{name}/properties", definition["properties"]
    if _object(group.get("properties")):
        yield "/properties", group["properties"]


def _compare_properties(found: Comparison, needed: Json, places: Sequence[_Place], path: str) -> None:
    for name, node in needed.items():
        there = [(f"{pointer}/{name}", properties[name]) for pointer, properties in places if name in properties]
        if there:
            _compare_node(found, node, there, f"{path}/{name}")
        else:
            found.operations.append({"op": "add", "path": f"{places[0][0]}/{name}", "value": dict(node)})
            found.added.append(f"{path}/{name}")


def _compare_node(found: Comparison, needed: Json, there: Sequence[_Place], path: str) -> None:
    """Compare a field with what stands for it; it may stand in several definitions, as where somebody added some by hand."""
    if any("$ref" in node for _, node in there):
        # A data type that somebody put there; the look at the whole schema judges it.
        return
    wanted = xdm_type(needed)
    for _, node in there:
        has = xdm_type(node)
        if has and wanted != has:
            found.refused.append(_refusal(path, wanted, has, node))
            return
    if "items" in needed:
        items = [(f"{pointer}/items", _object(node.get("items"))) for pointer, node in there]
        _compare_node(found, needed["items"], items, f"{path}[*]")
    properties = _object(needed.get("properties"))
    if not properties:
        return
    places = [
        (f"{pointer}/properties", node["properties"]) for pointer, node in there if _object(node.get("properties"))
    ]
    if places:
        _compare_properties(found, properties, places, path)
    else:
        found.operations.append({"op": "add", "path": f"{there[0][0]}/properties", "value": dict(properties)})
        found.added += [f"{path}/{name}" for name in properties]


def _refusal(path: str, wanted: str, has: str, there: Json) -> str:
    children = list(_object(there.get("properties")))
    if children and wanted != "object":
        lost = ", ".join(f"{path}/{name}" for name in children[:3]) + (" and others" if len(children) > 3 else "")
        return f"{path} is an object and would become {wanted}: {lost} would have to go"
    return f"{path} is {has} and would become {wanted}"


def _at(node: Json, steps: list[str]) -> Json | None:
    """The node at a path, looked for in every part that makes up the schema."""
    for part in _parts(node):
        if not steps:
            return part
        step = steps[0]
        child = _object(part.get("properties")).get(step.removesuffix("[*]"))
        if not isinstance(child, Mapping):
            continue
        if step.endswith("[*]"):
            child = next((one["items"] for one in _parts(child) if isinstance(one.get("items"), Mapping)), None)
            if child is None:
                continue
        found = _at(child, steps[1:])
        if found is not None:
            return found
    return None


def _parts(node: Json) -> Iterator[Json]:
    """A node and what it is composed of; the node itself comes last unless it says a type of its own."""
    composed = [one for one in node.get("allOf", []) if isinstance(one, Mapping)]
    if "type" in node or "properties" in node or not composed:
        yield node
    for one in composed:
        yield from _parts(one)


def _takes(node: Json, type_: str) -> bool:
    """Whether values of a type fit; a number takes whole ones too."""
    has = xdm_type(node)
    fitting = {"integer": {"int", "long", "number"}, "object": {"object", "map"}}.get(type_, {type_})
    return not has or has in fitting


def _object(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}
