"""What an object of a tenant has to be: its fields, its references, its title.

Belongs here: the checks of one field group, data type or schema that is made or changed. Does not belong here: the
comparison with what it was before (`schema_registry_evolution`) and descriptors (`schema_registry_descriptors`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from capillary_adobe.emulators.effective_schema import Objects, folded, found, local
from capillary_adobe.emulators.schema_registry_errors import MERGE, NAMESPACE, TITLE, UNION, RegistryError, invalid
from capillary_adobe.emulators.schema_registry_evolution import enabled
from capillary_adobe.emulators.standard_groups import standard, xdm_type

TITLED: Final = ("schemas", "fieldgroups", "datatypes")

_TYPES: Final = ("string", "number", "integer", "boolean", "object", "array")
_PARTS: Final = ("classes", "mixins")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def demand_sound(objects: Objects, kind: str, content: dict[str, Any], tenant_key: str) -> None:
    """Refuse an object that the Registry would not keep."""
    title = content.get("title")
    if not title or not title.strip():
        raise invalid("The title is missing")
    if content.get("type", "object") != "object":
        raise invalid("The type of the resource must be object")
    _demand_own_title(objects, content)
    _demand_references(objects, content)
    if kind == "schemas":
        demand_parts(objects, content)
    else:
        _demand_fields(content, tenant_key, anywhere=kind == "datatypes")
    if kind == "fieldgroups":
        _demand_classes(content)


def demand_parts(objects: Objects, content: dict[str, Any]) -> None:
    """Refuse a schema that is not made of one class and field groups for it."""
    class_ = class_of(content)
    if class_ is None:
        raise invalid("A schema must refer to exactly one class under allOf")
    if content.get("properties") or content.get("definitions"):
        raise invalid("A schema has no fields of its own; put them into a field group")
    for part in content.get("allOf", []):
        group = found(objects, part.get("$ref", ""))
        if group is None or group["meta:resourceType"] not in _PARTS:
            raise invalid("Each part under allOf must be a reference to a class or a field group")
        if class_ not in group.get("meta:intendedToExtend", [class_]):
            raise invalid(f"The field group {group['$id']} is not intended to extend the class {class_}")


def demand_mergeable(objects: Objects, schema: dict[str, Any]) -> None:
    """Refuse a schema enabled for Profile that does not go together with the others of its class, or names nobody."""
    if not enabled(schema):
        return
    shape = folded(objects, schema)
    primary = any(
        descriptor["xdm:sourceSchema"] == schema.get("$id") and descriptor.get("xdm:isPrimary") is True
        for descriptor in objects.all("descriptors")
    )
    if "identityMap" not in shape.get("properties", {}) and not primary:
        detail = "To participate in a union, a schema must include an identityMap fieldgroup or a primary identity descriptor."
        raise RegistryError(UNION, "Union descriptor validation error", detail)
    types = dict(_types(shape))
    for other in objects.all("schemas"):
        if other["$id"] != schema.get("$id") and enabled(other) and other["meta:class"] == schema["meta:class"]:
            for path, type_ in _types(folded(objects, other)):
                if types.get(path, type_) != type_:
                    detail = (
                        f"Cannot merge incompatible data types. The path {path} has already been defined in schema "
                        f"(id={other['$id']}) using a different data type. Types: {type_}, {types[path]}"
                    )
                    raise RegistryError(MERGE, "Merge Schema Error", detail)


def class_of(content: dict[str, Any]) -> str | None:
    """The class that a schema refers to."""
    classes = [ref for ref in references(content) if standard().get(ref, {}).get("meta:resourceType") == "classes"]
    return classes[0] if len(classes) == 1 else None


def references(node: Any) -> Iterator[str]:
    """Every `$ref` in an object that leads out of it."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        ref = node.get("$ref")
        if isinstance(ref, str) and not ref.startswith("#"):
            yield ref
        for part in node.values():
            yield from references(part)


