"""The demands on a whole record that no schema can say: its identities and its moment.

Belongs here: the rules of Identity Service and Profile, and that an event has happened. Does not belong here: the schema
(`strictness`) and which rules a dataset has (`demands`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from capillary_adobe.emulators.strictness import Lane
from capillary_adobe.emulators.violations import Violation

MOST_IDENTITIES: Final = 20
LONGEST_VALUE: Final = 1024

_NOBODY = frozenset({"", "null", "anonymous", "invalid"})
_MAP = "#/identityMap"


@dataclass(frozen=True)
class RecordRules:
    """What a dataset demands. `fields` are the fields that its schema says are identities, with their namespaces.

    A schema may name one of them as the primary identity; otherwise each record marks its own.
    """

    time_series: bool
    fields: Mapping[str, str] = field(default_factory=dict)
    primary: str | None = None

    def violations(self, entity: dict[str, Any], lane: Lane, received_ms: int) -> list[Violation]:
        """What speaks against a record that follows its schema and came at a moment."""
        found: list[Violation] = []
        if self.time_series and (fault := _time_fault(entity.get("timestamp"), lane, received_ms)):
            found.append(fault)
        identity_map = entity.get("identityMap", {})
        count = primaries = 0
        for namespace, identities in identity_map.items():
            count += len(identities)
            for place, identity in enumerate(identities):
                primaries += identity.get("primary") is True
                if words := _value_fault(namespace, identity["id"]):
                    found.append(_identity(f"{_MAP}/{_step(namespace)}/{place}/id", words))
        for path, namespace in self.fields.items():
            for value in _at(entity, path.strip("/").split("/")):
                count += all(identity["id"] != value for identity in identity_map.get(namespace, ()))
                if words := _value_fault(namespace, value):
                    found.append(_identity(f"#{path}", words))
        return found + self._count_faults(primaries, count, there="identityMap" in entity)

    def _count_faults(self, primaries: int, count: int, *, there: bool) -> list[Violation]:
        found: list[Violation] = []
        if not there and self.primary is None:
            found.append(Violation("#", "required", "required key [identityMap] not found"))
        elif primaries > 1 or (primaries == 0 and self.primary is None):
            found.append(_identity(_MAP, f"{primaries} identities are primary, exactly one must be"))
        if count > MOST_IDENTITIES:
            found.append(_identity(_MAP, f"{count} identities, at most {MOST_IDENTITIES} are allowed"))
        return found


def _value_fault(namespace: str, value: Any) -> str | None:
    text = str(value)
    if not namespace.strip():
        return "the identity has no namespace"
    if len(text) > LONGEST_VALUE:
        return f"the identity is longer than {LONGEST_VALUE} characters"
    return f"[{text}] is no identity of anyone" if text.strip().lower() in _NOBODY else None


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _identity(pointer: str, text: str) -> Violation:
    return Violation(pointer, "identity", text)


def _at(node: Any, steps: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _at(item, steps)
    elif not steps:
        if node is not None:
            yield node
    elif steps[0] in ("*", "[*]"):
        yield from _at(node, steps[1:])
    elif isinstance(node, dict) and steps[0] in node:
        yield from _at(node[steps[0]], steps[1:])


def _time_fault(timestamp: Any, lane: Lane, received_ms: int) -> Violation | None:
    moment = _epoch_ms(str(timestamp))
    if moment is None and lane == "streaming":
        return Violation("#/timestamp", "format", f"[{timestamp}] is not a valid date-time")
    if moment is not None and moment > received_ms:
        return Violation("#/timestamp", "timestamp", f"[{timestamp}] lies in the future")
    return None


def _epoch_ms(timestamp: str) -> float | None:
    try:
        return datetime.fromisoformat(timestamp.upper()).timestamp() * 1000
    except (ValueError, OverflowError):  # such as a leap second, which RFC 3339 allows
        return None
