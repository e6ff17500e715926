"""The check of a mapping: sources that do not exist, units that do not fit, fields that must be no identity."""

from __future__ import annotations

import pytest

from capillary_adobe.xdm.checking.mapping import check_mapping
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe_tests.xdm.checking.checked import check, found


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "a: {from: colour}",
            "own.yaml:3:31: error: pointsIssued: _tenant.brand.a reads colour: pointsIssued has no field colour in",
        ),
        (
            "a: {from: [loyaltyEventId, colour]}",
            "own.yaml:3:48: error: pointsIssued: _tenant.brand.a reads colour: pointsIssued has",
        ),
        (
            "a: {from: totalPointIssued}",
            "no field totalPointIssued in the published payloads. Did you mean totalPointsIssued? If yo",
        ),
        (
            "a: {from: enteredBy.stor.code}",
            "has no field enteredBy.stor in the published payloads. Did you mean store? If your paylo",
        ),
        ("a: {from: colour}", "If your payloads have it, declare colour in events.yaml under custom_sources."),
        (
            "a: {value: 1, when: not colour is RED}",
            "own.yaml:3:45: error: pointsIssued: _tenant.brand.a reads colour: pointsIssued",
        ),
        (
            "a: {value: 1, when: enteredBy is 5}",
            "own.yaml:3:41: error: pointsIssued: _tenant.brand.a reads enteredBy, which is an object. Name a field in it.",
        ),
        ("a: {value: 1, when: promotionalPointsIssued > 0}", "reads promotionalPointsIssued, which is a list."),
        (
            "a: {from: promotionalPointsIssued.promotionType}",
            "promotionalPointsIssued is a list. Use `each`, or [key=Value] for one",
        ),
        (
            "a: {from: promotionalPointsIssued}",
            "reads promotionalPointsIssued, which is a list. Use `each`, or [key=Value] for one elem",
        ),
        ("a: {from: enteredBy}", "reads enteredBy, which is an object. Name a field in it."),
        ("a: {from: 'enteredBy[id=1].id'}", "enteredBy is no list. Leave the brackets or `each` out."),
        (
            "a: {from: 'promotionalPointsIssued[kind=A].promotionType'}",
            "has no field promotionalPointsIssued[].kind in the published",
        ),
        (
            "a: {from: 'promotionalPointsIssued[promotionType=$.colour].promotionType'}",
            "own.yaml:3:70: error: pointsIssued: _tenant.",
        ),
        (
            "a: {from: '@missing'}",
            "own.yaml:3:32: error: pointsIssued: _tenant.brand.a reads @missing, which is a list.",
        ),
        (
            "a: {from: loyaltyProgramDetails.isDefault, as: integer}",
            "as integer, but it holds boolean. Choose another conversion.",
        ),
        ("a: {from: totalPointsIssued, as: boolean}", "as boolean, but it holds points. Choose another conversion."),
        ("a: {from: totalPointsIssued, as: moment}", "as moment, but it holds points. Choose another conversion."),
        (
            "a: [{each: colours, fields: {b: {value: 1}}}]",
            "own.yaml:3:32: error: pointsIssued: _tenant.brand.a[] reads colours: points",
        ),
        (
            "a: [{each: enteredBy, fields: {b: {from: id}}}]",
            "goes through enteredBy, which is no list of the pa",
        ),
        ("a: [{each: '@missing', fields: {b: {value: 1}}}]", "goes through @missing, which is no list of"),
        (
            "a: [{each: promisedPointsIssued, when: kind, fields: {b: {value: 1}}}]",
            "reads kind: pointsIssued has no field promisedPo",
        ),
        (
            "a: [{each: promisedPointsIssued, fields: {b: {from: kind}}}]",
            "reads kind: pointsIssued has no field promisedPointsIssued[].ki",
        ),
        (
            "a: [{each: promisedPointsIssued, fields: {b: {from: $.kind}}}]",
            "reads $.kind: pointsIssued has no field kind in the publi",
        ),
        ("a: {from: customFields}", "pointsIssued has no field customFields in the published payloads."),
    ],
)
def test_a_source_that_does_not_exist_or_cannot_be_read_is_told(fields: str, told: str) -> None:
    assert any(told in one for one in found(f"_tenant.brand: {{{fields}}}")), found(f"_tenant.brand: {{{fields}}}")


