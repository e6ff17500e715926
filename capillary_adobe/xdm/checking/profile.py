"""The rules of the profile checked like those of events: targets, sources, units, identities.

Belongs here: what the profile's source always has. Does not belong here: the single checks (the modules beside).
"""

from __future__ import annotations

from typing import Final

from capillary_adobe.xdm.checking.findings import Finding, in_order
from capillary_adobe.xdm.checking.identities import check_identities
from capillary_adobe.xdm.checking.sources import check_sources
from capillary_adobe.xdm.checking.targets import check_targets
from capillary_adobe.xdm.checking.units import check_units
from capillary_adobe.xdm.language.rule_model import Path, Step, Variant
from capillary_adobe.xdm.language.rules import PROFILE
from capillary_adobe.xdm.profile_source import CHANNELS, source_kinds
from capillary_adobe.xdm.schemas import entity_schema, tenant_key
from capillary_adobe.xdm.tenant_schemas import strict

_THERE: Final = frozenset(
    {
        Path("row", (Step("created_ms"),), "@created_ms"),
        *(Path("root", (Step("consents"), Step(one), Step("value")), f"consents.{one}.value") for one in CHANNELS),
    }
)
"""Sources that have a value wherever their object has any: a consent is yes or no, or it is none."""


def check_profile(variants: tuple[Variant, ...], tenant_id: str) -> list[Finding]:
    """What is wrong with the rules of the profile, against the shipped schema; empty where nothing is."""
    schema, kinds = strict(entity_schema("profiles", tenant_id)), source_kinds()
    found: list[Finding] = []
    for variant in variants:
        found += check_targets(PROFILE, variant, schema, tenant_key(tenant_id), _THERE)
        found += check_sources(PROFILE, variant, kinds)
        found += check_units(PROFILE, variant, kinds)
        found += check_identities(PROFILE, variant, frozenset())
    return in_order(found)
