"""The event catalogue, read from `events.yaml`.

Belongs here: which event types there are, their family, where the person stands and what names the happening. Does not
belong here: what an event becomes in XDM (`xdm/mappings`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

# Values of `person` that name no path.
NO_PERSON = "none"
GROUP = "group"


@dataclass(frozen=True)
class EventType:
    """One event type; `person` is a path under `data`, or `none` or `group`."""

    name: str
    family: str
    person: str
    natural_key: str | None = None


@cache
def catalogue() -> dict[str, EventType]:
    """Every event type by its name."""
    text = resources.files("capillary_adobe.capillary").joinpath("events.yaml").read_text("utf-8")
    return {
        name: EventType(name, family, **fields)
        for family, events in yaml.safe_load(text).items()
        for name, fields in events.items()
    }


@cache
def _by_lower_name() -> dict[str, EventType]:
    return {name.lower(): event_type for name, event_type in catalogue().items()}


def find(name: str) -> EventType | None:
    """The event type of a name: exactly, else without regard to case, since Capillary's own spelling drifts."""
    return catalogue().get(name) or _by_lower_name().get(name.lower())
