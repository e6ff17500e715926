"""What became of every field of a payload: where the mapping took it, or why it left it out.

Belongs here: turning the uses of sources, rule by rule, into one line for each field of the payload. Does not belong here:
finding the uses (`tracing.py`) and the verdict on the entity (`conformance.py`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from capillary_adobe.capillary.catalogue import GROUP, NO_PERSON, EventType
from capillary_adobe.capillary.enrichment import SOURCES
from capillary_adobe.capillary.values import nothing
from capillary_adobe.xdm.identities import CUSTOMER, EMAIL, EXTERNAL, PHONE
from capillary_adobe.xdm.trying.tracing import Outcome, Use

_IDENTITIES: Final = {
    "customerId": CUSTOMER,
    "instore.email": EMAIL,
    "Instore.email": EMAIL,
    "instore.mobile": PHONE,
    "Instore.mobile": PHONE,
    "instore.externalId": EXTERNAL,
    "Instore.externalId": EXTERNAL,
}
_UNUSED: Final = "no rule uses it"
_NO_IDENTITY: Final = "no identity: not sound, a repeat of the mobile, or an event that carries the customer id only"
# The most telling reason first; what was only looked at, or not needed, says least.
_REASONS: Final = (
    Outcome.UNREADABLE,
    Outcome.CONDITION,
    Outcome.NOT_LISTED,
    Outcome.MEANS_NOTHING,
    Outcome.REPEATED,
    Outcome.LATER,
    Outcome.NOT_NEEDED,
    Outcome.NOTHING,
    Outcome.LOOKED_AT,
)


@dataclass(frozen=True)
class Went:
    """A field of the entity that a source went to, by which rule, and through which column of `enriched_events`."""

    target: str
    rule: str | None
    via: str = ""


@dataclass(frozen=True)
class SourceLine:
    """One field of the payload: its value, where it went, and why it did not go on."""

    path: str
    value: Any
    went: tuple[Went, ...]
    why: str


def source_lines(
    data: dict[str, Any], uses: list[Use], event_type: EventType | None, entity: dict[str, Any]
) -> Iterator[SourceLine]:
    """A line for every field of a payload, in its order."""
    by_source = _by_source(data, uses)
    whole = [use for use in uses if use.source == "@data" and use.outcome is Outcome.WRITTEN]
    for path, value in _fields(data):
        own = by_source.get(path, [])
        went = [Went(use.target, _rule(use), via) for use, via in own if use.outcome is Outcome.WRITTEN]
        namespace = _namespace(path, event_type)
        if namespace in entity.get("identityMap", {}):
            went.append(Went(f"/identityMap/{namespace}/0/id", None))
        went += [Went(use.target, _rule(use), "@data") for use in whole]
        why = _why(path, value, own, by_source, written=bool(went))
        yield SourceLine(path, value, tuple(went), _NO_IDENTITY if why == _UNUSED and namespace else why)


def made_without_payload(data: dict[str, Any], uses: list[Use]) -> Iterator[tuple[str, Went]]:
    """What rules wrote from constants, the envelope and the settings, with its source."""
    told = [(path, value) for path, value in _fields(data) if not nothing(value)]
    for use in uses:
        column = use.source.removeprefix("@")
        elsewhere = use.source.startswith("@") and column != "data" and not _behind(column, told)
        if use.outcome is Outcome.WRITTEN and (elsewhere or not use.source):
            yield use.source or "constant", Went(use.target, _rule(use))


def _by_source(data: dict[str, Any], uses: list[Use]) -> dict[str, list[tuple[Use, str]]]:
    found: dict[str, list[tuple[Use, str]]] = defaultdict(list)
    told = [(path, value) for path, value in _fields(data) if not nothing(value)]
    for use in uses:
        column = use.source.removeprefix("@")
        if use.source.startswith("@"):
            for path in _behind(column, told):
                found[path].append((use, use.source))
        elif use.source:
            found[use.source].append((use, ""))
    return found


def _behind(column: str, told: list[tuple[str, Any]]) -> list[str]:
    """The fields that a derived column was made of: the first source that says something usable."""
    for source in SOURCES.get(column, ()):
        behind = [path for path, value in told if _is_at(path, source) and (column != "currency" or _is_code(value))]
        if behind:
            return behind
    return []


def _is_at(path: str, source: str) -> bool:
    return path == source or path.startswith(f"{source}[")


def _is_code(value: Any) -> bool:
    """Whether enrichment takes it for a currency; in place of any other the organisation's is used."""
    return type(value) is str and re.fullmatch(r"[A-Za-z]{3}", value.strip(), re.ASCII) is not None


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that holds a value of its own; an empty object or list is one too."""
    if type(value) is dict and value:
        for name, inner in value.items():
            yield from _fields(inner, f"{path}.{name}" if path else name)
    elif type(value) is list and value:
        for number, inner in enumerate(value):
            yield from _fields(inner, f"{path}[{number}]")
    elif path:
        yield path, value


def _namespace(path: str, event_type: EventType | None) -> str | None:
    """The namespace of the identity that a field of the event's person may become."""
    if event_type is None or event_type.person in (NO_PERSON, GROUP):
        return None
    holder = re.escape(event_type.person).replace(r"\[\]", r"\[\d+\]")
    match = re.fullmatch(rf"{holder}\.(.+)", path)
    return _IDENTITIES.get(match[1]) if match else None


def _why(
    path: str, value: Any, own: list[tuple[Use, str]], by_source: dict[str, list[tuple[Use, str]]], *, written: bool
) -> str:
    if written:
        # A rule that could not read what another one took is worth a word all the same.
        own = [(use, via) for use, via in own if use.outcome is Outcome.UNREADABLE]
        return _reason(own[0][0]) if own else ""
    if nothing(value):
        return str(Outcome.NOTHING)
    above = [entry for start in _above(path) for entry in by_source.get(start, []) if not entry[0].target]
    told = [use for use, _ in (*own, *above) if use.outcome is not Outcome.WRITTEN]
    if not told:
        return _UNUSED
    return _reason(min(told, key=lambda use: _REASONS.index(use.outcome)))


def _reason(use: Use) -> str:
    words = f": {use.words}" if use.words else ""
    rule = f" ({_rule(use)})" if _rule(use) else ""
    if use.outcome is Outcome.LOOKED_AT:
        return f"only used for {use.words}{rule}"
    return f"{use.outcome}{words}{rule}"


def _rule(use: Use) -> str | None:
    return use.place.in_line if use.place else None


def _above(path: str) -> list[str]:
    """The paths of everything that a field lies in, the nearest first."""
    found: list[str] = []
    while match := re.fullmatch(r"(.+?)(?:\.[^.\[\]]+|\[\d+\])", path):
        path = match[1]
        found.append(path)
    return found
