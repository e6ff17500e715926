"""The language of the mapping files: what it says, and that every error names file and place."""

from __future__ import annotations

import pytest

from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.rules import CONVERSIONS, GENERIC, MappingError, load_rules, parse_rules

HEAD = "pointsIssued:\n  event_type: loyalty.pointsIssued\n"
SHARED = "program:\n  program.id: {from: '@program_id'}\n"


def error(text: str, shared: str = SHARED) -> str:
    with pytest.raises(MappingError) as told:
        parse_rules({"points.yaml": text, "shared.yaml": shared})
    return str(told.value)


def test_the_shipped_files_map_the_14_events_and_the_generic_rule() -> None:
    assert set(load_rules()) == {
        *("pointsIssued", "pointsRedeemed", "pointsExpired", "pointsExpiryReminder", "pointsExpiryChange"),
        *("tierUpgraded", "tierDowngraded", "tierRenewed", "tierDowngradeReminder"),
        *("customerAdded", "customerUpdated", "transactionAdded", "transactionUpdated", "promotionEarned"),
        GENERIC,
    }


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("a: {from: x}\n    a.b: {from: y}", "points.yaml: pointsIssued: a is written by another rule"),
        ("a.b: {from: x}\n    a: {from: y}", "points.yaml: pointsIssued: a is written by another rule"),
        ("a.b: {from: x}\n    a: {b: {from: y}}", "points.yaml: pointsIssued: a: b is written by another rule"),
        ("a: [{fields: {x: {value: 1}}}]\n    a.b: {from: y}", "points.yaml: pointsIssued: a is written by another"),
        ("a: {from: x, to: y}", "points.yaml: pointsIssued: a: unknown option to. Known: as, choose, edge, from"),
        ("a: [{eech: x}]", "points.yaml: pointsIssued: a: unknown option eech. Known: distinct, each, fields, when."),
        ("a: [x]", "points.yaml: pointsIssued: a: expected the options distinct, each, fields, when."),
        ("a: 5", "points.yaml: pointsIssued: a: expected target fields with their rules."),
        ("[a]", "points.yaml: pointsIssued: expected target fields with their rules."),
        ("a: {from: '@colour'}", "points.yaml: pointsIssued: a: enriched events have no column colour."),
        ("a: {from: x, as: money}", "points.yaml: pointsIssued: a: `as` is one of text, id, slug, number, integer"),
        (
            "a: {from: x, as: moment, edge: noon}",
            "points.yaml: pointsIssued: a: `edge` is `start` or `end` of the day.",
        ),
        ("a: {from: x..y}", "points.yaml: pointsIssued: a: x..y is no path; expected a.b or a.list[key=Value].b"),
        ("a: {from: 'x[key]'}", "points.yaml: pointsIssued: a: x[key] is no path"),
        ("a: {from: [x, 'y z']}", "points.yaml: pointsIssued: a: y z is no path"),
        ("a: {from: 'x[k=$.y..z].v'}", "points.yaml: pointsIssued: a: y..z is no path"),
        (
            "a: {from: x, when: y == 1}",
            "points.yaml: pointsIssued: a: y == 1 is no condition; expected `path`, `not path`",
        ),
        (
            "a: {from: x, when: y > many}",
            "points.yaml: pointsIssued: a: y > many compares with many, which is no number.",
        ),
        ("a: {from: x, when: y and}", "points.yaml: pointsIssued: a: y and is no condition"),
        ("a: [{each: 'x y', fields: {}}]", "points.yaml: pointsIssued: a: x y is no path"),
        ("a: {from: []}", "points.yaml: pointsIssued: a needs a source under `from`, or a `value`."),
        ("a: {value: null}", "points.yaml: pointsIssued: a needs a source under `from`, or a `value`."),
        ("a: {from: x, choose: y}", "points.yaml: pointsIssued: a: `choose` holds one entry per source text."),
        ("a: [{fields: {b: {from: x, oops: 1}}}]", "points.yaml: pointsIssued: a: b: unknown option oops"),
    ],
)
def test_a_wrong_field_is_told_with_file_and_place(fields: str, told: str) -> None:
    assert error(f"{HEAD}  fields:\n    {fields}\n").startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "pointsIssued: {event_type: a, fields: {}, color: red}",
            "points.yaml: pointsIssued: unknown option color. Known:",
        ),
        ("pointsIssued: {fields: {}}", "points.yaml: pointsIssued needs an event_type"),
        ("pointsIssued: text", "points.yaml: pointsIssued: expected the options"),
        (
            "pointsIssued: {event_type: a, use: [programme]}",
            "points.yaml: pointsIssued uses programme, which shared.yaml",
        ),
        (
            "pointsIssued: {event_type: a, identities: few}",
            "points.yaml: pointsIssued: identities is `all` or `customer id",
        ),
        ("pointsIssued: {event_type: a, timestamp: ['x y']}", "points.yaml: pointsIssued: x y is no path"),
        ("pointsIssued: {event_type: a, when: '>'}", "points.yaml: pointsIssued: > is no path"),
        ("pointsIssued: [{event_type: a, when: x < y}]", "points.yaml: pointsIssued: x < y compares with y"),
        ("- a", "points.yaml must hold one entry per event type."),
        ("a: [", "points.yaml is not usable YAML: "),
        (f"{HEAD}{HEAD}", "points.yaml is not usable YAML: pointsIssued is written twice"),
        (f"{HEAD}  event_type: other\n", "points.yaml is not usable YAML: event_type is written twice"),
        (
            f"{HEAD}  use: [program]\n  fields:\n    program.id: {{from: x}}\n",
            "points.yaml: pointsIssued: program.id is written by another rule",
        ),
        (
            f"{HEAD}  use: [program, program]\n",
            "points.yaml: pointsIssued (use program): program.id is written by another",
        ),
        ("pointsIssued: {event_type: a, use: program}", "points.yaml: pointsIssued: `use` and `timestamp` are lists."),
        ("pointsIssued: {event_type: a, timestamp: x}", "points.yaml: pointsIssued: `use` and `timestamp` are lists."),
        ("pointsIssued: []", "points.yaml: pointsIssued needs a last variant without `when`"),
        ("pointsIssued: [{event_type: a, when: b}]", "points.yaml: pointsIssued needs a last variant without `when`"),
    ],
)
def test_a_wrong_rule_is_told_with_file_and_place(text: str, told: str) -> None:
    assert error(text).startswith(told)


def test_a_block_of_the_shared_file_is_judged_where_it_is_used() -> None:
    told = error(f"{HEAD}  use: [bad]\n", "bad: {x: {from: '@nowhere'}}")
    assert told == "points.yaml: pointsIssued (use bad): x: enriched events have no column nowhere."


def test_two_files_must_not_map_one_event() -> None:
    with pytest.raises(
        MappingError, match=r"^b\.yaml: pointsIssued has rules in another file too\. Keep one of them\.$"
    ):
        parse_rules({"a.yaml": HEAD, "b.yaml": HEAD})


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_every_conversion_is_part_of_the_language(conversion: str) -> None:
    parse_rules({"a.yaml": f"x:\n  event_type: a\n  fields: {{a: {{from: b, as: {conversion}}}}}"})


@pytest.mark.parametrize("column", ENRICHED_EVENTS.names)
def test_every_enriched_column_may_be_a_source(column: str) -> None:
    parse_rules({"a.yaml": f"x:\n  event_type: a\n  fields: {{a: {{from: '@{column}'}}}}"})
