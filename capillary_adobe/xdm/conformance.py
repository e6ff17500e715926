"""Conformance: whether AEP will take an entity, and if not, why.

Belongs here: the verdict on one finished entity, by its schema and by AEP's rules that no schema can say (identities,
size, time), in reason codes that stay the same over the years. Does not belong here: repairing an entity, building
one, or anything that reads a clock: the caller says which moment is the latest.

An entity is JSON as parsed: dicts with text keys, lists, text, numbers, booleans, None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jsonschema_rs
from jsonschema_rs import ValidationError, ValidationErrorKind

from capillary_adobe.xdm.schemas import Kind, entity_schema

MAX_BYTES = 1_000_000
"""AEP takes no larger record; the envelope around the entity counts too and is the sender's to allow for."""

ADVISED_BYTES = 10_240
"""AEP advises against larger records, and Profile takes no larger event by batch."""

MAX_IDENTITIES = 20
MAX_IDENTITY_LENGTH = 1024

_NOBODY = frozenset({"", "null", "anonymous", "invalid"})

# Stricter than the format's own standard, which allows "Jane <jane@example.com>" and hosts without a domain: neither
# is an address that AEP can match or a channel can send to.
_EMAIL = jsonschema_rs.EmailOptions(require_tld=True, allow_domain_literal=False, allow_display_text=False)

_CODES = {
    "required": "field_missing",
    "type": "wrong_type",
    "format": "wrong_format",
    "pattern": "wrong_pattern",
    "enum": "not_in_enum",
    "const": "not_in_enum",
    "minimum": "out_of_range",
    "maximum": "out_of_range",
    "exclusiveMinimum": "out_of_range",
    "exclusiveMaximum": "out_of_range",
    "multipleOf": "out_of_range",
    "minLength": "out_of_range",
    "maxLength": "out_of_range",
    "minItems": "out_of_range",
    "maxItems": "out_of_range",
    "minProperties": "out_of_range",
    "maxProperties": "out_of_range",
    "additionalProperties": "unknown_field",
    "unevaluatedProperties": "unknown_field",
}
_FALLBACK = "not_conformant"

# Where one of these holds, every other complaint about the same value follows from it.
_FIRST_CAUSES = frozenset({"null_value", "empty_value", "wrong_type"})

_FORMATS = {
    "date-time": "write RFC 3339 with T and a zone, such as 2026-01-31T08:00:00.000Z",
    "date": "write it as 2026-01-31",
    "email": "write the bare address, as in name@example.com, or leave the field out",
    "uri": "write an absolute URI, or leave the field out",
    "uri-reference": "write letters, digits and the signs that a URI allows",
}


@dataclass(frozen=True)
class Violation:
    """One reason why an entity does not conform; it never repeats the value, which may be personal."""

    code: str
    pointer: str
    keyword: str
    detail: str


def over_advised(size: int) -> bool:
    """Whether an entity of this many bytes is larger than AEP advises, though it still takes it."""
    return size > ADVISED_BYTES


class Conformance:
    """The rules for one kind of entity in one tenant; build it once and use it for every entity."""

    def __init__(self, kind: Kind, tenant_id: str) -> None:
        self._timed = kind == "events"
        self._validator = jsonschema_rs.validator_for(
            entity_schema(kind, tenant_id), validate_formats=True, email_options=_EMAIL
        )

    def conforms(self, entity: dict[str, Any], size: int, latest_ms: int | None = None) -> bool:
        """Whether AEP will take the entity, whose JSON has `size` bytes.

        An event must not have happened after `latest_ms` (epoch milliseconds: the landing moment plus a tolerance);
        None leaves that unchecked.
        """
        return (
            size <= MAX_BYTES
            and self._validator.is_valid(entity)
            and _identities_hold(entity["identityMap"])
            and (not self._timed or _time_holds(entity["timestamp"], latest_ms))
        )

    def violations(self, entity: dict[str, Any], size: int, latest_ms: int | None = None) -> list[Violation]:
        """Every reason why the entity does not conform, in a stable order; empty exactly where `conforms` is true."""
        if self.conforms(entity, size, latest_ms):
            return []
        found = [violation for error in self._validator.iter_errors(entity) for violation in _from_schema(error)]
        well_formed = all(violation.pointer != "/timestamp" for violation in found)
        found += _identity_violations(entity.get("identityMap"))
        if self._timed and well_formed:
            found += _time_violations(entity["timestamp"], latest_ms)
        if size > MAX_BYTES:
            detail = f"{size} bytes, at most {MAX_BYTES}; leave out or shorten the longest texts in the mapping"
            found.append(Violation("entity_too_large", "", "maxBytes", detail))
        return _first_causes(found)


def _first_causes(found: list[Violation]) -> list[Violation]:
    caused = {violation.pointer for violation in found if violation.code in _FIRST_CAUSES}
    kept = {violation for violation in found if violation.pointer not in caused or violation.code in _FIRST_CAUSES}
    return sorted(kept, key=lambda violation: (violation.pointer, violation.code, violation.keyword, violation.detail))


# Identities: AEP's rules across the whole map, which a schema cannot count.


