"""The quirks of published payloads, one test each, by the numbers of the reference's list (capillary-events, section 6).

Where a quirk has a table of cases of its own, that stands in the test of the module concerned; here is the quirk as the
road meets it.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe.capillary.person import NotDelivered, customer_id
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, PROGRAM, Json, event, key_of, shapes
from capillary_adobe_tests.capillary.road import Road
from capillary_adobe_tests.xdm.transforming import INDIA, body, empty_places, entities, entity


def own(name: str, data: Json, **envelope: Any) -> Any:
    """The tenant's part of what a payload becomes, without the envelope's fields."""
    return body(name, data, **envelope).get("own", {})


def test_quirk_01_one_event_in_every_envelope(road: Road) -> None:
    road.land("10/a.jsonl", shapes(event()).values())
    counts = road.run()
    assert (counts.raw, counts.duplicates) == (1, len(shapes(event())) - 1)


def test_quirk_02_no_event_id(road: Road) -> None:
    road.land("10/a.jsonl", [event(eventId=None), event(eventId=None), event(eventId=None, apiRequestId="other")])
    counts = road.run()
    assert (counts.raw, counts.duplicates, counts.without_event_id) == (2, 1, 2)
    assert "eventId" not in entity(event(eventId=None))["_acme"]["capillary"]


def test_quirk_03_events_that_share_their_references() -> None:
    shared = {"refId": "1_2", "apiRequestId": "r", "loyaltyEventId": "l", "eventLogId": 5}
    issued = event("pointsIssued", eventId="a", **shared)
    assert len({key_of(issued), key_of(event("alternateCurrenciesIssued", eventId="a", **shared))}) == 2
    assert key_of(issued | {"eventId": "b"}) != key_of(issued)


def test_quirk_04_an_event_of_a_group(road: Road) -> None:
    group = {"entityInformation": {"entityType": "USERGROUP2", "entityId": 4708597}}
    road.land("10/a.jsonl", [event("pointsRedeemed") | {"data": group}])
    assert dict(road.run().ignored) == {"group": 1}


@pytest.mark.parametrize("name", ["cardUpdated", "rewardCreated", "promotionCreated", "groupCreated"])
def test_quirk_05_an_event_of_nobody(road: Road, name: str) -> None:
    road.land("10/a.jsonl", [event(name) | {"data": {"id": 5}}])
    counts = road.run()
    assert (sum(counts.ignored.values()), sum(counts.quarantined.values())) == (1, 0)


@pytest.mark.parametrize("points", [1, 1.0, "1", "1.000", "0.1e1"])
def test_quirk_06_numbers_as_numbers_and_text(points: Any) -> None:
    assert own("pointsExpired", {"pointsExpired": points})["points"] == {"total": 1}
    assert own("pointsExpired", {"pointsExpired": "333.333"})["points"] == {"total": 333.333}


def test_quirk_07_ids_beyond_32_bits() -> None:
    data = {"customerIdentifiers": {"customerId": 84793759919}, "transactionId": 2149289332}
    made = entity(event("transactionAdded", data))
    assert made["identityMap"]["capillaryCustomerId"][0]["id"] == "84793759919"
    assert made["_acme"]["capillary"]["transaction"]["id"] == "2149289332"


@pytest.mark.parametrize("created", [1693334444, "1693334444", 1693334444000, "1693334444000", 1.693334444e12])
def test_quirk_08_seconds_and_milliseconds(created: Any) -> None:
    assert unwrap(event(createdAt=created)).created_ms == 1693334444000


@pytest.mark.parametrize("absurd", [904788626831872, 9047889843135000, 156474848484])
def test_quirk_09_absurd_epochs(absurd: int) -> None:
    with pytest.raises(NotAnEvent) as told:
        unwrap(event(createdAt=absurd))
    assert told.value.code == "time_unreadable"
    [made] = entities([event("promotionEarned", {"promotionStartDateInMillis": absurd})])
    assert (made.violations, made.unreadable) == ([], ["promotionStartDateInMillis"])


def test_quirk_10_far_dates_mean_never() -> None:
    data = {"currentTierNumber": 1, "tierExpiryDate": "2124-08-19", "tierExpiryDateInMillis": 4879765799000}
    assert own("tierRenewed", data)["tier"]["expiryDate"] == "2124-08-19T18:29:59.000Z"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-10-28", "2025-10-28T23:59:59+05:30"),
        ("2025-10-28 10:00:00", "2025-10-28T10:00:00+05:30"),
        ("2025-10-28 10:00:00.0", "2025-10-28T10:00:00+05:30"),
        ("2025-10-28T10:00:00+0530", "2025-10-28T10:00:00+05:30"),
        ("Tue Oct 28 10:00:00 GMT 2025", "2025-10-28T10:00:00Z"),
    ],
)
def test_quirk_11_dates_in_many_forms(written: str, read: str) -> None:
    assert own("pointsExpiryReminder", {"scheduledExpiryDate": written})["points"] == {"expiryDate": read}


@pytest.mark.parametrize(
    ("zone", "read"),
    [
        ("UTC", "2026-07-01T23:59:59Z"),
        ("Asia/Kolkata", "2026-07-01T23:59:59+05:30"),
        ("America/New_York", "2026-07-01T23:59:59-04:00"),
    ],
)
def test_quirk_12_dates_are_read_in_the_organisations_zone(zone: str, read: str) -> None:
    made = body("pointsExpiryReminder", {"scheduledExpiryDate": "2026-07-01"}, CapillarySettings(org_timezone=zone))
    assert made["own"]["points"]["expiryDate"] == read


def test_quirk_13_either_of_a_pair_may_be_missing() -> None:
    both = {"tierExpiryDate": "2000-01-01", "tierExpiryDateInMillis": 1729362599000}
    for data in (both, {"tierExpiryDateInMillis": 1729362599000}, {**both, "tierExpiryDate": None}):
        assert own("tierRenewed", data)["tier"] == {"expiryDate": "2024-10-19T18:29:59.000Z"}
    for nothing in ({}, {"tierExpiryDateInMillis": None}, {"tierExpiryDateInMillis": "soon"}):
        data = {"tierExpiryDate": "2024-10-19", **nothing}
        assert own("tierRenewed", data)["tier"] == {"expiryDate": "2024-10-19T23:59:59+05:30"}


def test_quirk_14_business_time_after_or_long_before_the_storing() -> None:
    after, before = CREATED_MS + 9_000_000, CREATED_MS - 33 * 86_400_000
    assert entity(event("customerAdded", {"enteredAt": after}))["timestamp"] == "2026-03-01T10:00:00.123Z"
    assert entity(event("transactionAdded", {"enteredAt": after}))["timestamp"] == "2026-03-01T10:00:00.123Z"
    assert entity(event("transactionAdded", {"enteredAt": before}))["timestamp"] == "2026-01-27T10:00:00.123Z"
    assert entity(event("customerUpdated", {"enteredAt": before}))["timestamp"] == "2026-03-01T10:00:00.123Z"


@pytest.mark.parametrize("nothing", [None, "", " ", "null", {}, []])
def test_quirk_15_many_ways_to_say_nothing(nothing: Any) -> None:
    data = {"amount": nothing, "billNumber": nothing, "currencyCode": nothing, "enteredBy": nothing, "discount": 0}
    made = entity(event("transactionAdded", data, loyaltyEventId=nothing, refId=nothing))
    assert made["commerce"]["order"] == {"discountAmount": 0, "currencyCode": "INR"}
    assert empty_places(made) == []
    assert "enteredById" not in own("pointsExpired", {"enteredBy": {"id": -1}})


def test_quirk_15_minus_one_means_nothing_only_in_ids_and_limits() -> None:
    assert own("pointsExpired", {"pointsExpired": -1})["points"] == {"total": -1}
    assert own("promotionEarned", {"earnRestrictions": [{"kpi": "k", "maxLimit": -1}]})["promotion"] == {
        "earnRestrictions": [{"kpi": "k"}]
    }


def test_quirk_16_blanks_around_values_and_inside_keys() -> None:
    flat = {key[:2] + " " + key[2:]: value for key, value in event(eventName=" pointsExpired ").items()}
    assert key_of(flat) == key_of(event())
    contacts = {"customerId": CUSTOMER, "instore": {"mobile": "609110544825 ", "email": " a@example.com "}}
    made = entity(event(data={"customerIdentifiers": contacts}))
    assert made["identityMap"]["Phone"][0]["id"] == "+609110544825"
    assert made["identityMap"]["Email"][0]["id"] == "a@example.com"


def test_quirk_17_drift_of_case(road: Road) -> None:
    road.land("10/a.jsonl", [event("POINTSEXPIRED"), event("couponIssue"), event("issuedalternateCurrenciesReversed")])
    counts = road.run()
    assert (counts.raw, sum(counts.quarantined.values())) == (1, 1)
    assert dict(counts.quarantined) == {"customer_missing": 1}
    holder = {"customerId": CUSTOMER, "Instore": {"email": "a@example.com"}}
    assert "Email" in entity(event(data={"customerIdentifiers": holder}))["identityMap"]
    for key in ("BillId", "billId"):
        data = {"regularPointsIssued": 1, "triggeringActivity": {"identifiers": [{"key": key, "value": "7"}]}}
        assert body("pointsIssued", data)["loyalty"]["pointsGained"] == [{"value": 1, "transactionId": "7"}]
    assert body("transactionAdded", {"billType": "Return"})["eventType"] == "loyalty.transactionReturned"


def test_quirk_18_spelling() -> None:
    data = {"updatedPointsExpiryBreakup": [{"pointAwardedRefID": 7, "promotionID": 8}, {"pointsAwardedRefID": 9}]}
    changes = own("pointsExpiryChange", data)["points"]["expiryChanges"]
    assert changes == [{"awardId": "7", "promotionId": "8"}, {"awardId": "9"}]
    assert own("promotionEarned", {"issualId": 5})["promotion"] == {"issualId": "5"}


def test_quirk_19_fields_in_the_wrong_place_and_of_the_wrong_type() -> None:
    odd = {
        "enteredAt": {"id": 5},
        "enteredBy": {"entityInformation": {"entityType": "USER"}},
        "name": "PointsRedemption",
    }
    data = {"loyaltyEventId": "627e", "triggeringActivity": odd, "enteredAt": {"id": 5}}
    for name in ("pointsIssued", "transactionAdded", "customerAdded"):
        [made] = entities([event(name, data)])
        assert made.violations == []
    assert own("pointsRedeemed", data)["trigger"] == {"name": "PointsRedemption"}


def test_quirk_20_repeated_keys_among_identifiers() -> None:
    identifiers = [{"key": "BillId", "value": "7"}] * 4 + [{"key": "BillId", "value": "8"}]
    made = own("pointsExpired", {"triggeringActivity": {"identifiers": identifiers}})
    assert made["trigger"]["identifiers"] == [{"key": "BillId", "value": "7"}, {"key": "BillId", "value": "8"}]


@pytest.mark.parametrize("tiers", [None, [], [{"tierNumber": 1, "tierName": "A"}, {"tierNumber": 1, "tierName": "B"}]])
def test_quirk_21_a_tier_is_a_number_and_its_name_a_matter_of_luck(tiers: Any) -> None:
    data = {"currentTierNumber": 1, "loyaltyProgramDetails": {**PROGRAM, "tiers": tiers}}
    assert own("tierRenewed", data)["tier"] == ({"number": 1, "name": "A"} if tiers else {"number": 1})


def test_quirk_22_totals_are_taken_as_they_are() -> None:
    data = {"totalPointsIssued": 9, "regularPointsIssued": 3, "regularPointsBreakup": [{"points": 1}]}
    made = body("pointsIssued", data | {"promisedPointsIssued": [{"promisedPoints": 50}]})
    assert (made["own"]["points"]["total"], made["own"]["points"]["regular"]) == (9, 3)
    assert made["loyalty"]["pointsGained"] == [{"value": 3}]


def test_quirk_23_no_currency() -> None:
    redeemed = {"redeemedPointsCurrencyValue": 750.0}
    assert own("pointsRedeemed", redeemed)["points"] == {"currencyValue": 750, "currencyCode": "INR"}
    made = body("pointsRedeemed", redeemed, CapillarySettings())
    assert made["own"]["points"] == {"currencyValue": 750}
    assert body("transactionAdded", {"currencyCode": " ", "grossAmount": 0, "amount": 9})["commerce"]["order"] == {
        "priceTotal": 9,
        "currencyCode": "INR",
    }


def test_quirk_24_several_accounts_of_a_customer() -> None:
    accounts = [
        {"accountId": str(n), "identifiers": [{"identifierType": "mobile", "identifierValue": "1"}]} for n in (1, 2)
    ]
    holder = {"customerId": CUSTOMER, "wechat": {"accounts": accounts}, "facebook": {"accounts": accounts}}
    made = entity(event(data={"customerIdentifiers": holder}))
    assert [one["primary"] for found in made["identityMap"].values() for one in found] == [True]


def test_quirk_25_what_an_update_does_not_tell_is_not_told() -> None:
    made = body("customerUpdated", {"updatedFields": []})
    assert made == {"eventType": "loyalty.customerUpdated"}
    made = body("transactionUpdated", {"transactionId": 7, "amount": 50.0})
    assert set(made["commerce"]["order"]) == {"priceTotal", "currencyCode", "lastUpdatedDate"}


def test_quirk_26_data_in_keys_stays_out_of_the_fields() -> None:
    flat = event("promotionEarned", {"promotionId": 5, "linkedTargetGroupVsTargetRuleIdMap": {"77": [8]}})
    made = entity(flat | {"traceAttributes": {"x-cap-lineage-id": "1"}})
    assert made["_acme"]["capillary"]["promotion"] == {"id": "5"}
    assert "77" not in str(made)
    assert "lineage" not in str(made)


def test_quirk_27_new_fields_and_new_events(road: Road) -> None:
    assert entity(event(data={"newField": {"a": 1}})) == entity(event())
    road.land("10/a.jsonl", [event("brandNewEvent"), event("rewardIssued"), event() | {"newField": 1}])
    counts = road.run()
    assert dict(counts.unknown_events) == {"brandNewEvent": 1}
    assert (counts.raw, dict(counts.ignored), dict(counts.quarantined)) == (1, {"no_mapping": 1}, {"event_unknown": 1})


def test_quirk_28_masked_values(road: Road) -> None:
    masked = {"customerIdentifiers": {"customerId": "5681***"}, "entityInformation": {"entityId": "5681***"}}
    road.land("10/a.jsonl", [event(data=masked), event(eventId="good")])
    assert dict(road.run().quarantined) == {"customer_masked": 1}
    assert "5681" not in str(road.rows(QUARANTINE, "detail"))
    [made] = entities([event(data={"pointsExpired": "56***"})])
    assert (made.violations, made.unreadable) == ([], ["pointsExpired"])


def test_quirk_29_one_event_id_for_events_of_two_types(road: Road) -> None:
    road.land("10/a.jsonl", [event("pointsExpired", eventId="a"), event("tierRenewed", eventId="a")])
    counts = road.run()
    assert (counts.raw, counts.duplicates) == (2, 0)
    assert road.rows(SET_ASIDE) == []


def test_quirk_30_envelope_fields_inside_data_mean_the_trigger(road: Road) -> None:
    data = {"eventName": "TransactionAdd", "eventId": 15, "orgId": "7", "refId": "x", "targetId": 5}
    flat = event("targetValueAchieved", data)
    for name in ("A", "B", "C", "C caught", "C with B", "D"):
        envelope = unwrap(shapes(flat)[name])
        assert (envelope.event_name, envelope.event_id) == ("targetValueAchieved", flat["eventId"])
        assert envelope.data["eventName"] == "TransactionAdd"


def test_quirk_31_no_type_is_guessed_by_value() -> None:
    made = body("transactionAdded", {"billNumber": "1739857829", "amount": "1739857829"})
    assert made["commerce"]["order"]["purchaseID"] == "1739857829"
    assert made["commerce"]["order"]["priceTotal"] == 1739857829


def test_a_customer_is_never_taken_from_the_actor_of_a_groups_event() -> None:
    data = {
        "entityInformation": {"entityType": "USERGROUP2", "entityId": 1},
        "triggeringActivity": {"entityInformation": {"entityType": "USER", "entityId": 7}},
    }
    event_type = shipped_catalogue().find("pointsRedeemed")
    assert event_type is not None
    with pytest.raises(NotDelivered, match="group"):
        customer_id(event_type, data)


def test_the_generic_rule_loses_nothing_of_a_payload(road: Road) -> None:
    data = {"email ": "x", "deep": [{"a": [None, "", {}]}], "n": 1.5, "t": "\u2028\U0001f600"}
    made = entity(event("badgeEarned", data), INDIA)
    payload = orjson.loads(made["_acme"]["capillary"]["payload"])
    assert payload == {"customerIdentifiers": {"customerId": CUSTOMER}, **data}
    road.land("10/a.jsonl", [event("pointsExpired", data)])
    road.run()
    assert orjson.loads(road.rows(RAW_EVENTS, "data")[0]) == payload
