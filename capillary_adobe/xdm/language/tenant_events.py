"""`events.yaml` of a tenant's folder: event types, source fields and identity namespaces of its own.

Belongs here: what that file may declare. Does not belong here: the rules of those events (`entries.py`) and the shipped
catalogue (`capillary.catalogue`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from capillary_adobe.capillary.catalogue import GROUP, NO_PERSON, Catalogue, EventType, shipped_catalogue
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.marked_yaml import Marked, read_yaml
from capillary_adobe.xdm.language.rule_model import GENERIC, Place, Problems, wrong

SOURCES = "custom_sources"
NAMESPACES = "namespaces"

_DEFAULT_PERSON = "customerIdentifiers"
_NAME = re.compile(r"\w+", re.ASCII)
_PERSON = re.compile(r"\w+(\[\])?(\.\w+(\[\])?)*", re.ASCII)
_NATURAL_KEY = re.compile(r"\w+(\.\w+)*", re.ASCII)
_SOURCE = re.compile(r"\w+(\[\])?(\.\w+(\[\])?)*")
_OPTIONS = ("person", "natural_key")
_NO_PATHS = (NO_PERSON, GROUP)


@dataclass(frozen=True)
class Declared:
    """What a tenant declares beside its rules."""

    types: tuple[EventType, ...] = ()
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    namespaces: frozenset[str] = frozenset()


def read_declared(name: str, text: str) -> Declared:
    """The declarations of an `events.yaml`.

    Raises:
        MappingError: it declares something that means nothing; every problem is named.
    """
    file, problems = read_yaml(name, text), Problems()
    if not isinstance(file.value, dict):
        raise wrong(file.place, f"must hold families of event types, {SOURCES} or {NAMESPACES}.")
    types: dict[str, EventType] = {}
    for family, events in file.value.items():
        if family not in (SOURCES, NAMESPACES):
            with problems.gathered():
                close = close_to(family, (SOURCES, NAMESPACES))
                _read_family(family, events, types, problems, close)
    sources: dict[str, frozenset[str]] = {}
    namespaces: frozenset[str] = frozenset()
    with problems.gathered():
        sources = _sources(file.value.get(SOURCES), shipped_catalogue().with_events(types.values()), problems)
    with problems.gathered():
        namespaces = _namespaces(file.value.get(NAMESPACES))
    problems.tell()
    return Declared(tuple(types.values()), sources, namespaces)


def demand_known(event: str, place: Place, catalogue: Catalogue) -> None:
    """Refuse an event type that nobody knows, since no event would ever meet its rules.

    Raises:
        MappingError: the catalogue has none of this name in this spelling.
    """
    found = catalogue.find(event)
    if event == GENERIC or (found is not None and found.name == event):
        return
    close = f" Did you mean {found.name}?" if found else close_to(event, catalogue.names())
    cure = "" if close else " Declare an event type of your own in events.yaml."
    raise wrong(place, f"{event} is no event type of the catalogue.{close}{cure}")


def _read_family(family: str, events: Marked, types: dict[str, EventType], problems: Problems, close: str) -> None:
    """Read the event types of a family; `close` tells what its name may be a slip for."""
    if not isinstance(events.value, dict):
        words = f"{family}: expected event types, each with `person` and perhaps `natural_key`.{close}"
        raise wrong(events.place, words)
    for event, body in events.value.items():
        with problems.gathered():
            place = events.keys[event]
            shipped = shipped_catalogue().find(event)
            if shipped is not None:
                cure = (
                    f" {family} is read as a family of event types.{close}" if close else " Take it out of events.yaml."
                )
                raise wrong(place, f"{event} is in the catalogue already, as {shipped.name}.{cure}")
            if event.lower() in (known.lower() for known in types):
                raise wrong(place, f"{event} is declared twice. Keep one of them.")
            if not _NAME.fullmatch(event):
                raise wrong(place, f"{event} is no name of an event type. Write eventName as Capillary sends it.")
            types[event] = _event_type(family, event, body)


def _event_type(family: str, event: str, body: Marked) -> EventType:
    if body.value is None:
        return EventType(event, family, _DEFAULT_PERSON)
    if not isinstance(body.value, dict):
        raise wrong(body.place, f"{event}: expected {{person: …, natural_key: …}}.")
    for option, value in body.value.items():
        if option not in _OPTIONS:
            close = close_to(option, _OPTIONS)
            raise wrong(body.keys[option], f"{event}: unknown option {option}.{close} Known: {', '.join(_OPTIONS)}.")
        form, example = (
            (_PERSON, "customerIdentifiers, group or none") if option == "person" else (_NATURAL_KEY, "orderId")
        )
        if not form.fullmatch(value.text):
            raise wrong(value.place, f"{event}: `{option}` is a field under data, such as {example}.")
        if option == "person" and value.text not in _NO_PATHS and value.text.lower() in _NO_PATHS:
            raise wrong(value.place, f"{event}: {value.text} is the path of a field. Write {value.text.lower()}.")
    natural_key = body.value.get("natural_key")
    person = body.value.get("person")
    return EventType(
        event, family, person.text if person else _DEFAULT_PERSON, natural_key.text if natural_key else None
    )


def _sources(written: Marked | None, catalogue: Catalogue, problems: Problems) -> dict[str, frozenset[str]]:
    if written is None or written.value is None:
        return {}
    if not isinstance(written.value, dict):
        raise wrong(written.place, f"{SOURCES}: expected a list of paths for each event type.")
    found: dict[str, frozenset[str]] = {}
    for event, paths in written.value.items():
        with problems.gathered():
            demand_known(event, written.keys[event], catalogue)
            if not isinstance(paths.value, list):
                raise wrong(
                    paths.place, f"{SOURCES}: {event}: expected a list of paths, such as [colour, 'wishList[].sku']."
                )
            for path in paths.value:
                if not path.is_scalar or not _SOURCE.fullmatch(path.text):
                    words = f"{SOURCES}: {event}: {path.text or 'this'} is no path; expected a.b, or list[].b."
                    raise wrong(path.place, words)
            found[event] = frozenset(path.text for path in paths.value)
    return found


def _namespaces(written: Marked | None) -> frozenset[str]:
    if written is None or written.value is None:
        return frozenset()
    elements = written.elements()
    if not isinstance(written.value, list) or not all(_NAME.fullmatch(one.text) for one in elements):
        raise wrong(
            written.place, f"{NAMESPACES}: expected a list of symbols of identity namespaces, such as [memberCard]."
        )
    return frozenset(one.text for one in elements)
