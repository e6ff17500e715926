"""What the language of the mapping files does: sources, conditions, conversions, lists, variants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.xdm.language.compiler import Mapped, compile_rules
from capillary_adobe.xdm.language.expressions import COLUMNS
from capillary_adobe.xdm.language.rules import CONVERSIONS, parse_rules
from capillary_adobe_tests.capillary.events import CREATED_MS
from capillary_adobe_tests.examples import examples

Json = dict[str, Any]


def run(rules: str, data: Json, **row: Any) -> tuple[Mapped, list[str]]:
    """The result of the rules for the event `x`, and what could not be read."""
    columns = {"zone": "Asia/Kolkata", "created_ms": CREATED_MS, **row}
    unreadable: list[str] = []
    transform = compile_rules(parse_rules({"a.yaml": rules}), "acme")["x"]
    return transform(data, tuple(columns.get(name) for name in COLUMNS), unreadable), unreadable


def fields(text: str, data: Json, **row: Any) -> Any:
    """What the fields become, nothing unreadable."""
    mapped, unreadable = run(f"x:\n  event_type: e\n  fields: {{{text}}}", data, **row)
    assert unreadable == []
    return mapped.fields


@pytest.mark.parametrize(
    ("rule", "data", "expected"),
    [
        ("a: {from: x}", {"x": " text "}, {"a": "text"}),
        ("a: {from: x.y.z}", {"x": {"y": {"z": 5}}}, {"a": "5"}),
        ("a: {from: x.y}", {"x": [1]}, {}),
        ("a: {from: x.y}", {"x": "text"}, {}),
        ("a.b.c: {from: x}", {"x": "t"}, {"a": {"b": {"c": "t"}}}),
        ("a.b.c: {from: x}", {}, {}),
        ("a: {from: [x, y]}", {"y": "t"}, {"a": "t"}),
        ("a: {from: [x, y]}", {"x": " ", "y": "t"}, {"a": "t"}),
        ("a: {from: [x, y], as: moment}", {"x": "soon", "y": "2026-01-31"}, {"a": "2026-01-31T23:59:59+05:30"}),
        ("a: {from: x, as: moment, edge: start}", {"x": "2026-01-31"}, {"a": "2026-01-31T00:00:00+05:30"}),
        ("a: {from: '@program_id', as: id}", {}, {"a": "973"}),
        ("a: {from: '@identity'}", {}, {"a": "100458-7"}),
        ("a: {value: 1}", {}, {"a": 1}),
        ("a: {value: 1, when: x}", {}, {}),
        ("a: {value: 1, when: not x}", {"x": "null"}, {"a": 1}),
        ("a: {value: 1, when: x > 0}", {"x": "0.5"}, {"a": 1}),
        ("a: {value: 1, when: x > 0}", {"x": 0}, {}),
        ("a: {value: 1, when: x <= 2}", {"x": "many"}, {}),
        ("a: {value: 1, when: x >= 2 and y}", {"x": 2, "y": "z"}, {"a": 1}),
        ("a: {value: 1, when: x is RETURN}", {"x": " return "}, {"a": 1}),
        ("a: {value: 1, when: not x is RETURN}", {"x": 5}, {"a": 1}),
        ("a: {value: 1, when: x is true}", {"x": True}, {"a": 1}),
        ("a: {value: 1, when: x is 973}", {"x": 973.0}, {"a": 1}),
        ("a: {value: 1, when: x is false}", {"x": 0}, {}),
        ("a: {value: 1, when: x is a}", {"x": ["a"]}, {}),
        ("a: {from: x, choose: {Ja: 'y', Nein: 'n'}}", {"x": "JA"}, {"a": "y"}),
        ("a: {from: x, choose: {Ja: 'y'}}", {"x": "maybe"}, {}),
        ("a: {from: x, as: slug, prefix: c/}", {"x": "Web Engage!"}, {"a": "c/web-engage"}),
        ("a: {from: x, as: slug, prefix: c/}", {"x": "微信"}, {"a": "c/%E5%BE%AE%E4%BF%A1"}),
        ("a: {from: x, as: slug, prefix: c/}", {"x": " "}, {}),
        ("a: {from: x, as: number}", {"x": "1.000"}, {"a": 1}),
        ("a: {from: x, as: limit}", {"x": -1}, {}),
        ("_tenant.a: {from: x}\n    , b: {from: x}", {"x": "t"}, {"b": "t", "_acme": {"a": "t"}}),
        ("a: {from: 'x[key=BillId].value'}", {"x": [{"key": "other"}, {"key": "billid", "value": 7}]}, {"a": "7"}),
        ("a: {from: 'x[id=$.y].v'}", {"y": 973.0, "x": [None, {"id": "973", "v": 1}]}, {"a": "1"}),
        ("a: {from: 'x[id=$.y].v'}", {"y": None, "x": [{"id": None, "v": 1}]}, {}),
        ("a: {from: 'x[id=$.y].v'}", {"y": 1, "x": {"id": 1, "v": 1}}, {}),
        ("a: [{fields: {b: {from: x}}}]", {"x": "t"}, {"a": [{"b": "t"}]}),
        ("a: [{fields: {b: {from: x}}}]", {}, {}),
        ("a: [{when: y, fields: {b: {from: x}}}]", {"x": "t"}, {}),
        (
            "a: [{each: x, fields: {b: {from: c}}}]",
            {"x": [{"c": 1}, None, "t", {}, {"c": 2}]},
            {"a": [{"b": "1"}, {"b": "2"}]},
        ),
        (
            "a: [{each: x, fields: {b: {from: c}, d: {from: $.e}}}]",
            {"x": [{"c": 1}], "e": 2},
            {"a": [{"b": "1", "d": "2"}]},
        ),
        ("a: [{each: x, when: c > 1, fields: {b: {from: c}}}]", {"x": [{"c": 1}, {"c": 2}]}, {"a": [{"b": "2"}]}),
        ("a: [{each: x, distinct: true, fields: {b: {from: c}}}]", {"x": [{"c": 1}] * 3}, {"a": [{"b": "1"}]}),
        ("a: [{each: x, fields: {b: {from: c}}}]", {"x": [{"c": 1}] * 2}, {"a": [{"b": "1"}] * 2}),
        ("a: [{each: x, fields: {b: {from: c}}}]", {"x": {"c": 1}}, {}),
        (
            "a: [{each: x, fields: {b: [{each: y, fields: {c: {from: z}}}]}}]",
            {"x": [{"y": [{"z": 1}, {"z": 2}]}, {"y": []}, {"y": [{"z": 3}]}]},
            {"a": [{"b": [{"c": "1"}, {"c": "2"}]}, {"b": [{"c": "3"}]}]},
        ),
    ],
)
def test_what_a_rule_makes_of_a_payload(rule: str, data: Json, expected: Json) -> None:
    assert fields(rule, data, program_id="973", identity="100458-7") == expected


def test_what_cannot_be_read_is_left_out_and_named() -> None:
    rules = "x:\n  event_type: e\n  fields: {a: {from: x.y, as: number}, b: {from: [p, q], as: moment}, c: {from: r}}"
    mapped, unreadable = run(rules, {"x": {"y": "secret"}, "p": "soon", "q": {"a": 1}, "r": "t"})
    assert mapped.fields == {"c": "t"}
    assert unreadable == ["x.y", "q"]


def test_the_first_variant_whose_condition_holds_applies() -> None:
    rules = """x:
    - {event_type: one, when: a is B}
    - {event_type: two, when: a, identities: customer id only}
    - {event_type: three}"""
    assert [run(rules, {"a": a})[0].event_type for a in ("b", "c", None)] == ["one", "two", "three"]
    assert [run(rules, {"a": a})[0].variant for a in ("b", "c", None)] == [0, 1, 2]
    assert [run(rules, {"a": a})[0].customer_id_only for a in ("b", "c", None)] == [False, True, False]


@pytest.mark.parametrize(
    ("data", "expected", "unreadable"),
    [
        ({}, CREATED_MS, []),
        ({"p": CREATED_MS - 5}, CREATED_MS - 5, []),
        ({"p": CREATED_MS, "q": CREATED_MS - 9}, CREATED_MS, []),
        ({"p": CREATED_MS + 1, "q": CREATED_MS - 9}, CREATED_MS - 9, []),
        ({"p": CREATED_MS + 1}, CREATED_MS, []),
        ({"p": 156474848484, "q": CREATED_MS - 9}, CREATED_MS - 9, ["p"]),
        ({"p": str(CREATED_MS // 1000)}, CREATED_MS // 1000 * 1000, []),
    ],
)
def test_the_timestamp_is_the_business_moment_unless_it_lies_after_the_storing(
    data: Json, expected: int, unreadable: list[str]
) -> None:
    mapped, found = run("x: {event_type: e, timestamp: [p, q]}", data)
    assert (mapped.timestamp_ms, found) == (expected, unreadable)


def test_a_text_of_a_rule_is_never_code() -> None:
    rule = "a: {value: \"'); raise SystemExit('\"}, b: {from: x, prefix: \"'+0+'\", as: text}"
    assert fields(rule, {"x": "t"}) == {"a": "'); raise SystemExit('", "b": "'+0+'t"}


def test_the_deepest_lists_that_the_language_takes_are_compiled() -> None:
    rule = f"a: {'[{each: l, fields: {b: ' * 14}{{from: l, as: id}}{'}}]' * 14}"
    data: Any = {"l": 7}
    expected: Any = {"b": "7"}
    for _ in range(14):
        data, expected = {"l": [data]}, {"b": [expected]}
    assert fields(rule, data) == {"a": expected["b"]}


# Any rules that can be read, over any payload: an entity or nothing, and what cannot be read is named.

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=3).map(".".join),
    st.sampled_from(
        ["$.a", "'a[b=c].b'", "'a[b=$.c].a'", "'@till_code'", "'@created_ms'", "'@identity'", "'@missing'"]
    ),
)
TESTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "not "]),
    st.sampled_from(["a", "b.c"]),
    st.sampled_from(["", " > 1", " is c"]),
)
WHEN = st.one_of(
    st.just(""), st.lists(TESTS, min_size=1, max_size=2).map(lambda tests: f", when: {' and '.join(tests)}")
)
LEAF = st.one_of(
    st.builds("{{from: [{}, {}], as: {}{}}}".format, PATHS, PATHS, st.sampled_from(CONVERSIONS), WHEN),
    st.builds("{{from: {}, choose: {{c: d}}{}}}".format, PATHS, WHEN),
    st.builds("{{from: {}, as: slug, prefix: p/}}".format, PATHS),
    st.just("{value: 1.5}"),
)
RULE = st.recursive(
    LEAF,
    lambda inner: (
        st.builds("{{{}: {}}}".format, NAMES, inner)
        | st.builds("[{{each: {}, distinct: true{}, fields: {{{}: {}}}}}]".format, PATHS, WHEN, NAMES, inner)
        | st.builds("[{{fields: {{a: {}, b: {}}}}}]".format, inner, inner)
    ),
    max_leaves=4,
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "c", "null", "2026-01-31", "7.5", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=examples(60), deadline=None)
@given(RULE, RULE, st.dictionaries(NAMES, JSON, max_size=3))
def test_rules_that_can_be_read_survive_every_payload(one: str, two: str, data: Json) -> None:
    rules = f"x: [{{event_type: e, when: a, fields: {{t: {one}}}}}, {{event_type: f, fields: {{t: {one}, u: {two}}}}}]"
    mapped, unreadable = run(rules, data, till_code="T1", identity="7", missing=["store"])
    assert mapped.fields.keys() <= {"t", "u"}
    assert (mapped.variant, mapped.event_type) in ((0, "e"), (1, "f"))
    assert all(isinstance(path, str) for path in unreadable)
