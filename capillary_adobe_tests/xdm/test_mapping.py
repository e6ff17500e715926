"""The mapping of customers, bills and all other events: what each payload becomes, written out."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe.settings import CapillarySettings
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, ORG, event, key_of
from capillary_adobe_tests.xdm.payloads import BILL, OWN_BILL, PLACE, STORE, UPDATE
from capillary_adobe_tests.xdm.transforming import body, entity


def test_the_head_of_every_entity() -> None:
    flat = event("pointsExpired", {"customerIdentifiers": {"customerId": CUSTOMER}}, loyaltyEventId="l-1")
    assert entity(flat) == {
        "_id": key_of(flat),
        "timestamp": "2026-03-01T10:00:00.123Z",
        "eventType": "loyalty.pointsExpired",
        "producedBy": "system",
        "identityMap": {
            "capillaryCustomerId": [{"id": str(CUSTOMER), "authenticatedState": "ambiguous", "primary": True}]
        },
        "_acme": {
            "capillary": {
                "eventName": "pointsExpired",
                "eventId": flat["eventId"],
                "customerId": str(CUSTOMER),
                "orgId": ORG,
                "refId": f"{ORG}_1",
                "apiRequestId": "request-1",
                "loyaltyEventId": "l-1",
                "createdAt": "2026-03-01T10:00:00.123Z",
            }
        },
    }


def test_contacts_are_secondary_and_the_organisation_stands_before_the_customer_where_wanted() -> None:
    data = {
        "customerIdentifiers": {"customerId": CUSTOMER, "instore": {"email": "A@example.com", "mobile": "919650000000"}}
    }
    made = entity(event("pointsExpired", data), CapillarySettings(identity_with_org=True))
    assert {space: (found[0]["id"], found[0]["primary"]) for space, found in made["identityMap"].items()} == {
        "capillaryCustomerId": (f"{ORG}-{CUSTOMER}", True),
        "Email": ("a@example.com", False),
        "Phone": ("+919650000000", False),
    }
    assert made["_acme"]["capillary"]["customerId"] == f"{ORG}-{CUSTOMER}"


def test_customer_added() -> None:
    data = {
        "loyaltyType": "LOYALTY",
        "source": "INSTORE",
        "firstName": "Jane",
        "lastName": "Doe",
        "enteredAt": CREATED_MS - 1000,
        "enteredBy": STORE,
        "customFields": [{"key": "MembershipLevel", "value": "Gold"}, {"key": "empty", "value": ""}],
        "extendedFields": [{"key": "PreferredLanguage", "value": "English"}],
    }
    assert body("customerAdded", data) == {
        "eventType": "loyalty.customerAdded",
        "channel": {
            "_id": "capillary/instore",
            "_type": "https://ns.adobe.com/xdm/channel-types/instore",
            "typeAtSource": "INSTORE",
        },
        "own": PLACE
        | {
            "customer": {"loyaltyType": "LOYALTY", "source": "INSTORE"},
            "customFields": [{"name": "MembershipLevel", "value": "Gold"}, {"name": "empty"}],
            "extendedFields": [{"name": "PreferredLanguage", "value": "English"}],
        },
    }
    assert entity(event("customerAdded", data))["timestamp"] == "2026-03-01T09:59:59.123Z"


def test_customer_updated() -> None:
    assert body("customerUpdated", UPDATE) == {
        "eventType": "loyalty.customerUpdated",
        "channel": {
            "_id": "capillary/mobile-app",
            "_type": "https://ns.adobe.com/xdm/channel-types/mobile",
            "typeAtSource": "MOBILE_APP",
        },
        "own": PLACE
        | {
            "customer": {
                "loyaltyType": "loyalty",
                "source": "MOBILE_APP",
                "status": "Active",
                "previousStatus": "Inactive",
                "statusReason": "asked",
                "updatedFields": [
                    {
                        "name": "dob",
                        "type": "StandardField",
                        "previousValue": "Tue Mar 04 00:00:00 GMT 2025",
                        "value": "x",
                    },
                    {"name": "gender", "value": "Male"},
                ],
            },
            "customFields": [{"name": "fax", "value": "12345678"}],
        },
    }
    # enteredAt repeats the registration here.
    assert entity(event("customerUpdated", UPDATE))["timestamp"] == "2026-03-01T10:00:00.123Z"


@pytest.mark.parametrize("label", ["Deleted", "DELETED", " deleted "])
def test_an_erased_customer_carries_no_personal_value(label: str) -> None:
    personal = "PERSONAL-jane@example.com"
    data = {
        **UPDATE,
        "firstName": personal,
        "lastName": personal,
        "customerStatus": {"currentLabel": label, "reason": "User marked deleted"},
        "updatedFields": [{"fieldName": "email", "previousValue": personal, "currentValue": personal}],
        "customFields": [{"key": "address", "value": personal}],
        "extendedFields": [{"key": "city", "value": personal}],
        "customerIdentifiers": {
            "customerId": CUSTOMER,
            "firstName": personal,
            "instore": {"email": "jane@example.com", "mobile": "919650000000", "externalId": "jane@example.com"},
        },
    }
    made = entity(event("customerUpdated", data))
    assert "example.com" not in str(made)
    assert "919650000000" not in str(made)
    assert list(made["identityMap"]) == ["capillaryCustomerId"]
    assert made["_acme"]["capillary"]["customer"] == {
        "loyaltyType": "loyalty",
        "source": "MOBILE_APP",
        "status": label.strip(),
        "statusReason": "User marked deleted",
    }


@pytest.mark.parametrize("bill_type", ["REGULAR", "MIXED", "regular"])
def test_a_sale(bill_type: str) -> None:
    data = BILL | {"billType": bill_type}
    assert body("transactionAdded", data) == {
        "eventType": "commerce.purchases",
        "commerce": {
            "order": {
                "purchaseID": "bill-1",
                "priceTotal": 90.5,
                "discountAmount": 10,
                "currencyCode": "SGD",
                "createdDate": "2026-03-01T09:59:58.123Z",
            },
            "purchases": {"value": 1},
            "inStorePurchase": {"value": 1},
            "commerceScope": {"storeCode": "st-1"},
        },
        "own": OWN_BILL | {"transaction": {**OWN_BILL["transaction"], "billType": bill_type}},
    }
    assert entity(event("transactionAdded", data))["timestamp"] == "2026-03-01T09:59:58.123Z"


def test_a_sale_outside_a_store_that_tells_little() -> None:
    data = {"amount": 5, "transactionId": 7, "billType": "REGULAR", "currencyCode": " ", "enteredAt": CREATED_MS - 1000}
    assert body("transactionAdded", data, CapillarySettings()) == {
        "eventType": "commerce.purchases",
        "commerce": {
            "order": {"priceTotal": 5, "createdDate": "2026-03-01T09:59:59.123Z"},
            "purchases": {"value": 1},
        },
        "own": {"transaction": {"id": "7", "billType": "REGULAR"}},
    }
    assert body("transactionAdded", data)["commerce"]["order"]["currencyCode"] == "INR"


@pytest.mark.parametrize("bill_type", ["RETURN", "return", " Return "])
def test_a_return_is_no_purchase(bill_type: str) -> None:
    made = body("transactionAdded", BILL | {"billType": bill_type})
    assert made == {
        "eventType": "loyalty.transactionReturned",
        "commerce": {
            "order": {
                "currencyCode": "SGD",
                "refundTotal": 90.5,
                "refunds": [{"refundAmount": 90.5, "refundReason": "return", "currencyCode": "SGD"}],
                "returns": {"returnID": "bill-1"},
            },
            "commerceScope": {"storeCode": "st-1"},
        },
        "own": OWN_BILL | {"transaction": {**OWN_BILL["transaction"], "billType": bill_type.strip()}},
    }


def test_an_update_of_a_bill_is_no_purchase() -> None:
    assert body("transactionUpdated", BILL) == {
        "eventType": "loyalty.transactionUpdated",
        "commerce": {
            "order": {
                "purchaseID": "bill-1",
                "priceTotal": 90.5,
                "discountAmount": 10,
                "currencyCode": "SGD",
                "lastUpdatedDate": "2026-03-01T10:00:00.123Z",
            },
            "commerceScope": {"storeCode": "st-1"},
        },
        "own": OWN_BILL,
    }


def test_every_other_event_travels_whole_by_the_generic_rule() -> None:
    data = {"addedBy": STORE, "coupon": {"code": "X1", "none": None}, "loyaltyProgramId": 5}
    made: Any = body("CouponRedeem", data)
    assert made["eventType"] == "loyalty.couponRedeem"
    payload = made["own"].pop("payload")
    assert made["own"] == PLACE | {"program": {"id": "5"}}
    assert payload == (
        f'{{"customerIdentifiers":{{"customerId":{CUSTOMER}}},"addedBy":{{"id":5,"till":{{"code":"t-1","name":"Till"}},'
        '"store":{"code":"st-1","name":"Store","externalId":"x1","externalId1":""}},'
        '"coupon":{"code":"X1","none":null},"loyaltyProgramId":5}'
    )
