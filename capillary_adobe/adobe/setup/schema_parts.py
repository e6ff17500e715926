"""Namespaces, field groups, schemas and identity descriptors: how each is recognised, made and extended.

Belongs here: one class for each kind of object of the Identity Service and the Schema Registry. Does not belong here:
what carries the data there (`road_parts`) and the order of things (`running`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from capillary_adobe.adobe.setup.fields import compare, lacking
from capillary_adobe.adobe.setup.model import Action, Finding, Ids, Part
from capillary_adobe.adobe.setup.sandbox import ASKED, RENAME, Sandbox, choose, person
from capillary_adobe.xdm.building_blocks import CLASSES, FIELD_GROUPS
from capillary_adobe.xdm.language.additions import required_paths, schema_leaves, tenant_field_group
from capillary_adobe.xdm.schemas import Kind

UNION: Final = "union"
_TAGS: Final = "meta:immutableTags"
_CROSS_DEVICE: Final = frozenset({"CROSS_DEVICE"})
_CONTACTS: Final = frozenset({"EMAIL", "PHONE", "MOBILE"})
_DEFINITION: Final = "capillary"
_MOST_NAMED: Final = 5
_EVOLUTION: Final = (
    "AEP lets nobody change or remove a field that is there. Write to a field of another name in the mapping; nothing was "
    "changed."
)


class NamespacePart(Part):
    """An identity namespace."""

    kind = "namespace"

    def __init__(
        self, sandbox: Sandbox, code: str, title: str, description: str, id_types: frozenset[str] = _CROSS_DEVICE
    ) -> None:
        self._sandbox = sandbox
        self._id_types = id_types
        self.name = code
        self.key = f"namespace_{code}"
        self._title = title
        self._description = description

    def look(self, _ids: Ids, /) -> Finding:
        """See whether the code is there, of the right type."""
        every = self._sandbox.namespaces.all()
        exact = next((one for one in every if one.code == self.name), None)
        alike = next((one for one in every if one.code.lower() == self.name.lower()), None)
        if exact is None and alike is not None:
            return person(
                f"There is a namespace {alike.code}, which differs in letter case only; AEP takes no second one. Ask Adobe's "
                "support, or use another sandbox.",
                alike.id,
            )
        if exact is None and not self.name.isalnum():
            return person(
                "AEP has none of this symbol, and one that is made takes letters and digits alone. If identities are hashed, "
                "set IDENTITY_EMAIL_SHA256_NAMESPACE or IDENTITY_PHONE_SHA256_NAMESPACE to the symbol that the Identities "
                "workspace shows."
            )
        if exact is None:
            return Finding(Action.CREATE)
        if self._id_types and exact.id_type not in self._id_types:
            return person(
                f"It is of type {exact.id_type} and must be a cross-device id; neither can be changed. Use another sandbox.",
                exact.id,
            )
        if not exact.is_active:
            return person("It is not active. Activate it in the Identities workspace.", exact.id)
        return Finding(Action.EXISTS, exact.id)

    def make(self, _ids: Ids, /) -> str:
        """Create it."""
        return self._sandbox.namespaces.create(self.name, self._title, self._description)


class FieldGroupPart(Part):
    """The tenant's own fields of one kind of entity."""

    kind = "field group"

    def __init__(self, sandbox: Sandbox, kind: Kind, tenant_id: str) -> None:
        self._sandbox = sandbox
        self._kind: Kind = kind
        self.key = f"{kind}_field_group_id"
        self.growing = f"growing_{kind}"
        """Stands among the ids while the group is changed in this run."""
        self.name = sandbox.named(f"{kind} fields")
        self._needed = tenant_field_group(kind, tenant_id, sandbox.rules)

    def look(self, _ids: Ids, /) -> Finding:
        """See which of the fields are there."""
        registry = self._sandbox.registry
        one = partial(registry.plain, "fieldgroups")
        listed = registry.ids("fieldgroups", self.name)
        id_, unclear = self._sandbox.known(self.key, listed, "field groups", RENAME, one)
        if unclear is not None:
            return unclear
        group = one(id_) if id_ else None
        if id_ is None or group is None:
            every = [_path(path) for path, _ in schema_leaves({"properties": self._needed})]
            return Finding(Action.CREATE, detail=f"{len(every)} fields", added=tuple(every))
        class_id = CLASSES[self._kind].id
        extends = group.get("meta:intendedToExtend")
        if isinstance(extends, list) and extends and class_id not in extends:
            return person(f"It extends {', '.join(map(str, extends))} and not {class_id}. {RENAME}", id_)
        found = compare(self._needed, group)
        if found.refused:
            return person(f"{'; '.join(found.refused)}. {_EVOLUTION}", id_)
        if found.added:
            more = f"adds {_some(found.added)}"
            return Finding(Action.EXTEND, id_, more, operations=tuple(found.operations), added=tuple(found.added))
        return Finding(Action.EXISTS, id_)

    def make(self, _ids: Ids, /) -> str:
        """Create it with all fields."""
        body = {
            "type": "object",
            "title": self.name,
            "description": "Loyalty fields of Capillary that no standard field group has.",
            "meta:intendedToExtend": [CLASSES[self._kind].id],
            "definitions": {_DEFINITION: {"properties": self._needed}},
            "allOf": [{"$ref": f"#/definitions/{_DEFINITION}"}],
        }
        return self._sandbox.registry.create("fieldgroups", body)

    def extend(self, found: Finding, /) -> None:
        """Add the fields it lacks."""
        self._sandbox.registry.patch("fieldgroups", found.id, found.operations)