def _identities_hold(identity_map: dict[str, Any]) -> bool:
    primaries = count = 0
    for namespace, identities in identity_map.items():
        count += len(identities)
        for identity in identities:
            value = identity["id"]
            if len(value) > MAX_IDENTITY_LENGTH or value.strip().lower() in _NOBODY:
                return False
            if identity.get("primary"):
                primaries += 1
        if not namespace.strip():
            return False
    return primaries == 1 and count <= MAX_IDENTITIES


def _identity_violations(identity_map: Any) -> Iterator[Violation]:
    if not isinstance(identity_map, dict):
        return
    where = "/identityMap"
    identities = list(_identities(identity_map))
    primaries = sum(identity.get("primary") is True for _, identity in identities)
    if not primaries:
        yield Violation("no_primary_identity", where, "primary", "no identity is marked as primary; mark exactly one")
    if primaries > 1:
        detail = f"{primaries} identities are marked as primary; mark exactly one"
        yield Violation("several_primary_identities", where, "primary", detail)
    if len(identities) > MAX_IDENTITIES:
        detail = f"{len(identities)} identities, at most {MAX_IDENTITIES}; leave out those that are trusted least"
        yield Violation("out_of_range", where, "maxIdentities", detail)
    for namespace in identity_map:
        if not namespace.strip():
            detail = "the namespace has no name; use the symbol of one that exists in AEP"
            yield Violation("bad_identity", _pointer([where[1:], namespace]), "namespace", detail)
    for pointer, identity in identities:
        yield from _identity_value_violations(f"{pointer}/id", identity.get("id"))


def _identities(identity_map: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for namespace, identities in identity_map.items():
        for index, identity in enumerate(identities if isinstance(identities, list) else []):
            if isinstance(identity, dict):
                yield _pointer(["identityMap", namespace, index]), identity


def _identity_value_violations(pointer: str, value: Any) -> Iterator[Violation]:
    if not isinstance(value, str):
        return
    if value.strip().lower() in _NOBODY:
        detail = "blank, or a word for nobody (null, anonymous, invalid), which would join strangers; leave it out"
        yield Violation("bad_identity", pointer, "identityValue", detail)
    elif len(value) > MAX_IDENTITY_LENGTH:
        detail = f"longer than {MAX_IDENTITY_LENGTH} characters; leave the identity out"
        yield Violation("bad_identity", pointer, "identityValue", detail)


# Time: AEP wants events of the past.


def _time_holds(timestamp: str, latest_ms: int | None) -> bool:
    moment = _epoch_ms(timestamp)
    return moment is not None and (latest_ms is None or moment <= latest_ms)


def _time_violations(timestamp: str, latest_ms: int | None) -> Iterator[Violation]:
    moment = _epoch_ms(timestamp)
    if moment is None:
        detail = "names no moment that can be put in order (a leap second, the year 0); " + _FORMATS["date-time"]
        yield Violation("wrong_format", "/timestamp", "format", detail)
    elif latest_ms is not None and moment > latest_ms:
        detail = "later than the event was landed; check the source's clock and the zone of its dates"
        yield Violation("timestamp_in_future", "/timestamp", "latest", detail)


def _epoch_ms(timestamp: str) -> int | None:
    try:
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        pass
    try:  # RFC 3339 lets t and z be small, Python does not
        return round(datetime.fromisoformat(timestamp.upper()).timestamp() * 1000)
    except ValueError:
        return None


# The schema's errors, in our codes and words.


def _from_schema(error: ValidationError) -> Iterator[Violation]:
    keyword = error.kind.name
    path = error.instance_path
    match error.kind:
        case ValidationErrorKind.Required(name):
            detail = "required and absent; the mapping must fill it"
            yield Violation("field_missing", _pointer([*path, name]), keyword, detail)
        case ValidationErrorKind.AdditionalProperties(names) | ValidationErrorKind.UnevaluatedProperties(names):
            detail = "the schema has no such field; map to one that it has, or leave it out"
            for name in names:
                yield Violation("unknown_field", _pointer([*path, name]), keyword, detail)
        case _:
            code = _code(error)
            yield Violation(code, _pointer(path), keyword, _detail(code, error))


def _code(error: ValidationError) -> str:
    value = error.instance
    if value is None:
        return "null_value"
    if value in ("", [], {}):
        return "empty_value"
    return _CODES.get(error.kind.name, _FALLBACK)


def _detail(code: str, error: ValidationError) -> str:
    kind = error.kind
    if code in {"null_value", "empty_value"}:
        return f"{_json_type(error.instance)} without content; leave the field out where there is no value"
    match kind:
        case ValidationErrorKind.Type(types):
            return f"is {_json_type(error.instance)}, must be {' or '.join(types)}; convert it in the mapping"
        case ValidationErrorKind.Format(name):
            return f"is no {name}; {_FORMATS.get(name, 'write it in that format, or leave the field out')}"
        case ValidationErrorKind.Pattern(pattern):
            return f"does not match {pattern}; convert it in the mapping, or leave the field out"
        case ValidationErrorKind.Enum(options):
            allowed = ", ".join(str(option) for option in options)
            return f"is none of {allowed}; translate it in the mapping, or leave the field out"
    if code == "out_of_range":
        return f"breaks {kind.name} {kind.value}; use a field that holds it, or leave the field out"
    return f"breaks {kind.name}; change the mapping so that the schema holds"


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
