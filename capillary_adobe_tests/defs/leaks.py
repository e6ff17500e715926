"""What must not be told: secrets for every secret setting, a person in every field that events hold, and the search for them.

Belongs here: the values, in the forms in which they may turn up, and looking through files. Does not belong here: the road that
they are sent along.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

SECRETS = {
    "ADOBE_CLIENT_SECRET": "p8e-Hushed.AdobeClient_01",
    "CAPILLARY_API_SECRET": "Hushed+CapillaryApi/02==",
    "RECEIVE_SECRET": "Bearer Hushed-Webhook-03",
    "RECEIVE_PREVIOUS_SECRET": "Hushed-Webhook-before-04",
    "RECEIVE_HMAC_SECRET": "Hushed-Hmac-05",
    "RECEIVE_HMAC_PREVIOUS_SECRET": "Hushed-Hmac-before-06",
    "INSIGHTS_ZIP_PASSWORD": "Hushed-Zip-07",
    "INSIGHTS_PGP_PASSPHRASE": "Hushed Pgp 08",
    "INSIGHTS_SFTP_PASSWORD": "Hushed-Sftp-09",
    "ALERT_CHANNELS": "tok3n-in-the-path",
    "STATE_URL": "Hushed-State-10",
    "AWS_SECRET_ACCESS_KEY": "Hushed/Aws/11",
}
"""By the variable, of which the value is at least a part."""

MOBILE = "9188776655443"
EMAIL = "tarangini.v@leaks.example"
EXTERNAL_ID = "EXTID-LEAK-4471"
CARD = "6011999988887777"
CUSTOMER_ID = 7788990011223
PERSON = {
    "mobile": MOBILE,
    "email": "tarangini.v@leaks",
    "external id": EXTERNAL_ID,
    "first name": "Tarangini",
    "last name": "Vaidyanathaswamy",
    "card number": CARD,
    "street": "17 Zinniaweg",
    "postal code": "PIN560099Z",
    "date of birth": "1987-02-29",
    "customer id": str(CUSTOMER_ID),
    "bill number": "BILLNO-LEAK-77",
    "note": "allergic to penicillin",
}
"""By what it is. Values that stand nowhere else, so that each find is one."""


def identifiers(customer: int = CUSTOMER_ID) -> dict[str, Any]:
    """`customerIdentifiers` with every kind of identifier."""
    return {
        "customerId": customer,
        "instore": {"mobile": MOBILE, "email": EMAIL, "externalId": EXTERNAL_ID, "cardnumber": CARD},
    }


def event(name: str, number: int, created_ms: int, **data: Any) -> dict[str, Any]:
    """An event of that person, with everything that a person may have put into any of them."""
    return {
        "eventName": name,
        "eventId": f"leak-{name}-{number}",
        "orgId": 7,
        "refId": f"7_{CUSTOMER_ID}",
        "createdAt": created_ms,
        "data": {
            "firstName": PERSON["first name"],
            "lastName": PERSON["last name"],
            "customerIdentifiers": identifiers(),
            "customFields": {
                "address": PERSON["street"],
                "zip": PERSON["postal code"],
                "dob": PERSON["date of birth"],
                "note": PERSON["note"],
            },
            **data,
        },
    }


def forms(value: str) -> set[bytes]:
    """How a value may be written: plain, in JSON, in a URL, in base64 at any offset, in bytes as Python shows them."""
    plain = value.encode()
    found = {plain, json.dumps(value)[1:-1].encode(), urllib.parse.quote(value, safe="").encode()}
    found.add(urllib.parse.quote_plus(value).encode())
    for shift in range(3):
        # What stands at either end depends on its neighbours.
        encoded = base64.b64encode(b"\0" * shift + plain)
        found.add(encoded[4 if shift else 0 : len(encoded) - 4])
    return {form.lower() for form in found if len(form) >= 6}


def found_in(places: Iterable[tuple[str, bytes]], values: Mapping[str, str]) -> set[tuple[str, str]]:
    """Where which value stands: (place, what it is)."""
    wanted = {what: forms(value) for what, value in values.items()}
    return {
        (place, what)
        for place, data in places
        for low in [data.lower()]
        for what, spelled in wanted.items()
        if any(form in low for form in spelled)
    }


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file under a folder, databases with what they have not written back."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
