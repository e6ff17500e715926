"""Rules one at a time: the same entity as by compiled rules, and what every source was used for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe.capillary.person import NotDelivered, customer_id
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.landing import open_landing_store, read_records
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.language.compiler import Transform, compile_rules
from capillary_adobe.xdm.language.rule_walk import sites
from capillary_adobe.xdm.language.rules import GENERIC, Rules, load_rules, parse_rules
from capillary_adobe.xdm.trying.tracing import Outcome, Trace, trace
from capillary_adobe_tests.capillary.events import Json, event, raw_batch
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.official import reference_dir
from capillary_adobe_tests.xdm.transforming import INDIA

_AT = {name: place for place, name in enumerate(ENRICHED_EVENTS.names)}


def rows(records: list[Json]) -> Iterator[tuple[Any, ...]]:
    for batch in enrich([raw_batch([one for one in records if is_delivered(one)])], INDIA):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def is_delivered(record: Json) -> bool:
    try:
        envelope = unwrap(record)
        event_type = shipped_catalogue().find(envelope.event_name)
        return event_type is not None and bool(customer_id(event_type, envelope.data))
    except (NotAnEvent, NotDelivered):
        return False


def traced(fields: str, data: Json, name: str = "pointsIssued") -> Trace:
    lines = "".join(f"    {line}\n" for line in fields.strip().splitlines())
    made: Rules = parse_rules({"own.yaml": f"{name}:\n  event_type: a.b\n  fields:\n{lines}"})
    [row] = rows([event(name, data)])
    return trace(made[name], orjson.loads(row[_AT["data"]]), (*row, "387599999"), "acme")


def uses(found: Trace, source: str) -> list[tuple[str, str, str]]:
    return [(str(use.outcome), use.target, use.words) for use in found.uses if use.source == source]


@pytest.mark.parametrize("sample", sorted(load_rules().keys() - {GENERIC}))
def test_a_published_sample_becomes_the_same(sample: str) -> None:
    file = reference_dir() / "samples" / f"{sample}.json"
    if file.exists():
        agree([orjson.loads(file.read_bytes())])


def test_a_made_up_day_becomes_the_same(tmp_path: Path) -> None:
    day = date(2026, 11, 19)
    write_day(LocalLandingStore(tmp_path), day, 400)
    store = open_landing_store(str(tmp_path))
    records = []
    for found in store.list("live", day.isoformat()):
        with store.open(found.key) as stream:
            records += [record.value for record in read_records(stream) if record.problem is None]
    agree(records)


def agree(records: list[Json]) -> None:
    rules = load_rules()
    compiled = compile_rules(rules, "acme")
    for row in rows(records):
        name = row[_AT["event_name"]] if row[_AT["event_name"]] in rules else GENERIC
        data, whole = orjson.loads(row[_AT["data"]]), (*row, row[_AT["customer_id"]])
        mapped = compiled[name](data, whole, [])
        found = trace(rules[name], data, whole, "acme")
        assert (found.fields, found.variant) == (mapped.fields, mapped.variant)
        written = {use.target for use in found.uses if use.outcome is Outcome.WRITTEN} - {"/timestamp"}
        assert written == set(leaf_pointers(found.fields))


def leaf_pointers(value: Any, at: str = "") -> Iterator[str]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None:
        yield at
        return
    for name, member in members:
        yield from leaf_pointers(member, f"{at}/{name}")


def test_what_a_rule_writes_has_its_place_and_its_concrete_source() -> None:
    found = traced(
        "loyalty.pointsGained:\n  - each: gained\n    fields: {value: {from: points, as: number}}",
        {"gained": [{"points": "x"}, {"points": 5}]},
    )
    assert uses(found, "gained[0].points") == [("cannot be read", "/loyalty/pointsGained/0/value", "expected a number")]
    assert uses(found, "gained[1].points") == [("written", "/loyalty/pointsGained/0/value", "")]
    assert found.fields == {"loyalty": {"pointsGained": [{"value": 5}]}}
    assert str(found.uses[-1].place).startswith("own.yaml:6:")


@pytest.mark.parametrize(
    ("rule", "data", "outcome"),
    [
        ("{from: x}", {"x": " "}, Outcome.NOTHING),
        ("{from: x, as: id}", {"x": -1}, Outcome.MEANS_NOTHING),
        ("{from: x, choose: {a: b}}", {"x": "c"}, Outcome.NOT_LISTED),
        ("{from: x, when: y > 2}", {"x": "c", "y": 1}, Outcome.CONDITION),
        ("{from: [y, x]}", {"x": "c", "y": 1}, Outcome.NOT_NEEDED),
        ("{from: x, as: moment}", {"x": "soon"}, Outcome.UNREADABLE),
        ("{from: x}", {"x": 1}, Outcome.WRITTEN),
    ],
)
def test_why_a_source_is_dropped(rule: str, data: Json, outcome: Outcome) -> None:
    assert [one for one, _, _ in uses(traced(f"a.b: {rule}", data), "x")] == [outcome]


def test_conditions_and_choices_of_elements_are_noted() -> None:
    found = traced(
        "a.b: {from: 'list[key=$.wanted].value', when: not z}",
        {"list": [{"key": 4}, {"key": "7", "value": "v"}], "wanted": 7},
    )
    assert found.fields == {"a": {"b": "v"}}
    assert uses(found, "z") == [("looked at", "", "the condition `not z`")]
    assert (
        uses(found, "wanted") == uses(found, "list[1].key") == [("looked at", "", "the choice of an element of list")]
    )
    assert uses(found, "list[1].value") == [("written", "/a/b", "")]


def test_elements_that_repeat_or_whose_condition_fails() -> None:
    fields = "a.b:\n  - each: l\n    when: n > 1\n    distinct: true\n    fields: {v: {from: n}}"
    found = traced(fields, {"l": [{"n": 1}, {"n": 2}, {"n": 2}]})
    assert found.fields == {"a": {"b": [{"v": "2"}]}}
    assert [uses(found, f"l[{at}].n")[-1][0] for at in range(3)] == [
        Outcome.CONDITION,
        Outcome.WRITTEN,
        Outcome.REPEATED,
    ]


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**54),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "null", "-1", "RETURN", "12.50", "2026-01-31", "BillId", "usd", "x y", "1795165200000"]),
)


def _values(depth: int) -> st.SearchStrategy[Any]:
    if depth == 0:
        return _scalars
    inner = _values(depth - 1)
    return st.one_of(_scalars, st.dictionaries(_names, inner, max_size=5), st.lists(inner, max_size=3))


def _source_names() -> list[str]:
    names = {
        step.name
        for variants in load_rules().values()
        for variant in variants
        for site in sites(variant)
        for path in (site.leaf.sources if site.leaf else [site.block.each] if site.block and site.block.each else [])
        if path.origin != "row"
        for step in path.steps
    }
    return sorted(names | {"key", "customerIdentifiers"})


_names = st.sampled_from(_source_names())


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(sorted(load_rules())), st.dictionaries(_names, _values(3), max_size=12))
def test_any_payload_becomes_the_same(name: str, data: dict[str, Any]) -> None:
    row: list[Any] = [None] * len(ENRICHED_EVENTS.names)
    row[_AT["zone"]], row[_AT["created_ms"]], row[_AT["data"]] = "Asia/Kolkata", 1795165200000, "{}"
    unreadable: list[str] = []
    mapped = _compiled()[name](data, (*row, "7"), unreadable)
    found = trace(load_rules()[name], data, (*row, "7"), "acme")
    assert (found.fields, found.variant) == (mapped.fields, mapped.variant)
    told = {use.target for use in found.uses if use.outcome is Outcome.WRITTEN} - {"/timestamp"}
    assert set(leaf_pointers(found.fields)) - {""} == told
    assert bool(unreadable) <= any(use.outcome is Outcome.UNREADABLE for use in found.uses)


@cache
def _compiled() -> dict[str, Transform]:
    return compile_rules(load_rules(), "acme")
