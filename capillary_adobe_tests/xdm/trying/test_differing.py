"""What a change of the mapping does: to the rules, and to the same events made by both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.xdm.language.mapping_files import shipped, with_tenant
from capillary_adobe.xdm.trying.differing import Difference, Side, concerned, differences
from capillary_adobe.xdm.trying.rule_changes import changed_events, rule_changes
from capillary_adobe_tests.capillary.events import Json, event, raw_batch
from capillary_adobe_tests.xdm.transforming import ACME, INDIA

BASE = Side(shipped().rules, shipped().catalogue)


def side(fields: str, event_name: str = "pointsIssued") -> Side:
    lines = "".join(f"    {line}\n" for line in fields.strip().splitlines())
    mapping = with_tenant({"own.yaml": f"{event_name}:\n  fields:\n{lines}"})
    return Side(mapping.rules, mapping.catalogue)


def rows(*records: Json) -> Iterator[tuple[Any, ...]]:
    for batch in enrich([raw_batch(list(records))], INDIA):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def found(one: Side, other: Side, *records: Json) -> Difference:
    return differences(one, other, rows(*records), ACME, INDIA)


def points(**data: Any) -> Json:
    return event("pointsIssued", data)


def test_a_mapping_is_no_different_from_itself() -> None:
    same = found(BASE, BASE, points(totalPointsIssued=1))
    assert (same.rules, same.differing, same.fields) == ([], 0, {})
    assert changed_events(BASE.rules, dict(BASE.rules)) == set()


def test_rules_that_were_added_removed_and_changed() -> None:
    other = side(
        """
_tenant.shoeSize: {from: size, as: integer}
_tenant.capillary.points.total: {from: sum, as: number, unit: points}
_tenant.capillary.points.balance: {omit: true}"""
    )
    changes = rule_changes(BASE.rules, other.rules)
    assert [(one.event, one.target, one.change) for one in changes] == [
        ("pointsIssued", "_tenant.capillary.points.balance", "removed"),
        ("pointsIssued", "_tenant.capillary.points.total", "changed"),
        ("pointsIssued", "_tenant.shoeSize", "added"),
    ]
    assert (changes[0].rule or "").startswith("shipped/points.yaml:")
    assert changes[1].rule == "own.yaml:4"


def test_an_event_type_or_a_condition_that_changes() -> None:
    mapping = with_tenant(
        {"own.yaml": "pointsIssued:\n  event_type: loyalty.other\n  fields: {_tenant.a: {from: a}}\n"}
    )
    changes = rule_changes(BASE.rules, mapping.rules)
    assert ("(eventType)", "changed") in [(one.target, one.change) for one in changes]


def test_fields_of_entities_are_counted_by_event_and_path() -> None:
    other = side("_tenant.capillary.points.total: {from: sum, as: number, unit: points}\n_tenant.size: {from: size}")
    effect = found(BASE, other, points(totalPointsIssued=1, sum=2, size="m"), points(totalPointsIssued=3), points(x=1))
    total = effect.fields[("pointsIssued", "/_acme/capillary/points/total")]
    assert (total.added, total.removed, total.changed) == (0, 1, 1)
    assert (total.types, total.values) == ("integer → integer", (1, 2))
    assert effect.fields[("pointsIssued", "/_acme/size")].types == "absent → string"
    assert (effect.events, effect.differing) == (3, 2)
    assert not effect.newly_failing


def test_lists_are_counted_under_one_path() -> None:
    other = side("loyalty.pointsGained:\n  - each: promotionalPointsIssued\n    fields: {promotionId: {from: id}}")
    effect = found(BASE, other, points(promotionalPointsIssued=[{"id": "a"}, {"id": "b"}]))
    assert effect.fields[("pointsIssued", "/loyalty/pointsGained/[]/promotionId".replace("/[]", "[]"))].added == 2


def test_events_that_newly_fail_or_pass_have_their_cause_without_values() -> None:
    other = side("commerce.order.currencyCode: {from: money}")
    effect = found(BASE, other, points(money="rupees"), points(money="INR"))
    [((name, cause), count)] = effect.newly_failing.items()
    assert (name, count) == ("pointsIssued", 1)
    assert cause.startswith("wrong_pattern at /commerce/order/currencyCode:")
    assert cause.endswith("(own.yaml:3)")
    assert "rupees" not in cause
    back = found(other, BASE, points(money="rupees"))
    assert not back.newly_failing
    assert list(back.newly_passing.values()) == [1]


def test_events_that_are_newly_mapped_or_ignored() -> None:
    mapping = with_tenant({"own.yaml": "badgeEarned:\n  event_type: loyalty.badge\n  fields: {_tenant.a: {from: a}}\n"})
    other = Side(mapping.rules, mapping.catalogue)
    badge = event("badgeEarned", {"a": "b"})
    assert found(BASE, other, badge).newly_mapped == {"badgeEarned": 1}
    assert found(other, BASE, badge).newly_ignored == {"badgeEarned": 1}


@pytest.mark.parametrize(("name", "expected"), [("pointsIssued", True), ("tierRenewed", False), ("badgeEarned", False)])
def test_only_events_whose_rules_differ_are_tried(name: str, *, expected: bool) -> None:
    assert concerned(BASE, side("_tenant.a: {from: a}"))(name) is expected


def test_a_change_of_the_generic_rule_concerns_events_without_their_own() -> None:
    wanted = concerned(BASE, side("_tenant.a: {from: a}", "'*'"))
    assert wanted("badgeEarned")
    assert not wanted("pointsIssued")
