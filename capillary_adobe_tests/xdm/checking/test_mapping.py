"""The check of a mapping: nothing against the shipped one; of a tenant's, what does not fit the schema or itself."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.xdm.checking.mapping import check_mapping, of_error
from capillary_adobe.xdm.language.mapping_files import shipped, with_tenant
from capillary_adobe.xdm.language.rule_model import MappingError
from capillary_adobe.xdm.schemas import entity_schema
from capillary_adobe.xdm.tenant_schemas import SchemaError
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.checking.checked import check, found


def test_the_shipped_mapping_has_nothing_against_it() -> None:
    assert check_mapping(shipped(), entity_schema("events", "acme"), "acme") == []


def test_a_sound_folder_has_nothing_against_it() -> None:
    own = """
pointsIssued:
  fields:
    _tenant.brand:
      gift: {from: regularPointsIssued, as: number, unit: points}
      everywhere: {from: [everywhere.deep, everywhere], as: id, identity: memberCard}
      first: {from: "promotionalPointsIssued[promotionType=X].promotionPoints", as: number, unit: points}
customerAdded:
  fields:
    _tenant.brand.shoeSize: {from: "customFields[key=shoe_size].value", as: integer, description: Size of the shoe}
    _tenant.brand.colour: {from: "extendedFields[key=colour].value"}
walletToppedUp:
  event_type: loyalty.walletToppedUp
  use: [envelope]
  timestamp: [extra.at]
  fields:
    _tenant.brand.amount: {from: amount, as: number, unit: money, when: extra and not bonuses}
    _tenant.brand.bonuses: [{each: bonuses, fields: {kind: {from: kind}}}]
