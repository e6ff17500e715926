"""Conformance: whether AEP will take an entity, and if not, why.

Belongs here: the verdict on one finished entity, by its schema and by AEP's rules that no schema can say (identities,
size, time). Does not belong here: the words for what the schema finds (`violations`), repairing an entity, building
one, or anything that reads a clock: the caller says which moment is the latest.

An entity is JSON as parsed: dicts with text keys, lists, text, numbers, booleans, None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import jsonschema_rs

from capillary_adobe.xdm.schemas import Kind, entity_schema
from capillary_adobe.xdm.tenant_schemas import strict, validator_of
from capillary_adobe.xdm.violations import ABSENT, FORMATS, Violation, first_causes, from_schema, json_type, pointer

__all__ = ["ADVISED_BYTES", "MAX_BYTES", "Conformance", "Violation", "over_advised"]

MAX_BYTES = 1_000_000
"""AEP takes no larger record; the envelope around the entity counts too and is the sender's to allow for."""

ADVISED_BYTES = 10_240
"""AEP advises against larger records, and Profile takes no larger event by batch."""

MAX_IDENTITIES = 20
MAX_IDENTITY_LENGTH = 1024

_NOBODY = frozenset({"", "null", "anonymous", "invalid"})
_WHERE = "/identityMap"


def over_advised(size: int) -> bool:
    """Whether an entity of this many bytes is larger than AEP advises, though it still takes it."""
    return size > ADVISED_BYTES


class Conformance:
    """The rules for one kind of entity in one tenant; build it once and use it for every entity.

    `schema` is the schema that AEP holds (`xed-full`), or one of ours with more fields; without it the shipped one counts.
    `identity_fields` are the fields that AEP reads as identities, with their namespaces, by path (`/_acme/a/b`).

    Raises:
        SchemaError: the schema given cannot be made into a validator.
    """

    def __init__(
        self,
        kind: Kind,
        tenant_id: str,
        schema: dict[str, Any] | None = None,
        identity_fields: Mapping[str, str] | None = None,
    ) -> None:
        self._timed = kind == "events"
        self._fields = tuple((path.split("/")[1:], namespace) for path, namespace in (identity_fields or {}).items())
        whole = entity_schema(kind, tenant_id) if schema is None else strict(schema)
        self._validator: jsonschema_rs.Validator = validator_of(whole)

    def conforms(self, entity: dict[str, Any], size: int, latest_ms: int | None = None) -> bool:
        """Whether AEP will take the entity, whose JSON has `size` bytes.

        An event must not have happened after `latest_ms` (epoch milliseconds: the landing moment plus a tolerance);
        None leaves that unchecked.
        """
        return (
            size <= MAX_BYTES
            and self._validator.is_valid(entity)
            and _identities_hold(entity.get("identityMap"))
            and (not self._fields or self._fields_hold(entity))
            and (not self._timed or _time_holds(entity.get("timestamp"), latest_ms))
        )

    def violations(self, entity: dict[str, Any], size: int, latest_ms: int | None = None) -> list[Violation]:
        """Every reason why the entity does not conform, in a stable order; empty exactly where `conforms` is true."""
        if self.conforms(entity, size, latest_ms):
            return []
        found = [violation for error in self._validator.iter_errors(entity) for violation in from_schema(error)]
        told = {violation.pointer for violation in found}
        found += [one for one in _identity_violations(entity.get("identityMap")) if not _said(one, told)]
        found += self._field_violations(entity)
        if self._timed and "/timestamp" not in told:
            found += _time_violations(entity.get("timestamp"), latest_ms)
        if size > MAX_BYTES:
            detail = f"{size} bytes, at most {MAX_BYTES}"
            cure = "leave out or shorten the longest texts in the mapping"
            found.append(Violation("entity_too_large", "", "maxBytes", detail, "size", "object", cure))
        return first_causes(found)

    def _fields_hold(self, entity: dict[str, Any]) -> bool:
        """The short answer to `_field_violations`, for an entity whose identities hold."""
        for path, _ in self._fields:
            value: Any = entity
            for step in path:
                value = value.get(step) if type(value) is dict else None
            if value is not None and (len(str(value)) > MAX_IDENTITY_LENGTH or str(value).strip().lower() in _NOBODY):
                return False
        room = MAX_IDENTITIES - sum(map(len, entity["identityMap"].values()))
        return len(self._fields) <= room or not any(self._field_violations(entity))

    def _field_violations(self, entity: dict[str, Any]) -> Iterator[Violation]:
        """What is wrong with the fields that are identities; they count with those of the map."""
        if not self._fields:
            return
        identities = list(_identities(entity.get("identityMap")))
        known = {(where.split("/")[2], str(identity.get("id"))) for where, identity in identities}
        more = 0
        for path, namespace in self._fields:
            value = _at(entity, path)
            if value is not None:
                yield from _identity_value_violations(pointer(path), str(value))
                more += (namespace, str(value)) not in known
        if more and len(identities) <= MAX_IDENTITIES < len(identities) + more:
            detail = f"{len(identities) + more} identities with those in fields, at most {MAX_IDENTITIES}"
            yield _of_identity("out_of_range", _WHERE, "maxIdentities", detail)


