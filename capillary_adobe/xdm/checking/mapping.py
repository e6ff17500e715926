"""The mapping checked like code: against a schema, the published payloads, units, identities and itself.

Belongs here: what is checked, over all events, and findings on the order of variants. Does not belong here: the single
checks (the modules beside), the language's own errors (`entries.py`) and finished entities (`conformance.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from capillary_adobe.capillary.source_fields import fields_of
from capillary_adobe.xdm.checking.findings import Finding, in_order
from capillary_adobe.xdm.checking.identities import check_identities
from capillary_adobe.xdm.checking.sources import check_sources, with_declared
from capillary_adobe.xdm.checking.targets import check_targets
from capillary_adobe.xdm.checking.units import check_units
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.mapping_files import Mapping
from capillary_adobe.xdm.language.rule_model import GENERIC, MappingError, Variant
from capillary_adobe.xdm.language.rules import shipped_layer
from capillary_adobe.xdm.schemas import tenant_key
from capillary_adobe.xdm.tenant_schemas import strict


def check_mapping(mapping: Mapping, schema: dict[str, Any], tenant_id: str) -> list[Finding]:
    """What is wrong with a mapping, by place; empty where nothing is.

    `schema` is that of an event entity: the tenant's as AEP shows it (`xed-full`), or ours with the mapping's additions.

    Raises:
        SchemaError: the schema is none that can be used.
    """
    closed, key = strict(schema), tenant_key(tenant_id)
    found = list(_check_blocks(mapping))
    for event, variants in mapping.rules.items():
        kinds = source_kinds(mapping, event)
        found += _check_event(mapping, event, variants)
        for variant in variants:
            found += check_targets(event, variant, closed, key)
            found += check_sources(event, variant, kinds)
            found += check_units(event, variant, kinds)
            found += check_identities(event, variant, mapping.namespaces)
    return in_order(found)


def of_error(error: MappingError) -> list[Finding]:
    """The problems of a mapping that cannot be loaded, as findings."""
    return in_order(Finding("error", problem.place, problem.words) for problem in error.problems)


def source_kinds(mapping: Mapping, event: str) -> dict[str, str]:
    """Kind by source path of an event, with what the tenant declares for it and for every event."""
    declared = mapping.declared.get(event, frozenset()) | mapping.declared.get(GENERIC, frozenset())
    return with_declared(fields_of(mapping.catalogue.find(event)), declared)


def _check_blocks(mapping: Mapping) -> Iterator[Finding]:
    for name, place in mapping.idle.items():
        cure = close_to(name, shipped_layer().shared) or " Name it under `use`, or take it out."
        yield Finding("warning", place, f"No entry uses the shared block {name}.{cure}")


def _check_event(mapping: Mapping, event: str, variants: tuple[Variant, ...]) -> Iterator[Finding]:
    known = mapping.catalogue.find(event)
    if known is not None and known.instead_of_a_person:
        words = f"{event} is about {known.instead_of_a_person} and never delivered, so its rules never apply."
        yield Finding("warning", variants[0].place, words)
    for number, variant in enumerate(variants):
        earlier = next((one for one in variants[:number] if set(one.when) <= set(variant.when)), None)
        if earlier is not None:
            words = (
                f"{event}: no event reaches this variant, for the one at {earlier.place} takes them all. Put the narrower "
                "condition first."
            )
            yield Finding("error", variant.place, words)
