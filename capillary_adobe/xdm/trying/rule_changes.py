"""What differs between the rules of two mappings, as they are written.

Belongs here: targets added, removed and changed, by event. Does not belong here: what the difference does to events
(`differing.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capillary_adobe.xdm.language.rule_model import Place, Rules, Variant
from capillary_adobe.xdm.language.rule_walk import sites, written


@dataclass(frozen=True)
class RuleChange:
    """One target field of an event: `added`, `removed` or `changed`, and where the rule stands in the later mapping."""

    event: str
    target: str
    change: str
    rule: str | None


def changed_events(one: Rules, other: Rules) -> set[str]:
    """Events whose rules differ, that only one of the mappings has included."""
    return {event for event in one.keys() | other.keys() if one.get(event) != other.get(event)}


def rule_changes(one: Rules, other: Rules) -> list[RuleChange]:
    """Every difference, in the order of events and targets."""
    return [change for event in sorted(changed_events(one, other)) for change in _of_event(event, one, other)]


def _of_event(event: str, one: Rules, other: Rules) -> Iterator[RuleChange]:
    before, _ = _described(one.get(event, ()))
    after, places = _described(other.get(event, ()))
    _, old_places = _described(one.get(event, ()))
    for target in sorted(before.keys() | after.keys()):
        if before.get(target) == after.get(target):
            continue
        change = "added" if target not in before else "removed" if target not in after else "changed"
        place = places.get(target) or old_places.get(target)
        yield RuleChange(event, target, change, place.in_line if place else None)


def _described(variants: tuple[Variant, ...]) -> tuple[dict[str, list[Any]], dict[str, Place | None]]:
    """What the rules of an event say of each target; the head stands under the names in brackets."""
    found: dict[str, list[Any]] = defaultdict(list)
    places: dict[str, Place | None] = {}
    for number, variant in enumerate(variants):
        head = {
            "(eventType)": variant.event_type,
            "(when)": variant.when,
            "(timestamp)": variant.timestamp,
            "(identities)": variant.customer_id_only,
        }
        # What a rule leaves at its default is nothing that a reader has to be told.
        for name, value in ((name, value) for name, value in head.items() if value):
            found[name].append((number, value))
            places.setdefault(name, variant.place)
        for site in sites(variant):
            if site.leaf is not None:
                found[written(site.target)].append((number, site.leaf, site.base, site.when))
                places.setdefault(written(site.target), site.leaf.place)
            elif site.block is not None:
                said = (site.block.each, site.block.when, site.block.distinct)
                found[written(site.target)].append((number, said))
                places.setdefault(written(site.target), site.block.place)
    return dict(found), places