def test_a_timestamp_is_a_source_too() -> None:
    told = [
        str(one)
        for one in check({"own.yaml": "tierUpgraded: {timestamp: [enteredAt, upgradeType, previousTierNumber]}"})
    ]
    assert [one.partition(" If your")[0] for one in told] == [
        "own.yaml:1:28: error: tierUpgraded: timestamp reads enteredAt: tierUpgraded has no field enteredAt in the published "
        "payloads. Did you mean enteredBy?",
        "own.yaml:1:52: error: tierUpgraded: timestamp reads previousTierNumber as moment, but it holds count. Choose another "
        "conversion.",
    ]


def test_fields_that_the_organisation_defines_are_known_where_they_may_stand() -> None:
    rule = "_tenant.brand.a: {from: 'customFields[key=a].value'}"
    assert found(rule, "customerAdded") == found(rule, "transactionUpdated") == found(rule, "promotionEarned") == []
    assert found(rule, "tierUpgraded") != []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "commerce.order.priceTotal: {from: totalPointsIssued, as: number}",
            "error: pointsIssued: commerce.order.priceTotal counts "
            "money, but totalPointsIssued is in points. Use another field.",
        ),
        (
            "commerce.order.priceTotal: {from: totalPointsIssued, as: number, unit: points}",
            "counts money, not points. Write to a field",
        ),
        (
            "commerce.order.priceTotal: {from: totalPointsIssued, as: number, unit: money}",
            "says `unit: money`, but totalPointsIssued is",
        ),
        (
            "loyalty.pointsRedemption: [{fields: {value: {from: '@org_id', as: number, unit: money}}}]",
            "loyalty.pointsRedemption[].value counts points, not money.",
        ),
        (
            "_tenant.capillary.points.total: {from: '@org_id', as: number, unit: money}",
            "_tenant.capillary.points.total counts points, no",
        ),
        (
            "_tenant.brand.a: {from: '@org_id', as: number}",
            "warning: pointsIssued: _tenant.brand.a is a number without a unit.",
        ),
        ("_tenant.brand.a: {from: totalPointsIssued, as: number}", "Say what it counts, such as `unit: points`."),
    ],
)
def test_a_unit_that_does_not_fit_is_told(fields: str, told: str) -> None:
    assert [one for one in found(fields) if told in one] == found(fields) != []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            "{from: loyaltyEventId, identity: memberCrad}",
            "names the identity namespace memberCrad, which is neither a standard one nor "
            "declared. Did you mean memberCard?",
        ),
        ("{from: loyaltyEventId, identity: zebra}", "nor declared. Declare it in events.yaml under namespaces."),
        (
            "{from: '@org_id', as: integer, identity: memberCard}",
            "is an identity, and `as: integer` gives no text. Convert with `as: id`.",
        ),
        (
            "{value: a, identity: memberCard}",
            "is the same for many customers, which would join them. Take `identity` away.",
        ),
        (
            "{from: loyaltyEventId, choose: {a: b}, identity: memberCard}",
            "is the same for many customers, which would join them.",
        ),
        (
            "{from: loyaltyEventId, identity: capillaryCustomerId}",
            "whose one form is that of identityMap. Take it from @identity.",
        ),
        (
            "{from: customerIdentifiers.instore.mobile, identity: memberCard}",
            "is a contact. Contacts become identities in identityMap",
        ),
        ("{from: loyaltyEventId, identity: Email}", "is a contact. Contacts become identities in identityMap alone"),
    ],
)
def test_an_identity_that_must_not_be_one_is_told(rule: str, told: str) -> None:
    findings = found(f"_tenant.brand.a: {rule}")
    assert [
        one.startswith("own.yaml:3:5: error: pointsIssued: _tenant.brand.a ") and told in one for one in findings
    ] == [True]


def test_a_deleted_customer_has_no_other_identity() -> None:
    told = found("_tenant.brand.a: {from: accountId, as: id, identity: memberCard}", "customerUpdated")
    assert [one.partition("_tenant.brand.a ")[2] for one in told] == [
        "is an identity in a variant with `identities: customer id only`. Take the field out of it."
    ]


def test_an_identity_in_a_list_is_told() -> None:
    mapping = with_tenant(
        {"own.yaml": "pointsIssued: {fields: {_tenant.a: [{fields: {b: {from: loyaltyEventId, identity: ECID}}}]}}"}
    )
    schema = extended_schema("events", "acme", mapping.rules)
    assert [one.words for one in check_mapping(mapping, schema, "acme")] == [
        "pointsIssued: _tenant.a[].b lies in a list, where no field can be an identity. Take `identity` away."
    ]