def with_types(node: Any) -> Any:
    """A description of fields in which each has XDM's name of its type, as the Registry adds it."""
    if not isinstance(node, dict):
        return node
    changed = dict(node)
    for name in ("properties", "definitions"):
        if isinstance(node.get(name), dict):
            changed[name] = {key: with_types(part) for key, part in node[name].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            changed[name] = with_types(node[name])
    if isinstance(node.get("allOf"), list):
        changed["allOf"] = [with_types(part) for part in node["allOf"]]
    if "type" in node or not str(node.get("$ref", "#")).startswith("#"):
        changed.setdefault("meta:xdmType", xdm_type(node))
    return changed


def _demand_own_title(objects: Objects, content: dict[str, Any]) -> None:
    for other in [*(item for kind in TITLED for item in objects.all(kind)), *standard().values()]:
        if other["title"] == content["title"] and other["$id"] != content.get("$id"):
            detail = f"Title must be unique. An object {other['$id']} already exists with the same title"
            raise RegistryError(TITLE, "Title not unique", detail)


def _demand_references(objects: Objects, content: dict[str, Any]) -> None:
    for ref in references(content):
        if found(objects, ref) is None:
            raise invalid(f"The reference {ref} cannot be resolved")
    if content.get("$id") in _reached(objects, content):
        raise invalid("The resource refers to itself, be it through others")
    for ref in _inner(content):
        if local(content, ref) is None:
            raise invalid(f"The reference {ref} leads nowhere")


def _reached(objects: Objects, content: dict[str, Any]) -> set[str]:
    reached: set[str] = set()
    ahead = list(references(content))
    while ahead:
        ref = ahead.pop()
        if ref not in reached:
            reached.add(ref)
            ahead += references(found(objects, ref))
    return reached


def _demand_classes(content: dict[str, Any]) -> None:
    named = content.get("meta:intendedToExtend")
    if not named:
        raise invalid("meta:intendedToExtend must name the classes that the field group is for")
    for class_ in named:
        if standard().get(class_, {}).get("meta:resourceType") != "classes":
            raise invalid(f"meta:intendedToExtend names {class_}, which is no class")


def _demand_fields(content: dict[str, Any], tenant_key: str, *, anywhere: bool) -> None:
    for root in (content, *content.get("definitions", {}).values(), *content.get("allOf", ())):
        for name, field in root.get("properties", {}).items():
            _demand_field(name, field, f"/{name}", tenant_key, inside=anywhere)


def _demand_field(name: str, field: dict[str, Any], path: str, tenant_key: str, *, inside: bool) -> None:
    if name == tenant_key:
        inside = True
    elif inside and not _NAME.fullmatch(name):
        raise _misplaced(f"The field name {name} at {path} is not allowed: it must begin with a letter or a digit")
    if "$ref" not in field and field.get("type") not in _TYPES:
        raise invalid(f"The field {path} has no type, or one that XDM does not know")
    below, items = field.get("properties", {}), field.get("items", {})
    if field.get("type") == "array" and not items:
        raise invalid(f"The array {path} does not say what its items are")
    if not inside and not below and not items:
        raise _misplaced(
            f"A custom field is defined under an invalid namespace: {path}. "
            f"All custom fields must be defined under a top-level field named {tenant_key}."
        )
    for child, part in below.items():
        _demand_field(child, part, f"{path}/{child}", tenant_key, inside=inside)
    if items:
        _demand_field("items", items, f"{path}/*", tenant_key, inside=inside)


def _misplaced(detail: str) -> RegistryError:
    return RegistryError(NAMESPACE, "Namespace validation error", detail)


def _inner(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _inner(item)
    elif isinstance(node, dict):
        ref = node.get("$ref")
        if isinstance(ref, str) and ref.startswith("#"):
            yield ref
        for part in node.values():
            yield from _inner(part)


def _types(shape: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in shape.get("properties", {}).items():
        yield f"{path}/{name}", str(field.get("meta:xdmType") or field.get("type"))
        yield from _types(field, f"{path}/{name}")
    if isinstance(shape.get("items"), dict):
        yield from _types(shape["items"], f"{path}/*")
