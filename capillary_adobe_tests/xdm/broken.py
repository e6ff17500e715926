"""Entities by the thousand, whole and broken at random, always the same for one seed.

Belongs here: values that follow a strict schema, and changes that mostly break them. Does not belong here: any
expectation: what a change breaks, if it does, is for the judges to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

from capillary_adobe_tests.xdm.entities import places

Json = dict[str, Any]

_TEXTS = ("tea", "Müller & Söhne", "微信", "7001", "a b", "null", "x" * 300, "0")
_FORMATS = {
    "date-time": ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.123+05:30", "1999-12-31T23:59:59Z"),
    "date": ("1990-02-28", "2004-02-29"),
    "email": ("ann@example.com", "a.b+c@mail.example.org"),
    "uri": ("https://ns.adobe.com/xdm/channel-types/instore", "urn:isbn:1"),
    "uri-reference": ("8a5e0c", "capillary/instore", "https://example.com/a?b=c"),
}
_PATTERNED = ("INR", "EUR", "IN", "DE", "91", "IN-MH", "02-28", "zh-Hant-TW")
_ODD: tuple[Any, ...] = (
    *(None, "", [], {}, True, 7, -1, 1.5, 2**31, -(2**31) - 1, 2**53, 2**62, 1e300, "7", "yesterday", "a b", "inr"),
    *("2026-03-01", "2026-03-01T10:00:00", "2026-02-30T10:00:00Z", "2999-01-01T00:00:00Z", "1772359200000"),
    *("ann@example", "Ann <ann@example.com>", "Maharashtra", "x" * 1025, "x" * 256, " ", "anonymous", "gift"),
    *(["tea"], [None], [[]], [{}], {"a": 1}, {"value": 1}, {"id": "1"}),
)


def followed(schema: Json, random: Random, depth: int = 0) -> Any:
    """A value that follows a schema made strict."""
    if "enum" in schema:
        return random.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return _object(schema, random, depth)
        case "array":
            least = schema.get("minItems", 1)
            return [followed(schema["items"], random, depth + 1) for _ in range(random.randint(least, least + 1))]
        case "integer":
            lowest, highest = schema["minimum"], schema["maximum"]
            return random.choice([lowest, highest, random.randint(lowest, highest)])
        case "number":
            return random.choice([0, 1.5, -2, 12.25, 2**40])
        case "boolean":
            return random.random() < 0.5
    return _text(schema, random)


def _object(schema: Json, random: Random, depth: int) -> Json:
    if "properties" not in schema:
        return _identities(random)
    required = schema.get("required", [])
    optional = sorted(set(schema["properties"]) - set(required) - {"identityMap"})
    chosen = random.sample(optional, min(len(optional), random.randint(1, 5 if depth == 0 else 2)))
    named = [*required, *chosen, *(["identityMap"] if depth == 0 else [])]
    return {name: followed(schema["properties"][name], random, depth + 1) for name in dict.fromkeys(named)}


def _identities(random: Random) -> Json:
    spaces = random.sample(["capillaryCustomerId", "capillaryExternalId", "Email", "Phone"], random.randint(1, 4))
    found: dict[str, list[Json]] = {
        space: [{"id": str(random.randint(1, 10**9)), "authenticatedState": "ambiguous"}] for space in spaces
    }
    random.choice(list(found.values()))[0]["primary"] = True
    return found


def _text(schema: Json, random: Random) -> str:
    if "pattern" in schema:
        return random.choice([text for text in _PATTERNED if re.search(schema["pattern"], text)])
    if "format" in schema:
        return random.choice(_FORMATS[schema["format"]])
    longest = schema.get("maxLength", 300)
    return random.choice([text for text in _TEXTS if len(text) <= longest])


def broken(entity: Json, random: Random) -> Json:
    """A copy with one to three changes, anywhere in it."""
    changed = deepcopy(entity)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(_CHANGES)(changed, random)
    return changed


def _holders(entity: Any) -> Iterator[Any]:
    if isinstance(entity, dict | list):
        yield entity
        for member in entity.values() if isinstance(entity, dict) else entity:
            yield from _holders(member)


def _other_value(entity: Json, random: Random) -> None:
    found = list(places(entity))
    if found:
        holder, key = random.choice(found)
        alike = [odd for odd in _ODD if type(odd) is type(holder[key])]
        holder[key] = deepcopy(random.choice(alike if alike and random.random() < 0.5 else _ODD))


def _no_value(entity: Json, random: Random) -> None:
    found = [place for place in places(entity) if isinstance(place[0], dict)]
    if found:
        holder, key = random.choice(found)
        del holder[key]


def _other_name(entity: Json, random: Random) -> None:
    found = [place for place in places(entity) if isinstance(place[0], dict)]
    if found:
        holder, key = random.choice(found)
        holder[random.choice([key + "s", key.upper(), "a/b~c", "value", "_other"])] = holder.pop(key)


def _more_fields(entity: Json, random: Random) -> None:
    holder = random.choice([holder for holder in _holders(entity) if isinstance(holder, dict)] or [entity])
    holder[random.choice(["extra", "note", "SKU", "priceTotal"])] = random.choice(_ODD)


def _other_identities(entity: Json, random: Random) -> None:
    entity["identityMap"] = random.choice(
        [
            {"Email": [{"id": "ann@example.com"}]},
            {"Email": [{"id": "1", "primary": True}], "Phone": [{"id": "2", "primary": True}]},
            {"Email": [{"id": str(n), "primary": n == 0} for n in range(21)]},
            {"Email": [{"id": str(n), "primary": n == 0} for n in range(20)]},
            {"Email": [{"id": "1", "primary": True}, {"id": random.choice([" ", "NULL", "invalid", "x" * 1025])}]},
            {"": [{"id": "1", "primary": True}]},
            {"Email": [{"primary": True}]},
        ]
    )


def _other_time(entity: Json, random: Random) -> None:
    entity["timestamp"] = random.choice(["2999-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-12-31T23:59:60Z"])


_CHANGES = (
    _other_value,
    _other_value,
    _other_value,
    _no_value,
    _other_name,
    _more_fields,
    _other_identities,
    _other_time,
)