"""
    assert check({"own.yaml": own}) == []


TARGETS = [
    (
        "loyalty.pointGained: {value: 1}",
        "3:5: error: pointsIssued: loyalty.pointGained is not in the schema: loyalty has no "
        "pointGained. Did you mean pointsGained?",
    ),
    (
        "shoeSize: {value: 1}",
        "3:5: error: pointsIssued: shoeSize is not in the schema: its root has no shoeSize. Fields of "
        "your own stand below _tenant.",
    ),
    (
        "commerce.order.payments.paymentType: {value: cash}",
        "3:5: error: pointsIssued: commerce.order.payments.paymentType is no "
        "field: commerce.order.payments is a list in the schema. Write it as a list of blocks.",
    ),
    (
        "commerce.order: [{fields: {priceTotal: {value: 1}}}]",
        "3:32: error: pointsIssued: commerce.order[].priceTotal is a list in "
        "the mapping, but commerce.order is none in the schema.",
    ),
    (
        "commerce.order: {value: 1}",
        "3:5: error: pointsIssued: commerce.order is an object in the schema. Write its fields instead.",
    ),
    (
        "_acme.capillary.points.total: {value: 1}",
        "3:5: error: pointsIssued: _acme.capillary.points.total names the tenant. Write _tenant in place of _acme.",
    ),
    (
        "commerce.order.priceTotal._tenant.gift: {value: 1}",
        "commerce.order.priceTotal has no _tenant. Fields of your own stand below _tenant.",
    ),
    (
        "_id: {value: a}",
        "3:5: error: pointsIssued: _id is written for every entity without a rule. Take this rule out.",
    ),
    (
        "identityMap.Email: [{fields: {id: {value: a}}}]",
        "error: pointsIssued: identityMap.Email[].id is written for every",
    ),
    (
        "commerce.order.priceTotal: {from: loyaltyEventId}",
        "takes a number, `as: text` gives a text. Convert with `as: number`.",
    ),
    (
        "commerce.order.purchaseID: {from: programCurrentPoints, as: number}",
        "takes a text, `as: number` gives a number. Convert wi",
    ),
    (
        "_tenant.capillary.tier.number: {from: programCurrentPoints, as: number, unit: points}",
        "takes an integer, `as: number` gives",
    ),
    (
        "_tenant.capillary.redemption.isGroup: {from: loyaltyEventId, as: integer}",
        "takes a boolean, `as: integer` gives an integer",
    ),
    (
        "commerce.order.createdDate: {from: loyaltyEventId}",
        "takes the format date-time, which any text is not. Convert with `as: mom",
    ),
    (
        "channel: {_id: {from: loyaltyEventId}}",
        "channel._id takes the format uri-reference, which any text is not. Convert with `as:",
    ),
    (
        "channel: {_id: {value: a}, _type: {from: loyaltyEventId, as: slug}}",
        "channel._type takes the format uri, which any text is ",
    ),
    (
        "channel: {_id: {value: a}, _type: {from: loyaltyEventId, as: slug, prefix: 'a b://'}}",
        "channel._type takes the format uri, which any text is ",
    ),
    (
        "channel: {_id: {value: 'a b'}}",
        'channel._id does not take the constant \'a b\': "a b" is not a "uri-reference".',
    ),
    (
        "channel: {_id: {value: a}, _type: {from: notes, choose: {a: b}}}",
        'does not take \'b\' of `choose`: "b" is not a "uri".',
    ),
    (
        "channel: {_id: {value: a}, mode: {from: loyaltyEventId}}",
        "takes one of push, pull, bidirectional. Translate with `choose`.",
    ),
    (
        "commerce.order.orderType: {value: often}",
        'does not take the constant \'often\': "often" is not one of "checkout"',
    ),
    (
        "commerce.order.currencyCode: {from: loyaltyEventId}",
        "takes a currency code (^[A-Z]{3}$). Convert with `as: currency`.",
    ),
    (
        "commerce.order.currencyCode: {from: '@created_ms', as: moment}",
        "takes text that matches ^[A-Z]{3}$, and a moment does not.",
    ),
    (
        "commerce.order.orderType: {from: '@currency', as: currency}",
        "takes one of checkout, instant_purchase. Translate",
    ),
    (
        "commerce.purchases.id: {value: a}",
        "3:5: error: pointsIssued: commerce.purchases.value is required by the schema and no rule "
        "writes it. Write it too, or leave the others out.",
    ),
    (
        "productListItems: [{fields: {name: {value: a}}}]",
        "3:24: error: pointsIssued: productListItems[].SKU is required by the sch",
    ),
    (
        "channel: {_id: {from: '@till_code', as: slug}, mediaType: {value: a}}",
        "3:15: warning: pointsIssued: channel._id is required by",
    ),
    (
        "channel: {_id: {value: a, when: loyaltyEventId}, mediaType: {value: a}}",
        "and may be without a value where another field of t",
    ),
    (
        "channel: {_id: {from: '@till_code', as: slug}, mediaType: {from: '@till_name'}}",
        "may be without a value where @till_name has",
    ),
]


@pytest.mark.parametrize(("fields", "told"), TARGETS)
def test_a_target_that_does_not_fit_is_told(fields: str, told: str) -> None:
    assert any(told in one for one in found(fields)), found(fields)


@pytest.mark.parametrize(
    "fields",
    [
        "commerce.order.lastUpdatedDate: {from: '@created_ms', as: moment}",
        "channel: {_id: {from: loyaltyEventId, as: slug}, _type: {from: loyaltyEventId, as: slug, prefix: 'https://a.example/'}}",
        "channel: {_id: {value: a}, mode: {from: '@till_code', choose: {a: push, b: pull}}}",
        "commerce.order.priceTotal: {from: '@org_id', as: integer, unit: money}",
        "commerce.purchases: {id: {value: a, when: loyaltyEventId}, value: {value: 1}}",
        "productListItems: [{each: promotionalPointsIssued, fields: {SKU: {from: promotionType}}}]",
        "productListItems: [{fields: {SKU: {value: a}, _tenant.quantity: {value: 1.5}}}]",
        "_tenant.brand.when: {from: '@created_ms', as: moment}",
        "_tenant.brand.deep.list: [{fields: {a: {value: true}}}, {each: promisedPointsIssued, fields: {b: {value: 1}}}]",
    ],
)
def test_a_target_that_fits_is_not_told(fields: str) -> None:
    assert found(fields) == []


def test_a_schema_of_the_tenant_counts_in_its_place() -> None:
    schema = deepcopy(entity_schema("events", "acme"))
    schema["required"] = [*schema["required"], "_acme", "channel"]
    schema["definitions"]["capillary"]["required"] = ["eventName", "brandCode"]
    schema["definitions"]["capillary"]["properties"]["refId"] = {"type": "string", "pattern": "^R"}
    told = found("_tenant.brand.shoeSize: {value: 1}", schema=schema)
    assert any(
        "own.yaml:3:5: error: pointsIssued: _tenant.brand.shoeSize is not in the schema: _tenant has no brand. Run "
        "`capillary-adobe setup`" in one
        for one in told
    )
    assert any(
        "pointsIssued: _tenant.capillary.brandCode is required by the schema and no rule writes it." in one
        for one in told
    )
    assert any(
        "pointsIssued: channel is required by the schema and no rule writes it. Write it too." in one for one in told
    )
    assert any(
        "shipped/shared.yaml:9:5: warning: pointsIssued: _tenant.capillary.refId takes text that" in one for one in told
    )
    with pytest.raises(SchemaError):
        check({}, {"type": "string"})


def test_a_required_field_that_the_condition_of_its_block_asks_for_is_there() -> None:
    fields = "{SKU: {from: promotionType, as: id}, name: {from: promotionIdentifier}}"
    for when, warned in (("promotionType", False), ("not promotionType", True), ("promotionPoints > 0", True)):
        told = found(f"productListItems: [{{each: promotionalPointsIssued, when: {when}, fields: {fields}}}]")
        assert any("productListItems[].SKU is required by the schema" in one for one in told) is warned, told


def test_a_shared_block_that_no_entry_uses_is_told() -> None:
    shared = (
        "envelop: {_tenant.brand.a: {value: a}}\n"
        "spare: {_tenant.brand.b: {value: b}}\n"
        "brand: {_tenant.brand.c: {value: c}}\n"
        "place: {_tenant.brand.d: {value: d}}\n"
    )
    told = check({"shared.yaml": shared, "own.yaml": "pointsIssued: {use: [brand]}\n"}, only="pointsIssued")
    assert [str(one) for one in told] == [
        "shared.yaml:1:1: warning: No entry uses the shared block envelop. Did you mean envelope?",
        "shared.yaml:2:1: warning: No entry uses the shared block spare. Name it under `use`, or take it out.",
    ]


def test_a_variant_that_nothing_reaches_is_told() -> None:
    own = """