def _said(violation: Violation, told: set[str]) -> bool:
    """Whether the schema has told already that this identity, or the whole map, is not there."""
    return violation.value_type == ABSENT and violation.pointer in told


# Identities: AEP's rules across the whole map, which a schema cannot count.


def _identities_hold(identity_map: Any) -> bool:
    if type(identity_map) is not dict:
        return False
    primaries = count = 0
    for namespace, identities in identity_map.items():
        count += len(identities)
        for identity in identities:
            value = identity.get("id")
            if value is None or len(value) > MAX_IDENTITY_LENGTH or value.strip().lower() in _NOBODY:
                return False
            if identity.get("primary"):
                primaries += 1
        if not namespace.strip():
            return False
    return primaries == 1 and count <= MAX_IDENTITIES


def _identity_violations(identity_map: Any) -> Iterator[Violation]:
    if identity_map is None:
        cure = "fill it: no record reaches a profile without an identity"
        yield Violation("field_missing", _WHERE, "required", "required and absent", "presence", ABSENT, cure)
    if not isinstance(identity_map, dict):
        return
    identities = list(_identities(identity_map))
    primaries = sum(identity.get("primary") is True for _, identity in identities)
    if not primaries:
        yield _of_identity("no_primary_identity", _WHERE, "primary", "no identity is marked as primary")
    if primaries > 1:
        detail = f"{primaries} identities are marked as primary"
        yield _of_identity("several_primary_identities", _WHERE, "primary", detail)
    if len(identities) > MAX_IDENTITIES:
        detail = f"{len(identities)} identities, at most {MAX_IDENTITIES}"
        yield _of_identity("out_of_range", _WHERE, "maxIdentities", detail)
    for namespace in identity_map:
        if not namespace.strip():
            where = pointer([_WHERE[1:], namespace])
            yield _of_identity("bad_identity", where, "namespace", "the namespace has no name", "array")
    for place, identity in identities:
        yield from _identity_value_violations(f"{place}/id", identity.get("id"))


def _at(entity: dict[str, Any], path: list[str]) -> Any:
    found: Any = entity
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _identities(identity_map: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for namespace, identities in identity_map.items() if isinstance(identity_map, dict) else ():
        for index, identity in enumerate(identities if isinstance(identities, list) else []):
            if isinstance(identity, dict):
                yield pointer([_WHERE[1:], namespace, index]), identity


def _identity_value_violations(where: str, value: Any) -> Iterator[Violation]:
    if value is None:
        yield _of_identity("bad_identity", where, "identityValue", "an identity without a value", ABSENT)
    elif not isinstance(value, str):
        return
    elif value.strip().lower() in _NOBODY:
        detail = "blank, or a word for nobody (null, anonymous, invalid), which would join strangers"
        yield _of_identity("bad_identity", where, "identityValue", detail, "string")
    elif len(value) > MAX_IDENTITY_LENGTH:
        detail = f"longer than {MAX_IDENTITY_LENGTH} characters"
        yield _of_identity("bad_identity", where, "identityValue", detail, "string")


_IDENTITY_CURES = {
    "primary": "mark exactly one as primary",
    "maxIdentities": "leave out those that are trusted least",
    "namespace": "use the symbol of a namespace that exists in AEP",
    "identityValue": "leave the identity out",
}


def _of_identity(code: str, where: str, keyword: str, detail: str, value_type: str = "object") -> Violation:
    return Violation(code, where, keyword, detail, "identity", value_type, _IDENTITY_CURES[keyword])


# Time: AEP wants events of the past.


def _time_holds(timestamp: Any, latest_ms: int | None) -> bool:
    moment = _epoch_ms(timestamp)
    return moment is not None and (latest_ms is None or moment <= latest_ms)


def _time_violations(timestamp: Any, latest_ms: int | None) -> Iterator[Violation]:
    where = "/timestamp"
    moment = _epoch_ms(timestamp)
    if moment is None:
        detail = "names no moment that can be put in order (a leap second, the year 0)"
        cure = FORMATS["date-time"]
        yield Violation("wrong_format", where, "format", detail, "format", json_type(timestamp), cure)
    elif latest_ms is not None and moment > latest_ms:
        detail = "later than the event was landed"
        cure = "check the source's clock and the zone of its dates"
        yield Violation("timestamp_in_future", where, "latest", detail, "timestamp", "string", cure)


def _epoch_ms(timestamp: Any) -> int | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        pass
    try:  # RFC 3339 lets t and z be small, Python does not
        return round(datetime.fromisoformat(timestamp.upper()).timestamp() * 1000)
    except ValueError:
        return None
