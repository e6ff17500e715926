"""The event catalogue: what `events.yaml` lists, and what an organisation adds to it.

Belongs here: which event types there are, their family, where the person stands and what names the happening. Does not
belong here: what an event becomes in XDM (`xdm/mappings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

# Values of `person` that name no path.
NO_PERSON = "none"
GROUP = "group"


@dataclass(frozen=True)
class EventType:
    """One event type; `person` is a path under `data`, or `none` or `group`, `natural_key` a path of names under `data`."""

    name: str
    family: str
    person: str
    natural_key: str | None = None

    @property
    def instead_of_a_person(self) -> str:
        """What the event is about in words where that is no one person; empty where it is."""
        return {NO_PERSON: "no person", GROUP: "a group"}.get(self.person, "")


class Catalogue:
    """Event types by name."""

    def __init__(self, types: Iterable[EventType]) -> None:
        self._types = {known.name: known for known in types}
        self._by_lower_name = {name.lower(): known for name, known in self._types.items()}

    def find(self, name: str) -> EventType | None:
        """The event type of a name: exactly, else without regard to case, since Capillary's own spelling drifts."""
        return self._types.get(name) or self._by_lower_name.get(name.lower())

    def names(self) -> list[str]:
        """Every name, in the catalogue's order."""
        return list(self._types)

    def with_events(self, added: Iterable[EventType]) -> Catalogue:
        """The catalogue with an organisation's own event types."""
        return Catalogue((*self._types.values(), *added))

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)


@cache
def shipped_catalogue() -> Catalogue:
    """Every event type that Capillary documents."""
    text = resources.files("capillary_adobe.capillary").joinpath("events.yaml").read_text("utf-8")
    return Catalogue(
        EventType(name, family, **fields)
        for family, events in yaml.safe_load(text).items()
        for name, fields in events.items()
    )