class SchemaPart(Part):
    """The schema of one kind of entity: its class, the standard field groups, ours."""

    kind = "schema"

    def __init__(self, sandbox: Sandbox, kind: Kind, tenant_id: str) -> None:
        self._sandbox = sandbox
        self._kind: Kind = kind
        self._tenant_id = tenant_id
        self.key = f"{kind}_schema_id"
        self.name = sandbox.named(kind)
        self._variable = f"ADOBE_{self.key.upper()}"

    def look(self, ids: Ids, /) -> Finding:
        """See whether it is there, of the right class, with every field group."""
        registry = self._sandbox.registry
        given = self._sandbox.given.get(self.key)
        if given:
            return self._look_at_given(given)
        one = partial(registry.plain, "schemas")
        listed = registry.ids("schemas", self.name)
        id_, unclear = self._sandbox.known(self.key, listed, "schemas", choose(self._variable), one)
        if unclear is not None:
            return unclear
        schema = one(id_) if id_ else None
        if id_ is None or schema is None:
            return Finding(Action.CREATE, detail=f"class {CLASSES[self._kind].title}")
        if not self._is_of_class(schema):
            return person(self._wrong_class(schema), id_)
        there = _references(schema)
        missing = [(ref, title) for ref, title in self._groups(ids) if ref not in there]
        if missing:
            add = tuple({"op": "add", "path": "/allOf/-", "value": {"$ref": ref}} for ref, _ in missing)
            return Finding(Action.EXTEND, id_, f"adds {', '.join(title for _, title in missing)}", operations=add)
        # Once per look: fields of the group that set-up is about to add are not missing for long.
        return Finding(Action.EXISTS, id_, differences=() if self._is_growing(ids) else self._differences(id_))

    def make(self, ids: Ids, /) -> str:
        """Create it."""
        parts = [CLASSES[self._kind].id, *(ref for ref, _ in self._groups(ids))]
        body = {
            "type": "object",
            "title": self.name,
            "description": f"Loyalty {self._kind} of Capillary.",
            "allOf": [{"$ref": ref} for ref in parts],
        }
        return self._sandbox.registry.create("schemas", body)

    def extend(self, found: Finding, /) -> None:
        """Add the field groups it lacks."""
        self._sandbox.registry.patch("schemas", found.id, found.operations)

    def _look_at_given(self, given: str) -> Finding:
        schema = self._sandbox.registry.plain("schemas", given)
        if schema is None:
            return person(f"{self._variable} names no schema of this sandbox. Correct it, or take it away.", given)
        if not self._is_of_class(schema):
            return person(f"{self._wrong_class(schema)} Correct {self._variable}.", given)
        return Finding(Action.GIVEN, given, differences=self._differences(given))

    def _groups(self, ids: Ids) -> list[tuple[str, str]]:
        own = (ids.get(f"{self._kind}_field_group_id", ""), self._sandbox.named(f"{self._kind} fields"))
        return [*((group.id, group.title) for group in FIELD_GROUPS[self._kind]), own]

    def _is_of_class(self, schema: dict[str, Any]) -> bool:
        named = schema.get("meta:class")
        return CLASSES[self._kind].id in ([named] if isinstance(named, str) else _references(schema))

    def _wrong_class(self, schema: dict[str, Any]) -> str:
        named = schema.get("meta:class") or "another class"
        return f"It is of {named} and must be of {CLASSES[self._kind].id}; a schema's class cannot be changed."

    def _is_growing(self, ids: Ids) -> bool:
        return bool(ids.get(f"growing_{self._kind}"))

    def _differences(self, id_: str) -> tuple[str, ...]:
        full = self._sandbox.registry.full(id_).content
        required = required_paths(self._kind, self._tenant_id, self._sandbox.rules)
        missing, differing = lacking(full, required)
        lost = (f"lacks {_some(missing)}.",) if missing else ()
        return lost + tuple(f"{one}; a field's type cannot be changed." for one in differing)


