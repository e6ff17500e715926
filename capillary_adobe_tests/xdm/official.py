"""Adobe's published XDM schemas as a second judge, and what they know of an entity's fields.

Belongs here: reading the reference beside the repository. Does not belong here: our own schemas and rules.
The official schemas leave objects open, so they alone do not notice a misspelt field: `unknown_paths` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from capillary_adobe.xdm.schemas import Kind, tenant_key

_AUDIT = "fieldgroups/xdm-common-external-source-system-audit-details.json"
_FILES: dict[Kind, tuple[str, ...]] = {
    "events": (
        "classes/xdm-context-experienceevent.json",
        "fieldgroups/xdm-context-identitymap.json",
        "fieldgroups/xdm-context-experienceevent-loyalty-details.json",
        "fieldgroups/xdm-context-experienceevent-commerce.json",
        "fieldgroups/xdm-context-experienceevent-channel.json",
        _AUDIT,
    ),
    "profiles": (
        "classes/xdm-context-profile.json",
        "fieldgroups/xdm-context-identitymap.json",
        "fieldgroups/xdm-mixins-profile-profile-loyalty-details.json",
        "fieldgroups/xdm-context-profile-person-details.json",
        "fieldgroups/xdm-context-profile-personal-details.json",
        "fieldgroups/xdm-context-profile-preferences-details.json",
        "fieldgroups/xdm-mixins-profile-consents.json",
        _AUDIT,
    ),
}


def reference_dir() -> Path:
    """Folder of the reference; the calling test is skipped where there is none."""
    default = Path(__file__).resolve().parents[2] / "../shared/reference"
    folder = Path(os.environ.get("REFERENCE_DIR", default))
    if not (folder / "xdm").is_dir():
        pytest.skip(f"Adobe's published schemas are not at {folder}; set REFERENCE_DIR to their folder")
    return folder


def official_schemas(kind: Kind) -> list[dict[str, Any]]:
    """The class and the field groups that an entity of this kind is made of."""
    return _read(reference_dir() / "xdm", kind)


def official_validators(kind: Kind) -> list[jsonschema_rs.Validator]:
    """One validator for each of them; an entity is official when all take it."""
    return _compiled(reference_dir() / "xdm", kind)


def sample_entities(kind: Kind) -> list[dict[str, Any]]:
    """The reference's own entities, made by the same mapping rules; their tenant is acme."""
    lines = (reference_dir() / f"xdm-samples.{kind}.jsonl").read_bytes().splitlines()
    return [orjson.loads(line) for line in lines if line.strip()]


def unknown_paths(entity: dict[str, Any], kind: Kind, tenant_id: str = "acme") -> list[str]:
    """Pointers to the fields of an entity, outside the tenant's objects, that no official schema defines."""
    return list(_unknown(entity, official_schemas(kind), tenant_key(tenant_id), ""))


@cache
def _read(folder: Path, kind: Kind) -> list[dict[str, Any]]:
    return [orjson.loads((folder / name).read_bytes()) for name in _FILES[kind]]


@cache
def _compiled(folder: Path, kind: Kind) -> list[jsonschema_rs.Validator]:
    return [jsonschema_rs.validator_for(schema, validate_formats=True) for schema in _read(folder, kind)]


def _unknown(value: Any, schemas: list[dict[str, Any]], tenant: str, pointer: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            if key == tenant:
                continue
            defined = list(_members(schemas, key))
            if not defined:
                yield f"{pointer}/{key}"
            else:
                yield from _unknown(member, defined, tenant, f"{pointer}/{key}")
    elif isinstance(value, list):
        items = [schema["items"] for schema in schemas if "items" in schema]
        for index, item in enumerate(value):
            yield from _unknown(item, items, tenant, f"{pointer}/{index}")


def _members(schemas: list[dict[str, Any]], key: str) -> Iterator[dict[str, Any]]:
    for schema in schemas:
        if key in schema.get("properties", {}):
            yield schema["properties"][key]
        elif isinstance(schema.get("additionalProperties"), dict):
            yield schema["additionalProperties"]
