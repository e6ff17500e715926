"""The JSON Schemas of the two kinds of entity, as files beside this module.

Belongs here: finding a schema, writing the tenant's key into it. Does not belong here: judging an entity
(`conformance`), or the schema objects that the set-up creates in AEP.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import orjson

Kind = Literal["events", "profiles"]

_FILES: dict[Kind, str] = {"events": "experienceevent.json", "profiles": "profile.json"}
_PLACEHOLDER = '"_tenant"'


def tenant_key(tenant_id: str) -> str:
    """Name of the object that holds the tenant's own fields, wherever it stands in an entity."""
    if not re.fullmatch(r"[A-Za-z0-9]\w*", tenant_id, re.ASCII):
        raise ValueError("give the tenant id without its leading underscore, letters, digits and underscores only")
    return f"_{tenant_id}"


@cache
def entity_schema(kind: Kind, tenant_id: str) -> dict[str, Any]:
    """JSON Schema (draft 7) of an entity of this kind in this tenant; shared between callers, so never change it."""
    text = files("capillary_adobe.xdm").joinpath("schemas", _FILES[kind]).read_text(encoding="utf-8")
    return orjson.loads(text.replace(_PLACEHOLDER, f'"{tenant_key(tenant_id)}"'))
