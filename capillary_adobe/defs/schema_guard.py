"""The schema that guards delivery, as a step comes by it, and the check that says which one it was.

Belongs here: asking for it with this installation's settings, the check's spec, words and result. Does not belong here:
which schema counts (`schema_in_force.py`), judging by it (`xdm`).
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.resources import AdobeResource
from capillary_adobe.environment import adobe_settings
from capillary_adobe.schema_in_force import Guard, guard, refreshed
from capillary_adobe.settings import SchemaSettings, SettingsError, load
from capillary_adobe.state import CachedSchema, State
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe.xdm.language.rule_model import Rules

CHECK = "validated_against_tenant_schema"


def guard_in_force(state: State, adobe: AdobeResource, rules: Rules, tenant_id: str) -> Guard:
    """What guards delivery now; AEP is asked if the cache is too old, and not at all where it is not set up."""
    return guard(rules, tenant_id, _asked(state, adobe))


def _asked(state: State, adobe: AdobeResource) -> CachedSchema | None:
    try:
        settings = adobe_settings(state)
    except SettingsError:
        # The step that sends tells which variable it is.
        return None
    return refreshed(state, settings, adobe.schema_registry(settings), load(SchemaSettings).seconds)


def guard_claim(partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """The claim that the tenant's own schema has judged."""
    return claim(
        XDM_EVENTS.name,
        CHECK,
        "The entities were judged by the schema that AEP holds, not older than ADOBE_SCHEMA_SECONDS. If not, `problem` says "
        "why: they were judged by the last one fetched or, without one, by the shipped schema with the mapping's own fields, "
        "and AEP may refuse what passed. Delivery goes on.",
        partitions,
    )


def guard_result(found: Guard) -> dg.AssetCheckResult:
    """Which schema has judged."""
    return result(
        CHECK,
        passed=found.tenants_own and not found.problem,
        severity=dg.AssetCheckSeverity.WARN,
        schema="tenant's own" if found.tenants_own else "shipped",
        version=found.version or "unknown",
        fetched=_moment(found.fetched_ms),
        problem=found.problem or "none",
    )


def _moment(moment_ms: int | None) -> str:
    return "never" if moment_ms is None else datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds")
