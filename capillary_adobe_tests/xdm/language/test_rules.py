"""The language of the mapping files: what it says, and that every error names file, line and column."""

from __future__ import annotations

import pytest

from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.language.rule_model import IDENTITY
from capillary_adobe.xdm.language.rules import CONVERSIONS, GENERIC, Leaf, MappingError, load_rules, parse_rules

HEAD = "pointsIssued:\n  event_type: loyalty.pointsIssued\n"
SHARED = "program:\n  program.id: {from: '@program_id'}\n"


def error(text: str, shared: str = SHARED) -> str:
    with pytest.raises(MappingError) as told:
        parse_rules({"points.yaml": text, "shared.yaml": shared})
    return str(told.value)


def test_the_shipped_files_map_the_14_events_what_else_a_profile_needs_and_the_generic_rule() -> None:
    assert set(load_rules()) == {
        *("pointsIssued", "pointsRedeemed", "pointsExpired", "pointsExpiryReminder", "pointsExpiryChange"),
        *("tierUpgraded", "tierDowngraded", "tierRenewed", "tierDowngradeReminder"),
        *("customerAdded", "customerUpdated", "transactionAdded", "transactionUpdated", "promotionEarned"),
        *("loyaltyCustomerMerge", "customerSubscription", "identifierReleased"),
        *("issuedPointsReversed", "redeemedPointsReversed", "promisedToCurrentPointsConversion"),
        *("pointsTransferredInitiated", "pointsTransferredReceived", "manualPointsAdjustment"),
        GENERIC,
    }


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("a: {from: x}\n    a.b: {from: y}", "5:5: pointsIssued: a is written by another rule (points.yaml:4:5). Two"),
        ("a.b: {from: x}\n    a: {from: y}", "5:5: pointsIssued: a is written by another rule (points.yaml:4:5)"),
        ("a.b: {from: x}\n    a: {b: {from: y}}", "5:9: pointsIssued: a: a.b is written by another rule"),
        ("a: [{fields: {x: {value: 1}}}]\n    a.b: {from: y}", "5:5: pointsIssued: a is written by another"),
        ("a: {from: x, to: y}", "4:18: pointsIssued: a: unknown option to. Known: as, choose, description, edge, from"),
        ("a: {form: x}", "4:9: pointsIssued: a: unknown option form. Did you mean from? Known: as,"),
        ("a: [{eech: x}]", "4:10: pointsIssued: a: unknown option eech. Did you mean each? Known: distinct, each, f"),
        ("a: [x]", "4:9: pointsIssued: a: expected the options distinct, each, fields, when."),
        ("a: 5", "4:8: pointsIssued: a: expected target fields with their rules."),
        ("[a]", "4:5: pointsIssued: expected target fields with their rules."),
        ("a..b: {from: x}", "4:5: pointsIssued: a..b is no target; expected a or a.b."),
        ("a: {from: '@colour'}", "4:16: pointsIssued: a: enriched events have no column colour."),
        (
            "a: {from: '@store_cod'}",
            "4:16: pointsIssued: a: enriched events have no column store_cod. Did you mean store_c",
        ),
        ("a: {from: x, as: money}", "4:22: pointsIssued: a: `as` is one of text, id, slug, number, integer"),
        ("a: {from: x, as: moment, edge: noon}", "4:36: pointsIssued: a: `edge` is `start` or `end` of the day."),
        ("a: {from: x..y}", "4:17: pointsIssued: a: x..y is no path; expected a.b or a.list[key=Value].b."),
        (
            "a: {from: 'x.y[key]'}",
            "4:18: pointsIssued: a: x.y[key] is no path; expected a.b or a.list[key=Value].b, and not",
        ),
        ("a: {from: [x, 'y z']}", "4:20: pointsIssued: a: y z is no path"),
        ("a: {from: [[x]]}", "4:16: pointsIssued: a: expected a path, such as a.b or a.list[key=Value].b."),
        ("a: {from: 'x[k=$.y..z].v'}", "4:24: pointsIssued: a: y..z is no path"),
        ("a: {from: x, when: y == 1}", "4:24: pointsIssued: a: y == 1 is no condition; expected `path`, `not path`"),
        ("a: {from: x, when: z and y > many}", "4:34: pointsIssued: a: y > many compares with many, which is no num"),
        ("a: {from: x, when: y and}", "4:29: pointsIssued: a: `and` at the end or the beginning is no condition"),
        ("a: {from: x, when: ' '}", "4:24: pointsIssued: a: `when` is empty. Write a condition, or leave it out."),
        ("a: {from: x, when: [y]}", "4:24: pointsIssued: a: expected a condition as text, such as `amount > 0`."),
        ("a: {from: x, when: 'y is z\\x41 1'}", "4:25: pointsIssued: a: y is z\\x41 1 is no condition"),
        ('a: {from: x, when: "y is z\\x41 1"}', "4:24: pointsIssued: a: y is zA 1 is no condition"),
        ("a: [{each: 'x y', fields: {}}]", "4:17: pointsIssued: a: x y is no path"),
        ("a: [{each: x, distinct: 1}]", "4:29: pointsIssued: a: `distinct` is true or false."),
        ("a: {from: []}", "4:5: pointsIssued: a needs a source under `from`, or a `value`."),
        ("a: {as: text}", "4:5: pointsIssued: a needs a source under `from`, or a `value`."),
        ("a: {value: null}", "4:5: pointsIssued: a needs a source under `from`, or a `value`."),
        ("a: {from: x, value: 1}", "4:25: pointsIssued: a has both `from` and `value`. Keep one of them."),
        ("a: {value: .nan}", "4:16: pointsIssued: a: `value` is one text, number, true or false."),
        ("a: {from: x, choose: y}", "4:26: pointsIssued: a: `choose` holds one entry per source text."),
        ("a: {from: x, choose: {}}", "4:26: pointsIssued: a: `choose` holds one entry per source text. Give each a ta"),
        ("a: {from: x, choose: {b: null}}", "4:26: pointsIssued: a: `choose` holds one entry per source text. Give"),
        ("a: {value: 1, as: text}", "4:23: pointsIssued: a: `as` converts a source, and a `value` is written as it st"),
        ("a: {value: 1, choose: {b: c}}", "4:27: pointsIssued: a: `choose` converts a source, and a `value` is"),
        ("a: {from: x, edge: start}", "4:24: pointsIssued: a: `edge` is for `as: moment`, not beside `as: text`."),
        (
            "a: {from: x, as: number, prefix: c}",
            "4:38: pointsIssued: a: `prefix` stands before a converted text, not beside `as",
        ),
        (
            "a: {from: x, choose: {b: c}, prefix: c}",
            "4:42: pointsIssued: a: `prefix` stands before a converted text, not besi",
        ),
        (f"{'a.' * 15}a: {{from: x}}", "4:5: pointsIssued: a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a lies deeper than 15 names."),
        (
            f"a: {'[{fields: {b: ' * 15}{{from: x}}{'}}]' * 15}",
            "4:215: pointsIssued: a: b: b: b: b: b: b: b: b: b: b: b: b:",
        ),
        ("a: {from: x, unit: }", "4:23: pointsIssued: a: `unit` is a text."),
        ("a: {from: x, identity: [Email]}", "4:28: pointsIssued: a: `identity` is a text."),
        ("a: [{fields: {b: {from: x, oops: 1}}}]", "4:32: pointsIssued: a: b: unknown option oops. Known: as"),
        ("a: {omit: true}", "4:5: pointsIssued: a is not written by the shipped mapping; nothing to omit."),
        ("a: {omit: false}", "4:5: pointsIssued: a: `omit` is true and stands alone."),
        ("a: {omit: true, from: x}", "4:5: pointsIssued: a: `omit` is true and stands alone."),
        ("a: [{fields: {b: {omit: true}}}]", "4:19: pointsIssued: a: `omit` takes a whole list away, not a field of"),
    ],
)
def test_a_wrong_field_is_told_with_file_and_place(fields: str, told: str) -> None:
    assert error(f"{HEAD}  fields:\n    {fields}\n").startswith(f"points.yaml:{told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "pointsIssued: {event_type: a, fields: {}, color: red}",
            "1:43: pointsIssued: unknown option color. Known: ev",
        ),
        ("pointsIssued: {fields: {}}", "1:15: pointsIssued needs an event_type"),
        ("pointsIssued: {event_type: ''}", "1:28: pointsIssued needs an event_type"),
        ("pointsIssued: text", "1:15: pointsIssued: expected the options"),
        (
            "pointsIssued: {event_type: a, use: [programme]}",
            "1:37: pointsIssued uses programme, which shared.yaml does not",
        ),
        (
            "pointsIssued: {event_type: a, use: [program, program]}",
            "1:46: pointsIssued uses program twice. Keep one of th",
        ),
        (
            "pointsIssued: {event_type: a, identities: few}",
            "1:43: pointsIssued: identities is `all` or `customer id only`.",
        ),
        ("pointsIssued: {event_type: a, timestamp: ['x y']}", "1:44: pointsIssued: x y is no path"),
        ("pointsIssued: {event_type: a, when: '>'}", "1:38: pointsIssued: > is no path"),
        ("pointsIssued: [{event_type: a, when: x < y}]", "1:42: pointsIssued: x < y compares with y"),
        ("pointsIssued:\n  event_type: a\n  when: >\n    a b\n", "3:9: pointsIssued: a b is no condition"),
        ("- a", "1:1: must hold one entry per event type."),
        ("a: [", "1:5: is not usable YAML: expected the node content"),
        ("a: b\nc: \x07", "2:4: is not usable YAML: it holds the control character U+0007. Take it out."),
        ("a: 1\r\n\0", "2:1: is not usable YAML: it holds the control character U+0000."),
        ('a: 1\nb: "\\UFFFFFFFF"', "2:7: is not usable YAML: "),
        ("a: !!int b", "1:4: b is not what YAML takes it for. Put a text in quotes."),
        (
            "a: {from: b[c=d].e}",
            "1:12: is not usable YAML: expected ',' or '}', but got '['. Put a text with brackets in q",
        ),
        ("a: 1\n---\nb: 2", "2:1: is not usable YAML: expected a single document in the stream but found another"),
        ("a: {<<: {? [b] : c}}", "1:12: is no name. A key is one word or text."),
        ("a: {<<: {b: 1, b: 2}}", "1:16: b is written twice. Keep one of them."),
        ("a: &a [*a]", "1:4: holds itself. An alias must not stand within its own anchor."),
        ("a: !!binary aGk=", "1:4: has the tag tag:yaml.org,2002:binary. Write plain text"),
        ("? [a]\n: b", "1:3: is no name. A key is one word or text."),
        (f"a: {'[' * 1000}{']' * 1000}", "1:1: is nested too deeply to be a mapping."),
        (f"{HEAD}{HEAD}", "3:1: pointsIssued is written twice. Keep one of them."),
        (f"{HEAD}  event_type: other\n", "3:3: event_type is written twice. Keep one of them."),
        (
            f"{HEAD}  use: [program]\n  fields:\n    program.id: {{from: x}}\n",
            "5:5: pointsIssued: program.id is written by another rule (shared.yaml:2:3). Two rules must not write one path.",
        ),
        ("pointsIssued: {event_type: a, use: program}", "1:36: pointsIssued: `use` and `timestamp` are lists."),
        ("pointsIssued: {event_type: a, timestamp: x}", "1:42: pointsIssued: `use` and `timestamp` are lists."),
        ("pointsIssued: []", "1:15: pointsIssued needs a last variant without `when`"),
        ("pointsIssued: [{event_type: a, when: b}]", "1:15: pointsIssued needs a last variant without `when`"),
    ],
)
def test_a_wrong_rule_is_told_with_file_and_place(text: str, told: str) -> None:
    assert error(text).startswith(f"points.yaml:{told}")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = f"{HEAD}  fields:\n    a: {{from: x..y}}\n    b: {{as: text}}\n    c: {{from: x, as: money}}\nother: 5\n"
    places = [line.partition(" ")[0] for line in error(text, "bad: {x: {from: '@nowhere'}}").splitlines()]
    assert places == [
        "points.yaml:4:17:",
        "points.yaml:5:5:",
        "points.yaml:6:22:",
        "points.yaml:7:8:",
        "shared.yaml:1:18:",
    ]


