"""What a change of the mapping does to events: the same events made by two mappings, side by side.

Belongs here: comparing the entities, counted by event and path. Does not belong here: the rules' own differences
(`rule_changes.py`), choosing the sample, and printing (`cli_trial.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from capillary_adobe.capillary.catalogue import Catalogue
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.entities import Entity, EntityStage
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.origins import Origins
from capillary_adobe.xdm.language.rule_model import GENERIC, Rules
from capillary_adobe.xdm.trying.rule_changes import RuleChange, changed_events, rule_changes
from capillary_adobe.xdm.violations import ABSENT

_AT: Final = {name: place for place, name in enumerate(ENRICHED_EVENTS.names)}
_INDEX: Final = re.compile(r"/\d+(?=/|$)")


@dataclass(frozen=True)
class Side:
    """One of the two mappings."""

    rules: Rules
    catalogue: Catalogue


@dataclass
class Field:
    """What happens to one field of an event's entities: how often, and one case of it by type and by value."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    types: str = ""
    values: tuple[Any, Any] | None = None


@dataclass
class Difference:
    """The effect of going from one mapping to the other."""

    rules: list[RuleChange]
    events: int = 0
    differing: int = 0
    fields: dict[tuple[str, str], Field] = field(default_factory=dict)
    newly_failing: Counter[tuple[str, str]] = field(default_factory=Counter)
    newly_passing: Counter[tuple[str, str]] = field(default_factory=Counter)
    newly_ignored: Counter[str] = field(default_factory=Counter)
    newly_mapped: Counter[str] = field(default_factory=Counter)


class _Made:
    """Entities by one mapping."""

    def __init__(self, side: Side, tenant: TenantSettings, settings: CapillarySettings) -> None:
        schema = extended_schema("events", tenant.tenant_id, side.rules)
        self._stage = EntityStage(side.rules, tenant, settings, side.catalogue, schema)
        self._rules = side.rules
        self._others = settings.deliver_other_events
        self._origins = Origins(side.rules)

    def entity(self, row: tuple[Any, ...]) -> Entity | None:
        """The entity of an enriched event, None where it is not delivered."""
        return self._stage.entity(row) if row[_AT["event_name"]] in self._rules or self._others else None

    def cause(self, event: str, entity: Entity) -> str:
        """Why AEP would refuse the entity, in one line without values."""
        first = entity.violations[0]
        place = self._origins.place(event, entity.variant, first.pointer)
        rule = f" ({place.in_line})" if place else ""
        return f"{first.code} at {_INDEX.sub('[]', first.pointer) or '/'}: {first.detail}{rule}"


def concerned(one: Side, other: Side) -> Callable[[str], bool]:
    """Whether the two mappings may make different entities of an event."""
    changed = changed_events(one.rules, other.rules)
    by_own = one.rules.keys() | other.rules.keys()
    return lambda event: event in changed or (GENERIC in changed and event not in by_own)


def differences(
    one: Side, other: Side, rows: Iterable[tuple[Any, ...]], tenant: TenantSettings, settings: CapillarySettings
) -> Difference:
    """What changes for these enriched events, going from one mapping to the other.

    Each side is judged by the shipped schema with its own additions, as if set-up had brought AEP up to it.
    """
    found = Difference(rule_changes(one.rules, other.rules))
    before, after = _Made(one, tenant, settings), _Made(other, tenant, settings)
    for row in rows:
        found.events += 1
        event = row[_AT["event_name"]]
        _compare(found, event, before, after, row)
    return found


def _compare(found: Difference, event: str, before: _Made, after: _Made, row: tuple[Any, ...]) -> None:
    old, new = before.entity(row), after.entity(row)
    if old is None or new is None:
        if old is not None:
            found.newly_ignored[event] += 1
        elif new is not None:
            found.newly_mapped[event] += 1
        if new is not None and new.violations:
            found.newly_failing[(event, after.cause(event, new))] += 1
        return
    if new.violations and not old.violations:
        found.newly_failing[(event, after.cause(event, new))] += 1
    elif old.violations and not new.violations:
        found.newly_passing[(event, before.cause(event, old))] += 1
    if old.text != new.text:
        found.differing += 1
        _count_fields(found, event, old.text, new.text)


def _count_fields(found: Difference, event: str, old: bytes, new: bytes) -> None:
    before, after = dict(_flat(orjson.loads(old or b"{}"))), dict(_flat(orjson.loads(new or b"{}")))
    for pointer in [*before, *(name for name in after if name not in before)]:
        was, has = before.get(pointer), after.get(pointer)
        if was == has and type(was) is type(has):
            continue
        counted = found.fields.setdefault((event, _INDEX.sub("[]", pointer)), Field())
        counted.added += pointer not in before
        counted.removed += pointer not in after
        counted.changed += pointer in before and pointer in after
        if counted.values is None:
            counted.types, counted.values = f"{_type(was)} → {_type(has)}", (was, has)


def _flat(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    members = value.items() if type(value) is dict else enumerate(value) if type(value) is list else None
    if members is None:
        yield pointer, value
        return
    for name, inner in members:
        yield from _flat(inner, f"{pointer}/{name}")


def _type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): ABSENT}
    return names[type(value)]
