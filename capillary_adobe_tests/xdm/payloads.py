"""Hand-made payloads with something in every field, and what their shared parts become.

Belongs here: payloads. Does not belong here: what an event as a whole becomes (the tests of the mapping).
"""

from __future__ import annotations

from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, PROGRAM

STORE = {
    "id": 5,
    "till": {"code": "t-1", "name": "Till"},
    "store": {"code": "st-1", "name": "Store", "externalId": "x1", "externalId1": ""},
}
PLACE = {
    "store": {"code": "st-1", "name": "Store", "externalId": "x1"},
    "till": {"code": "t-1", "name": "Till"},
    "enteredById": "5",
}
TRIGGER = {
    "name": "TransactionAdd",
    "identifiers": [{"key": "billId", "value": "2147619294"}] * 4 + [{"key": "billNumber", "value": "b-1"}],
    "enteredBy": {"id": 9},
}
USER = {"entityType": "USER", "entityId": CUSTOMER}
COMMON = {
    "entityInformation": USER,
    "triggeringActivity": TRIGGER,
    "loyaltyProgramDetails": PROGRAM,
    "loyaltyProgramId": 973,
}
OWN = {
    "trigger": {
        "name": "TransactionAdd",
        "identifiers": [{"key": "billId", "value": "2147619294"}, {"key": "billNumber", "value": "b-1"}],
    },
    "program": {"id": "973", "name": "Default", "isDefault": True, "pointsToCurrencyRatio": 0.5},
    "entity": {"type": "USER", "id": str(CUSTOMER)},
}


UPDATE = {
    "loyaltyType": "loyalty",
    "source": "MOBILE_APP",
    "firstName": "Jane",
    "enteredAt": CREATED_MS - 33 * 86_400_000,
    "enteredBy": STORE,
    "customerStatus": {"currentLabel": "Active", "previousLabel": "Inactive", "reason": "asked"},
    "updatedFields": [
        {
            "fieldName": "dob",
            "previousValue": "Tue Mar 04 00:00:00 GMT 2025",
            "currentValue": "x",
            "fieldType": "StandardField",
        },
        {"fieldName": "gender", "previousValue": "", "currentValue": "Male"},
    ],
    "customFields": [{"key": "fax", "value": "12345678"}],
}


BILL = {
    "amount": 90.5,
    "billNumber": "bill-1",
    "billDate": CREATED_MS - 2000,
    "enteredAt": CREATED_MS - 1000,
    "transactionId": 2149289332,
    "billType": "REGULAR",
    "deliveryStatus": "DELIVERED",
    "billClientId": "1121888",
    "lineItemCount": 2,
    "discount": 10,
    "grossAmount": 100.0,
    "currencyCode": "SGD",
    "enteredBy": STORE,
    "extendedFields": [{"key": "field4", "value": "25.24"}],
}
OWN_BILL = PLACE | {
    "transaction": {
        "id": "2149289332",
        "number": "bill-1",
        "clientId": "1121888",
        "billType": "REGULAR",
        "deliveryStatus": "DELIVERED",
        "grossAmount": 100,
        "lineItemCount": 2,
    },
    "extendedFields": [{"name": "field4", "value": "25.24"}],
}


ISSUED = {
    **COMMON,
    "programCurrentPoints": 2261.5,
    "programLifetimePoints": "18003.016",
    "totalPointsIssued": 8.0,
    "regularPointsIssued": 3.0,
    "regularPointsBreakup": [
        {"points": 1.0, "expiryAt": "2025-10-28", "expiryAtInMillis": 1761676199999},
        {"points": 2.0, "expiryAt": "2026-01-31"},
    ],
    "promotionalPointsIssued": [
        {
            "promotionIdentifier": "098190b8",
            "promotionType": "BILL_PROMOTION",
            "promotionPoints": 2.0,
            "promotionPointsExpiryDateInMillis": 1761676199999,
        },
        {"promotionIdentifier": "", "promotionType": "Goodwill Promotion", "promotionPoints": 3.0},
    ],
    "promisedPointsIssued": [
        {"promisedPoints": 2.0, "isExternalTriggerBased": False, "promisedPointsConversionDate": "2025-11-07"},
        {"promisedPoints": 3, "isExternalTriggerBased": True, "promisedPointsConversionDateInMillis": 1762453800000},
    ],
}


REDEEMED = {
    **COMMON,
    "totalPointsRedeemed": 50,
    "redemptionSummaryId": 8768,
    "redeemedPointsCurrencyValue": 25.0,
    "redemptionNotes": "redeem",
    "redemptionBillNumber": "txn-251",
    "isGroupRedemption": False,
    "redemptionFromEarningPrograms": [
        {"programId": 5, "pointsRedeemed": 10, "programCurrentPoints": 7},
        {"programId": 973, "pointsRedeemed": 40.0, "programCurrentPoints": 1260},
    ],
    "triggeringActivity": {
        "name": "PointsRedemption",
        "identifiers": [{"key": "billId", "value": "-1"}, {"key": "redemptionId", "value": "hhSRLt"}],
    },
}


MERGE = {
    "survivorCustomerIdentifiers": {"customerId": CUSTOMER},
    "victimCustomerIdentifiers": {"customerId": 7, "instore": {"mobile": "919876501234"}},
    "survivorCustomerLoyaltySummary": [
        {"loyaltyProgramId": 973, "lifetimePoints": 200.0, "currentPoints": 150, "promisedPoints": 0, "tierNumber": 2}
    ],
    "triggeringActivity": TRIGGER,
    "enteredBy": STORE,
}


SUBSCRIPTIONS = [
    {
        "channel": "SMS",
        "priority": "BULK",
        "previousStatus": "OPTIN",
        "currentStatus": "OPTOUT",
        "sourceName": "INSTORE",
        "ouId": 12,
    }
]


ISSUED_REVERSED = {
    **COMMON,
    "programCurrentPoints": 90.5,
    "programLifetimePoints": "300",
    "totalIssuedPointsReversed": 8.0,
    "regularPointsReversed": 3.0,
    "promotionalPointsReversed": [{"promotionIdentifier": "098190b8", "promotionPoints": 5}],
}


REDEEMED_REVERSED = {
    **COMMON,
    "redeemedPointsReversed": 40,
    "redemptionSummaryId": 8768,
    "redemptionReversalToEarningPrograms": [
        {"programId": 5, "redeemedPointsReversed": 10, "programCurrentPoints": 7},
        {"programId": 973, "redeemedPointsReversed": 30, "programCurrentPoints": "1300"},
    ],
}


TRANSFERRED = {
    **COMMON,
    "totalPointsTransferred": 25,
    "transferReceivingCustomerIdentifiers": {"customerId": 8},
    "redemptionFromEarningPrograms": [{"programId": 973, "pointsRedeemed": 25, "programCurrentPoints": 1235.5}],
}


RECEIVED = {
    **COMMON,
    "totalPointsTransferred": "25.0",
    "transferInitiatingCustomerIdentifiers": {"customerId": 8},
}


CONVERTED = {
    **COMMON,
    "pointsConverted": 12.5,
    "programCurrentPoints": 112.5,
    "programLifetimePoints": 400,
    "billId": 2149289332,
    "earningActivityReference": [{"name": "TransactionAdd", "enteredAt": 1.73985783e12, "pointsConverted": 12.5}],
}


ADJUSTED = {
    "triggeringActivity": TRIGGER,
    "totalPoinstDeducted": "15.000",
    "programPointsSplit": [{"programId": 973, "points": "15.000", "pointsType": "REGULAR"}],
    "reason": "wrong bill",
}