def test_a_block_of_the_shared_file_is_judged_where_it_stands() -> None:
    told = error(f"{HEAD}  use: [bad]\n", "bad: {x: {from: '@nowhere'}}")
    assert told == "shared.yaml:1:18: bad: x: enriched events have no column nowhere."


def test_two_blocks_must_not_write_one_path() -> None:
    told = error(f"{HEAD}  use: [one, two]\n", "one: {x: {from: a}}\ntwo: {x: {from: b}}")
    assert told.startswith("shared.yaml:2:7: pointsIssued (use two): x is written by another rule (shared.yaml:1:7).")


def test_two_files_must_not_map_one_event() -> None:
    with pytest.raises(MappingError) as told:
        parse_rules({"a.yaml": HEAD, "b.yaml": HEAD})
    words = "b.yaml:1:1: pointsIssued has rules in another file too (a.yaml:1:1). Keep one of them."
    assert str(told.value) == words


def test_an_alias_gives_what_its_anchor_has() -> None:
    rules = parse_rules(
        {"a.yaml": "x: {event_type: a, fields: {a: &one {from: b}, c: *one}}\ny: {<<: {event_type: b}}"}
    )
    assert rules["x"][0].fields.children["a"] == rules["x"][0].fields.children["c"]
    assert rules["y"][0].event_type == "b"


def test_words_that_yaml_takes_for_something_else_are_taken_as_written() -> None:
    rules = parse_rules(
        {
            "a.yaml": "x: {event_type: a, fields: {a: {from: f, choose: {no: on, 1: 2026-01-31}}, b: {value: 2026-01-31}}}"
        }
    )
    a, b = rules["x"][0].fields.children.values()
    assert isinstance(a, Leaf)
    assert isinstance(b, Leaf)
    assert (a.choices, b.constant) == ((("no", "on"), ("1", "2026-01-31")), "2026-01-31")


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_every_conversion_is_part_of_the_language(conversion: str) -> None:
    parse_rules({"a.yaml": f"x:\n  event_type: a\n  fields: {{a: {{from: b, as: {conversion}}}}}"})


@pytest.mark.parametrize("column", [*ENRICHED_EVENTS.names, IDENTITY])
def test_every_enriched_column_may_be_a_source(column: str) -> None:
    parse_rules({"a.yaml": f"x:\n  event_type: a\n  fields: {{a: {{from: '@{column}'}}}}"})