class DescriptorPart(Part):
    """That a field of the event schema holds an identity."""

    kind = "identity descriptor"

    def __init__(self, sandbox: Sandbox, path: str, namespace: str) -> None:
        self._sandbox = sandbox
        self.name = f"{path} as {namespace}"
        self.key = f"events_identity{path}"
        self._path = path
        self._namespace = namespace

    def look(self, ids: Ids, /) -> Finding:
        """See whether the field is described."""
        unsuitable = self._unsuitable(ids)
        if unsuitable is not None:
            return unsuitable
        schema_id = ids.get("events_schema_id")
        described = self._sandbox.registry.identity_descriptors(schema_id) if schema_id else []
        same = [one for one in described if one.path == self._path]
        if not same:
            if self._sandbox.given.get("events_schema_id"):
                return Finding(Action.GIVEN, differences=("is missing, and ADOBE_EVENTS_SCHEMA_ID is left as it is.",))
            return Finding(Action.CREATE)
        if self._namespace not in [one.namespace for one in same]:
            return person(f"The field is an identity of namespace {same[0].namespace} already.", same[0].id)
        return Finding(Action.EXISTS, next(one.id for one in same if one.namespace == self._namespace))

    def make(self, ids: Ids, /) -> str:
        """Create it."""
        return self._sandbox.registry.create_identity_descriptor(ids["events_schema_id"], self._path, self._namespace)

    def _unsuitable(self, ids: Ids) -> Finding | None:
        found = next((one for one in self._sandbox.namespaces.all() if one.code == self._namespace), None)
        if found is not None and found.id_type in _CONTACTS:
            return person(
                "Contact data becomes an identity in identityMap only, where what is unsound is left out. Take `identity` "
                "away from the rule."
            )
        if found is None and f"namespace_{self._namespace}" not in ids:
            return person(
                f"There is no namespace {self._namespace}. Declare it in the mapping folder, create it in the Identities "
                "workspace, or correct `identity` in the mapping."
            )
        return None


class UnionPart(Part):
    """The tag that makes a schema part of the Profile union; it can never be taken away."""

    kind = "Profile tag"

    def __init__(self, sandbox: Sandbox, kind: Kind) -> None:
        self._sandbox = sandbox
        self.name = f"schema {sandbox.named(kind)}"
        self.key = f"{kind}_schema_in_profile"
        self._schema_key = f"{kind}_schema_id"

    def look(self, ids: Ids, /) -> Finding:
        """See whether the schema has it."""
        schema_id = ids.get(self._schema_key, "")
        schema = self._sandbox.registry.plain("schemas", schema_id) if schema_id else None
        tags = (schema or {}).get(_TAGS)
        if isinstance(tags, list) and UNION in tags:
            return Finding(Action.EXISTS, schema_id)
        if not self._sandbox.wanted.enable_profile:
            return Finding(Action.EXISTS, schema_id, differences=(ASKED,))
        tag: dict[str, Any] = {"op": "add", "path": f"/{_TAGS}", "value": [*(tags or []), UNION]}
        return Finding(Action.EXTEND, schema_id, "cannot be undone", operations=(tag,))

    def make(self, ids: Ids, /) -> str:
        """A tag is only ever added to a schema."""
        raise NotImplementedError(f"a tag is only ever added: {ids}")

    def extend(self, found: Finding, /) -> None:
        """Add the tag."""
        self._sandbox.registry.patch("schemas", found.id, found.operations)


def _references(schema: dict[str, Any]) -> list[str]:
    parts = schema.get("allOf")
    return [str(one.get("$ref")) for one in (parts if isinstance(parts, list) else []) if isinstance(one, dict)]


def _path(names: tuple[str, ...]) -> str:
    return "".join(f"/{name.replace('[]', '[*]')}" for name in names)


def _some(paths: list[str]) -> str:
    more = len(paths) - _MOST_NAMED
    return ", ".join(paths[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
