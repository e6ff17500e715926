"""Entities for property tests, generated from our own schemas, and broken copies of them.

Belongs here: hypothesis strategies. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from capillary_adobe.xdm.schemas import Kind, entity_schema

TENANT = "acme"

_zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_moments = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes(timezones=_zones).map(lambda moment: moment.isoformat(timespec="seconds")),
)
_FORMATS: dict[str, st.SearchStrategy[str]] = {
    "date-time": _moments,
    "date": st.dates().map(lambda day: day.isoformat()),
    "email": st.from_regex(r"[a-z0-9][a-z0-9.+_-]{0,8}[a-z0-9]@[a-z]{1,8}\.[a-z]{2,4}", fullmatch=True).filter(
        lambda text: ".." not in text
    ),
    "uri": st.from_regex(r"https://[a-z]{1,8}\.com/[a-z0-9/_-]{0,12}", fullmatch=True),
    "uri-reference": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9/_.~-]{0,20}", fullmatch=True),
}
_JSON = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=8), st.just([]), st.just({})
)


def entities(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Entities that follow every rule."""
    schema = entity_schema(kind, TENANT)
    return _values(schema, schema["definitions"])


@st.composite
def changed_entities(draw: st.DrawFn, kind: Kind, values: st.SearchStrategy[Any] = _JSON) -> tuple[dict[str, Any], Any]:
    """An entity in which one value, at any depth, was replaced, and the new value."""
    entity = deepcopy(draw(entities(kind)))
    holder, key = draw(st.sampled_from(list(places(entity))))
    holder[key] = draw(values)
    return entity, holder[key]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) inside a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield value, key
        yield from places(member)


def _values(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _identity_maps() if name == "identityMap" else _values(definitions[name], definitions)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return _objects(schema, definitions)
        case "array":
            return st.lists(_values(schema["items"], definitions), min_size=schema["minItems"], max_size=2)
        case "string":
            return _texts(schema)
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
    return st.booleans()


def _objects(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    required = schema.get("required", [])
    optional = sorted(set(schema["properties"]) - set(required))
    members = {name: st.deferred(lambda s=s: _values(s, definitions)) for name, s in schema["properties"].items()}
    # A few members at a time: every subset of all of them would make entities too large to be worth generating.
    chosen = st.sets(st.sampled_from(optional), min_size=schema.get("minProperties", 0), max_size=min(3, len(optional)))
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({name: members[name] for name in [*required, *sorted(names)]})
    )


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    if "format" in schema:
        return _FORMATS[schema["format"]]
    return st.text(min_size=schema["minLength"], max_size=12)


@st.composite
def _identity_maps(draw: st.DrawFn) -> dict[str, Any]:
    namespaces = ["capillaryCustomerId", "capillaryExternalId", "Email", "Phone"]
    chosen = draw(st.lists(st.sampled_from(namespaces), min_size=1, max_size=5))
    primary = draw(st.integers(0, len(chosen) - 1))
    identity_map: dict[str, Any] = {}
    for index, namespace in enumerate(chosen):
        identity: dict[str, Any] = {"id": draw(st.from_regex(r"[0-9]{1,12}", fullmatch=True))}
        if index == primary:
            identity["primary"] = True
        elif draw(st.booleans()):
            identity |= {"primary": False, "authenticatedState": "ambiguous"}
        identity_map.setdefault(namespace, []).append(identity)
    return identity_map
