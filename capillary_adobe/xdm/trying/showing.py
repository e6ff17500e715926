"""The mapping as tables for people and programs: what each event becomes, and by which line.

Belongs here: one row a target field, one row an event. Does not belong here: printing (`cli_mapping.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from capillary_adobe.xdm.language.mapping_files import Mapping
from capillary_adobe.xdm.language.rule_model import Leaf, Path, Test, Variant
from capillary_adobe.xdm.language.rule_walk import Site, sites, written


@dataclass(frozen=True)
class ShownField:
    """One target field."""

    target: str
    sources: tuple[str, ...]
    value: Any
    conversion: str
    unit: str
    condition: str
    identity: str
    place: str


@dataclass(frozen=True)
class ShownVariant:
    """What an event becomes under a condition."""

    event_type: str
    condition: str
    timestamp: tuple[str, ...]
    identities: str
    place: str
    fields: tuple[ShownField, ...]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True)
class ShownEvent:
    """One event that the mapping has rules for."""

    event: str
    family: str
    event_types: tuple[str, ...]
    variants: int
    changed: str
    files: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def shown_events(mapping: Mapping, shipped: Mapping) -> list[ShownEvent]:
    """Every event with rules, the shipped ones first."""
    shown = []
    for event, variants in mapping.rules.items():
        known = mapping.catalogue.find(event)
        change = ("changed" if event in shipped.rules else "new") if event in mapping.touched else ""
        shown.append(
            ShownEvent(
                event,
                known.family if known else "",
                tuple(dict.fromkeys(variant.event_type for variant in variants)),
                len(variants),
                change,
                tuple(sorted({file for variant in variants for file in _files(variant)})),
            )
        )
    return shown


def shown_variants(variants: tuple[Variant, ...]) -> list[ShownVariant]:
    """The variants of one event with their fields, in the order in which they are tried."""
    return [
        ShownVariant(
            event_type=variant.event_type,
            condition=_told(variant.when),
            timestamp=tuple(path.text for path in variant.timestamp),
            identities="customer id only" if variant.customer_id_only else "all",
            place=str(variant.place or ""),
            fields=tuple(_shown(site, site.leaf) for site in sites(variant) if site.leaf is not None),
        )
        for variant in variants
    ]


def _shown(site: Site, leaf: Leaf) -> ShownField:
    return ShownField(
        target=written(site.target),
        sources=tuple(_read_from(path, site.base) for path in leaf.sources),
        value=leaf.constant,
        conversion=_conversion(leaf),
        unit=leaf.unit or "",
        condition=_told((*site.when, *leaf.when)),
        identity=leaf.identity or "",
        place=str(leaf.place or ""),
    )


def _read_from(path: Path, base: str | None) -> str:
    """A source as the file writes it, selectors and all; below a list with the list's own path before it."""
    return f"{base}[].{path.text}" if path.origin == "item" and base is not None else path.text.removeprefix("$.")


def _conversion(leaf: Leaf) -> str:
    if not leaf.sources:
        return "constant"
    if leaf.choices:
        return f"one of {len(leaf.choices)} by choose"
    edge = f", {leaf.edge} of day" if leaf.conversion == "moment" else ""
    return f"{leaf.conversion}{edge}{f' after {leaf.prefix}' if leaf.prefix else ''}"


def _told(tests: tuple[Test, ...]) -> str:
    return " and ".join(str(test) for test in tests)


def _files(variant: Variant) -> Iterator[str]:
    for place in (variant.place, *(site.leaf.place for site in sites(variant) if site.leaf)):
        if place is not None:
            yield place.file
