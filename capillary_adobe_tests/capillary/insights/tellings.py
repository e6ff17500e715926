"""What every telling of a happening names, be it a payload or rows: when, who, where, in which program.

Belongs here: these parts and values for them. Does not belong here: the happenings (`twins.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from capillary_adobe_tests.capillary.insights.becoming import ORG, ZONE
from capillary_adobe_tests.capillary.insights.lines import Json

TIERS = [{"tierNumber": 1, "tierName": "Silver"}, {"tierNumber": 2, "tierName": "Gold"}]
NAME_OF_TIER = {1: "Silver", 2: "Gold"}
PROGRAM = {"id": 973, "name": "Default", "isDefault": True, "pointsToCurrencyRatio": 0.5, "tiers": TIERS}
IN_PROGRAM = {"program_id": 973, "program_name": "Default"}


@dataclass(frozen=True)
class Twins:
    """One happening: event type and webhook `data`, and template and rows; `details` are a bill's, as a look-up knows them.

    `at_ms` is when it happened, `stored_ms` when Capillary stored the webhook's event.
    """

    event_name: str
    data: Json
    template: str
    rows: list[Json]
    at_ms: int
    stored_ms: int
    event_log_id: int
    details: Json = field(default_factory=dict)

    @property
    def webhook(self) -> Json:
        return {
            "eventName": self.event_name,
            "eventId": "0a1b2c3d-0000-4000-8000-000000000001",
            "orgId": ORG,
            "refId": f"{ORG}_1",
            "apiRequestId": "request-1",
            "loyaltyEventId": "loyalty-1",
            "eventLogId": self.event_log_id,
            "createdAt": self.stored_ms,
            "data": self.data,
        }


IDS = st.integers(1, 10**15)
POINTS = st.decimals("0.001", 100_000, places=3)
MONEY = st.decimals("0.01", 10**7, places=2)
DAYS = st.dates(datetime(2026, 3, 6).date(), datetime(2124, 9, 2).date())  # noqa: DTZ001 - a calendar day
# Any second of some months before the lines land, summer and winter.
MOMENTS = st.integers(1_740_000_000, 1_772_000_000).map(lambda seconds: seconds * 1000)
TEXTS = st.text("abcXYZ äß/-0123456789", min_size=1, max_size=12).map(lambda text: f"n{text}".strip())


def plain(value: Decimal) -> float:
    """A number as a payload has it: a float, also where it is whole."""
    return float(value)


def last_moment(day: Any, milliseconds: int) -> int:
    return int(datetime.combine(day, time(23, 59, 59), ZONE).timestamp()) * 1000 + milliseconds


@dataclass(frozen=True)
class Common:
    """What every row and payload names: moment, customer, outlet."""

    at_ms: int
    delay_ms: int
    customer_id: int
    log_id: int
    contacts: Json
    store: str
    by_epoch: bool

    @property
    def cells(self) -> Json:
        """Columns of the customer, the outlet and the moment."""
        at = datetime.fromtimestamp(self.at_ms / 1000, ZONE)
        told = (
            {"event_moment": self.at_ms}
            if self.by_epoch
            else {"event_date": at.date().isoformat(), "event_time": at.time().isoformat()}
        )
        return {
            "customer_id": self.customer_id,
            "event_log_id": self.log_id,
            **self.contacts,
            **told,
            "store_code": self.store,
            "store_name": f"Store {self.store}",
            "till_id": 5,
            "till_code": f"{self.store}.1",
        }

    @property
    def identifiers(self) -> Json:
        names = {"mobile": "mobile", "email": "email", "external_id": "externalId"}
        instore = {names[name]: value for name, value in self.contacts.items()}
        return {"customerId": self.customer_id, "instore": {**instore, "cardNumbers": []}}

    @property
    def entered_by(self) -> Json:
        return {
            "id": 5,
            "till": {"code": f"{self.store}.1", "name": ""},
            "store": {"code": self.store, "name": f"Store {self.store}", "externalId": "", "externalId1": ""},
        }

    @property
    def of_program(self) -> Json:
        """What payloads of points and tiers begin with."""
        return {
            "customerIdentifiers": self.identifiers,
            "entityInformation": {"entityType": "USER", "entityId": self.customer_id},
            "loyaltyProgramDetails": PROGRAM,
            "loyaltyProgramId": 973,
        }

    def activity(self, name: str, keys: list[tuple[str, str]]) -> Json:
        return {
            "name": name,
            "identifiers": [{"key": key, "value": value} for key, value in keys],
            "enteredBy": self.entered_by,
            "entityInformation": {"entityType": "USER", "entityId": self.customer_id},
            "additionalAttributes": [],
        }

    def twins(self, name: str, data: Json, template: str, rows: list[Json], details: Json | None = None) -> Twins:
        stored_ms = self.at_ms + self.delay_ms
        return Twins(name, data, template, rows, self.at_ms, stored_ms, self.log_id, details or {})


@st.composite
def common(draw: st.DrawFn) -> Common:
    number = draw(st.integers(10**8, 10**9 - 1))
    contacts = {
        "mobile": f"9198{number}"[:12],
        "email": f"p{number}@mail.example.com",
        "external_id": f"X{number}",
    }
    kept = draw(st.sets(st.sampled_from(sorted(contacts))))
    return Common(
        at_ms=draw(MOMENTS),
        delay_ms=draw(st.integers(0, 60_000)),
        customer_id=draw(IDS),
        log_id=draw(IDS),
        contacts={name: contacts[name] for name in sorted(kept)},
        store=draw(st.sampled_from(["s-1", "s-2"])),
        by_epoch=draw(st.booleans()),
    )
