"""What a schema of the Registry says of a record, with all that it refers to written into it.

Belongs here: finding an object by its id, following references, folding `allOf`. Does not belong here: what may be
referred to (`schema_registry_rules`) and judging a record (`validation`, `batch_check`).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from capillary_adobe.emulators.standard_groups import standard

TENANT_KINDS: Final = ("schemas", "fieldgroups", "datatypes")
SHAPE: Final = ("type", "properties", "required")

_SHORTER: Final = ("definitions", "allOf", "$ref")
_OF_A_FIELD: Final = frozenset(
    {
        "type",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "enum",
        "meta:enum",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "meta:xdmType",
        "title",
        "description",
        "default",
        "const",
    }
)


class Objects(Protocol):
    """The objects of a sandbox, as they are or as they would be after a change."""

    def get(self, kind: str, id_: str) -> dict[str, Any] | None:
        """One object."""
        ...

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind."""
        ...


def effective_schema(resources: Objects, schema_id: str, tenant_id: str) -> dict[str, Any] | None:
    """The JSON Schema (draft 7) of a whole record, without a reference in it; unknown fields are left open."""
    schema = resources.get("schemas", schema_id)
    if schema is None:
        return None
    whole = folded(resources, schema)
    for path in _mandatory(resources, schema_id):
        _demand(whole, path)
    named = {name: value for name, value in schema.items() if name not in (*_SHORTER, *SHAPE)}
    return named | whole | {"meta:tenantNamespace": f"_{tenant_id}"}


def schema_version(resources: Objects, schema_id: str) -> str | None:
    """Version of a schema; its minor number has grown with each change of it and of what it is made of."""
    schema = resources.get("schemas", schema_id)
    return None if schema is None else schema["version"]


def found(resources: Objects, id_: str) -> dict[str, Any] | None:
    """Any object that a `$ref` may name."""
    for kind in TENANT_KINDS:
        content = resources.get(kind, id_)
        if content is not None:
            return content
    return standard().get(id_)


def folded(resources: Objects, content: dict[str, Any]) -> dict[str, Any]:
    """`type`, `properties` and `required` of an object with its references followed."""
    whole = _fold(resources, content, content, ())
    return {name: whole[name] for name in SHAPE if name in whole}


def _fold(resources: Objects, node: dict[str, Any], root: dict[str, Any], way: tuple[str, ...]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    if "$ref" in node:
        whole = _referred(resources, node["$ref"], root, way)
    for part in node.get("allOf", ()):
        whole = merged(whole, _fold(resources, part, root, way))
    own = {name: value for name, value in node.items() if name not in _SHORTER}
    if isinstance(own.get("properties"), dict):
        own["properties"] = {name: _fold(resources, part, root, way) for name, part in own["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(own.get(name), dict):
            own[name] = _fold(resources, own[name], root, way)
    return merged(whole, own)


def _referred(resources: Objects, ref: str, root: dict[str, Any], way: tuple[str, ...]) -> dict[str, Any]:
    if ref.startswith("#"):
        target, target_root, step = local(root, ref), root, f"{root.get('$id', '')}{ref}"
    else:
        target = target_root = found(resources, ref)
        step = ref
    if target is None or target_root is None or step in way:
        return {}
    whole = _fold(resources, target, target_root, (*way, step))
    if target is target_root:
        whole = {name: value for name, value in whole.items() if name in _OF_A_FIELD}
    return whole


def local(root: dict[str, Any], ref: str) -> dict[str, Any] | None:
    """What a reference within an object points at."""
    node: Any = root
    for step in ref.removeprefix("#").strip("/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two descriptions of the same thing as one; where both say something of a keyword, the second counts."""
    whole = first | second
    if "properties" in first and "properties" in second:
        both = first["properties"].keys() & second["properties"].keys()
        joined = {name: merged(first["properties"][name], second["properties"][name]) for name in both}
        whole["properties"] = first["properties"] | second["properties"] | joined
    for name in ("items", "additionalProperties"):
        if isinstance(first.get(name), dict) and isinstance(second.get(name), dict):
            whole[name] = merged(first[name], second[name])
    if "required" in first and "required" in second:
        whole["required"] = list(dict.fromkeys([*first["required"], *second["required"]]))
    return whole


def at_path(shape: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The field at a path such as `/a/b/*/c`, where a star goes through a list."""
    node: Any = shape
    for step in path.strip("/").split("/"):
        node = node.get("items") if step in ("*", "[*]") else node.get("properties", {}).get(step)
        if not isinstance(node, dict):
            return None
    return node


def _mandatory(resources: Objects, schema_id: str) -> list[str]:
    return [
        descriptor["xdm:sourceProperty"]
        for descriptor in resources.all("descriptors")
        if descriptor.get("xdm:sourceSchema") == schema_id and descriptor.get("xdm:isPrimary") is True
    ]


def _demand(shape: dict[str, Any], path: str) -> None:
    # `shape` is shared with nobody: folding made every object on the way anew.
    node = shape
    for step in path.strip("/").split("/"):
        if step not in node.get("properties", {}):
            return
        node["required"] = list(dict.fromkeys([*node.get("required", ()), step]))
        node = node["properties"][step]
