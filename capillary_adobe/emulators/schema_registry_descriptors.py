"""Descriptors: what the Schema Registry knows of a field beyond its type, most of all whether it is an identity.

Belongs here: checking, making, replacing and listing them. Does not belong here: the schemas they describe
(`schema_registry_objects`) and the namespaces they name (`namespaces`).
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from starlette.datastructures import QueryParams

from capillary_adobe.emulators.effective_schema import at_path, folded
from capillary_adobe.emulators.namespaces import namespace_by_code, namespace_by_id
from capillary_adobe.emulators.sandboxes import Resources
from capillary_adobe.emulators.schema_registry_accept import Form
from capillary_adobe.emulators.schema_registry_errors import bad_descriptor, not_found, refused
from capillary_adobe.emulators.schema_registry_evolution import enabled
from capillary_adobe.emulators.schema_registry_lists import listed
from capillary_adobe.emulators.schema_registry_views import with_tag

KIND: Final = "descriptors"
IDENTITY: Final = "xdm:descriptorIdentity"

_WORDS: Final = (
    IDENTITY,
    "xdm:alternateDisplayInfo",
    "xdm:descriptorReferenceIdentity",
    "xdm:descriptorOneToOne",
    "xdm:descriptorRelationship",
    "xdm:descriptorDeprecated",
)
_OF_AN_IDENTITY: Final = ("@type", "xdm:sourceSchema", "xdm:sourceProperty", "xdm:namespace", "xdm:isPrimary")
_STEP: Final = re.compile(r"[^/\s]+")


def existing(resources: Resources, id_: str) -> dict[str, Any]:
    """A descriptor that has to be there."""
    descriptor = resources.get(KIND, id_)
    if descriptor is None:
        raise not_found(id_)
    return descriptor


def kept(resources: Resources, asked: dict[str, Any], id_: str | None, more: dict[str, Any]) -> dict[str, Any]:
    """Check a descriptor and keep it: a new one, or in the place of the one with that id."""
    given = {name: value for name, value in asked.items() if not name.startswith(("@id", "meta:"))}
    with resources.alone():
        if id_ is not None:
            before = existing(resources, id_)
            if any(given.get(name) != value for name, value in before.items() if name in _OF_AN_IDENTITY):
                _demand_free(resources, before)
        _demand_sound(resources, given, id_)
        made_id = id_ or secrets.token_hex(24)
        made = given | {"@id": made_id, "version": "1", "meta:containerId": "tenant"} | more
        resources.put(KIND, made_id, made)
    return made


def forget(resources: Resources, id_: str) -> None:
    """Take a descriptor away, unless Profile needs it."""
    with resources.alone():
        _demand_free(resources, existing(resources, id_))
        resources.remove(KIND, id_)


def listing(resources: Resources, form: Form, params: QueryParams, path: str) -> dict[str, Any]:
    """The descriptors of the sandbox in the form asked for: grouped by type, or page by page."""
    ordered = [descriptor | {"title": descriptor["@id"]} for descriptor in resources.all(KIND)]
    page = listed(ordered, params, path)
    shown = [(item["@type"], _shown(item, form, path)) for item in page["results"]]
    if "v2" in form.flags:
        return page | {"results": [content for _, content in shown]}
    grouped: dict[str, Any] = {}
    for word, content in shown:
        grouped.setdefault(word, []).append(content)
    return grouped


def _demand_free(resources: Resources, descriptor: dict[str, Any]) -> None:
    schema = resources.get("schemas", descriptor["xdm:sourceSchema"])
    if descriptor["@type"] == IDENTITY and schema is not None and enabled(schema):
        raise refused(403, f"The schema {schema['$id']} is enabled for Profile, so its identities stay")


def _shown(descriptor: dict[str, Any], form: Form, path: str) -> Any:
    if "id" in form.flags:
        return descriptor["@id"]
    if "link" in form.flags:
        return f"{path}/{descriptor['@id']}"
    return with_tag({name: value for name, value in descriptor.items() if name != "title"})


def _demand_sound(resources: Resources, given: dict[str, Any], id_: str | None) -> None:
    if given.get("@type") not in _WORDS:
        raise bad_descriptor(f"@type must be one of {', '.join(_WORDS)}")
    schema = resources.get("schemas", str(given.get("xdm:sourceSchema")))
    if schema is None:
        raise bad_descriptor(f"The schema {given.get('xdm:sourceSchema')} does not exist")
    if str(given.get("xdm:sourceVersion")) != schema["version"].partition(".")[0]:
        raise bad_descriptor(f"The schema {schema['$id']} has no version {given.get('xdm:sourceVersion')}")
    field = _field(resources, schema, given.get("xdm:sourceProperty"))
    if given["@type"] == IDENTITY:
        _demand_identity(resources, given, field)
        _demand_room(resources, given, id_)


def _field(resources: Resources, schema: dict[str, Any], path: Any) -> dict[str, Any]:
    if not isinstance(path, str) or not path.startswith("/") or not all(map(_STEP.fullmatch, path[1:].split("/"))):
        raise bad_descriptor("xdm:sourceProperty must be a path that begins with a slash and does not end with one")
    field = at_path(folded(resources, schema), path)
    if field is None:
        raise bad_descriptor(f"The schema {schema['$id']} has no field {path}")
    return field


def _demand_identity(resources: Resources, given: dict[str, Any], field: dict[str, Any]) -> None:
    if field.get("type") != "string":
        raise bad_descriptor(f"The field {given['xdm:sourceProperty']} is no text, so it cannot be an identity")
    word, named = given.get("xdm:property"), given.get("xdm:namespace")
    if word not in ("xdm:code", "xdm:id"):
        raise bad_descriptor("xdm:property must be xdm:code or xdm:id")
    find = namespace_by_code if word == "xdm:code" else namespace_by_id
    if find(resources, str(named)) is None:
        raise bad_descriptor(f"The namespace {named} does not exist")
    if not isinstance(given.get("xdm:isPrimary"), bool):
        raise bad_descriptor("xdm:isPrimary must be true or false")


def _demand_room(resources: Resources, given: dict[str, Any], id_: str | None) -> None:
    for other in resources.all(KIND):
        same_schema = other["xdm:sourceSchema"] == given["xdm:sourceSchema"] and other["@type"] == IDENTITY
        if not same_schema or other["@id"] == id_:
            continue
        if given["xdm:isPrimary"] and other["xdm:isPrimary"]:
            raise bad_descriptor(f"The schema has a primary identity already: {other['xdm:sourceProperty']}")
        if other["xdm:sourceProperty"] == given["xdm:sourceProperty"]:
            raise bad_descriptor(f"The field {given['xdm:sourceProperty']} is an identity already: {other['@id']}")