tierUpgraded:
  - {event_type: a, when: upgradeType is A and notes}
  - {event_type: b, when: notes}
  - {event_type: c, when: upgradeType is B and notes}
  - {event_type: d}
"""
    assert [str(one) for one in check({"own.yaml": own})] == [
        "own.yaml:5:5: error: tierUpgraded: no event reaches this variant, for the one at own.yaml:4:5 takes them all. Put the "
        "narrower condition first."
    ]


@pytest.mark.parametrize(("event", "about"), [("promotionCreated", "no person"), ("groupCreated", "a group")])
def test_rules_of_an_event_that_is_never_delivered_are_told(event: str, about: str) -> None:
    assert [str(one) for one in check({"own.yaml": f"{event}: {{event_type: a}}"})] == [
        f"own.yaml:1:{len(event) + 3}: warning: {event} is about {about} and never delivered, so its rules never apply."
    ]


def test_a_finding_in_a_shared_block_is_told_for_each_event_and_in_the_order_of_places() -> None:
    told = check(
        {"shared.yaml": "entity:\n  _tenant.brand.b: {from: nothing.b}\n  _tenant.brand.a: {from: nothing.a}\n"}
    )
    assert [one.place.line for one in told if one.place] == sorted([2, 3] * (len(told) // 2))
    events = {one.words.partition(":")[0] for one in told}
    assert {"pointsIssued", "tierRenewed", "*"} < events


def test_problems_of_a_mapping_that_cannot_be_read_are_findings() -> None:
    with pytest.raises(MappingError) as error:
        with_tenant({"own.yaml": "pointsIssued: 5", "another.yaml": "tierRenewed: 5"})
    assert [str(one)[:40] for one in of_error(error.value)] == [
        "another.yaml:1:14: error: tierRenewed: e",
        "own.yaml:1:15: error: pointsIssued: expe",
    ]


KNOWN = [
    "loyaltyEventId",
    "totalPointsIssued",
    "promisedPointsIssued",
    "enteredBy",
    "colour",
    "@store_code",
    "customFields",
]
TARGET = st.sampled_from(
    ["loyalty.pointsGained", "commerce.order.priceTotal", "channel._id", "_tenant.own.a", "nowhere", "_id"]
)
RULE = st.builds(
    "{{from: '{}', as: {}}}".format,
    st.sampled_from(KNOWN),
    st.sampled_from(["text", "number", "moment", "slug", "boolean"]),
)


@settings(max_examples=examples(30), deadline=None)
@given(
    st.dictionaries(TARGET, RULE | st.just("[{each: promisedPointsIssued, fields: {value: {from: x}}}]"), max_size=3)
)
def test_every_finding_on_a_folder_has_a_place_in_it(fields: dict[str, str]) -> None:
    lines = "".join(f"    {target}: {rule}\n" for target, rule in fields.items())
    for finding in check({"own.yaml": f"pointsIssued:\n  fields:\n{lines}" if fields else ""}, only="pointsIssued"):
        assert finding.place is not None
        assert finding.place.file == "own.yaml"
        assert finding.words.startswith("pointsIssued: ")
        assert finding.words.endswith((".", "?"))


def test_every_event_type_can_be_asked_for_its_fields() -> None:
    own = "".join(
        f"{known.name}:\n  event_type: a\n  fields: {{_tenant.a: {{from: nowhere}}}}\n" for known in shipped_catalogue()
    )
    told = [one for one in check({"own.yaml": own}) if one.severity == "error"]
    assert len(told) == len(shipped_catalogue())
