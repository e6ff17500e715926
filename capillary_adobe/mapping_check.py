"""The check of a mapping as an operator or a pipeline runs it: which folder, against which schema.

Belongs here: finding the schema to check against. Does not belong here: the checks (`xdm.checking`) and which schema guards
delivery (`schema_in_force.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from capillary_adobe.environment import adobe_settings, tenant_settings
from capillary_adobe.settings import MappingSettings, SettingsError, StorageSettings, TenantSettings, load
from capillary_adobe.state import State, StateError, TenantSchemas
from capillary_adobe.xdm.checking.findings import Finding
from capillary_adobe.xdm.checking.mapping import check_mapping, of_error
from capillary_adobe.xdm.checking.profile import check_profile
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import Mapping, load_mapping
from capillary_adobe.xdm.language.rule_model import MappingError
from capillary_adobe.xdm.language.rules import load_profile_rules
from capillary_adobe.xdm.tenant_schemas import SchemaError, strict, validator_of

SHIPPED: Final = "shipped"
_SECONDS: Final = 5
ANY_TENANT: Final = "tenant"
# Objects of Adobe's own at the root of a schema, spelled like a tenant's.
_ADOBES: Final = frozenset({"_id", "_repo", "_experience", "_xdm", "_channels", "_schema"})
_TENANT_KEY: Final = re.compile(r"_[A-Za-z0-9]\w*", re.ASCII)
T = TypeVar("T")


class SchemaFileError(Exception):
    """A schema to check against cannot be used; the text names it and the cure."""


@dataclass(frozen=True)
class Checked:
    """What a check found, in which folder and against which schema."""

    folder: str | None
    schema: str
    events: tuple[str, ...]
    changed: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings must be mended."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many findings are worth a look."""
        return len(self.findings) - self.errors

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "folder": self.folder,
            "schema": self.schema,
            "events": list(self.events),
            "changed": list(self.changed),
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": [finding.as_dict() for finding in self.findings],
        }


@dataclass(frozen=True)
class Judging:
    """A schema to judge by, whose tenant it is, and what it is called."""

    content: dict[str, Any] | None
    """None for the shipped one, which grows with the mapping."""
    tenant_id: str
    told: str


def folder_of(path: str | None) -> str | None:
    """The mapping folder: the one given, else that of the settings."""
    return path or load(MappingSettings).path


def check(path: str | None, schema: str | None) -> Checked:
    """Check the mapping of a folder, else that of the settings, against a schema.

    `schema` is a file in the form `xed-full`, `shipped`, or None for the tenant's as it was last fetched, if it ever was.

    Raises:
        SchemaFileError: the schema cannot be used.
        SettingsError: a setting is malformed.
        StateError: the state database, in which the tenant's schema would be, cannot be used.
    """
    folder = folder_of(path)
    against = judging(schema)
    try:
        mapping = load_mapping(folder)
        content = against.content or extended_schema("events", against.tenant_id, mapping.rules)
    except MappingError as error:
        return Checked(folder, against.told, (), (), tuple(of_error(error)))
    return Checked(
        folder,
        against.told,
        tuple(mapping.rules),
        tuple(event for event in mapping.rules if event in mapping.touched),
        tuple(_findings(mapping, content, against)),
    )


def _findings(mapping: Mapping, content: dict[str, Any], against: Judging) -> list[Finding]:
    try:
        found = check_mapping(mapping, content, against.tenant_id)
        return [*found, *check_profile(load_profile_rules(), against.tenant_id)]
    except SchemaError as error:
        raise SchemaFileError(f"Nothing can be checked against {against.told}: {error}.") from error


def judging(chosen: str | None) -> Judging:
    """The schema to judge by: a file, `shipped`, or None for the tenant's as it was last fetched, if it ever was.

    Raises:
        SchemaFileError: the file cannot be used.
        SettingsError: a setting is malformed.
    """
    if chosen == SHIPPED:
        return Judging(None, _configured_tenant() or ANY_TENANT, "the shipped schema with the mapping's additions")
    if chosen is not None:
        return _of_file(Path(chosen))
    return _cached() or Judging(
        None,
        _configured_tenant() or ANY_TENANT,
        "the shipped schema with the mapping's additions, since no schema of the tenant is cached here",
    )


def _of_file(file: Path) -> Judging:
    try:
        content = orjson.loads(file.read_bytes())
    except OSError as error:
        raise SchemaFileError(f"{file} cannot be read ({error.strerror}). Name a schema file, or {SHIPPED}.") from error
    except orjson.JSONDecodeError as error:
        raise SchemaFileError(f"{file} is no JSON. Give the schema as AEP shows it in the form xed-full.") from error
    properties = content.get("properties") if isinstance(content, dict) else None
    if not isinstance(properties, dict):
        raise SchemaFileError(f"{file} has no `properties`. Give the schema as AEP shows it in the form xed-full.")
    tenants = [name[1:] for name in properties if _TENANT_KEY.fullmatch(name) and name not in _ADOBES]
    tenant_id = _configured_tenant() or (tenants[0] if len(tenants) == 1 else None)
    if tenant_id is None:
        raise SchemaFileError(f"{file} does not tell whose it is. Set ADOBE_TENANT_ID.")
    try:
        validator_of(strict(content))
    except SchemaError as error:
        raise SchemaFileError(f"Nothing can be checked against the schema in {file}: {error}.") from error
    return Judging(content, tenant_id, f"the schema in {file}")


def _cached() -> Judging | None:
    """The tenant's schema as AEP showed it last; nobody waits for AEP here."""
    state = _state()
    settings = _unless_missing(lambda: adobe_settings(state)) if state else None
    if state is None or settings is None:
        return None
    found = TenantSchemas(state, settings.sandbox_name).read(settings.events_schema_id)
    if found is None or found.content is None:
        return None
    told = f"the tenant's schema, version {found.version}, as AEP showed it last"
    return Judging(found.content, settings.tenant_id, told)


def _configured_tenant() -> str | None:
    try:
        state = _state()
    except StateError:
        # The name of the tenant is no reason to fail where the state database is not needed.
        state = None
    found = _unless_missing(lambda: tenant_settings(state)) if state else _unless_missing(lambda: load(TenantSettings))
    return found.tenant_id if found else None


def _state() -> State | None:
    """The state database, unless there is none: a check must not make one."""
    state = State(load(StorageSettings).state_url)
    return state if state.look(_SECONDS) is not None else None


def _unless_missing(read: Callable[[], T]) -> T | None:
    """A setting, or None where it is not set; a malformed one is told."""
    try:
        return read()
    except SettingsError as error:
        if "is malformed" in str(error):
            raise
        return None
