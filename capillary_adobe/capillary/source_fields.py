"""The fields that the published payloads have under `data`, read from `fields.yaml` and `fields_other.yaml`.

Belongs here: which source paths an event has and what kind of value stands there. Does not belong here: reading a value
(`values.py`), and what a tenant declares beside them (`xdm.tenant_events`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

from capillary_adobe.capillary.catalogue import EventType

KINDS: Final = ("text", "id", "number", "points", "money", "count", "boolean", "moment", "anything", "list", "object")
"""What stands at a path. `anything` holds whatever the organisation puts there, objects and lists included."""

ANYTHING: Final = "anything"
LIST: Final = "list"
OBJECT: Final = "object"

_TWIN = "InMillis"


def fields_of(event_type: EventType | None) -> Mapping[str, str]:
    """Kind by source path, `[]` behind the name of a list standing for each of its elements.

    None asks for what every event may have.
    """
    return _fields(event_type.name if event_type else "", event_type.family if event_type else "")


def lies_in(path: str, open_path: str) -> bool:
    """Whether a path is the other one or lies below it."""
    return path == open_path or path.startswith((f"{open_path}.", f"{open_path}[]"))


@cache
def _fields(name: str, family: str) -> Mapping[str, str]:
    facts = _facts()
    events: dict[str, Any] = facts["events"] | _other_events()
    fields = dict(facts["every_event"])
    named = facts["named_fields"]
    if name and (family in named["families"] or name not in events):
        fields |= named["fields"]
    own = events.get(name, {})
    fields |= facts["shapes"][own] if isinstance(own, str) else own
    found = dict(_flat(fields, "", facts["shapes"]))
    twins = {f"{path}{_TWIN}": kind for path, kind in found.items() if kind == "moment" and not path.endswith(_TWIN)}
    return {**found, **twins}


def _flat(fields: Mapping[str, Any], above: str, shapes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        path = f"{above}{name}"
        if isinstance(value, list):
            yield path, LIST
            path, value = f"{path}[]", value[0]
        if isinstance(value, str) and value in shapes:
            value = shapes[value]
        if isinstance(value, str):
            yield path, value
        else:
            yield path, OBJECT
            yield from _flat(value, f"{path}.", shapes)


@cache
def _facts() -> dict[str, Any]:
    return _read("fields.yaml")


@cache
def _other_events() -> dict[str, Any]:
    return _read("fields_other.yaml")


def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load(resources.files("capillary_adobe.capillary").joinpath(name).read_text("utf-8"))
