"""What exports tell of customers as they stand: the rows of the members and profiles templates.

Belongs here: learning from events how a customer stands in the end. Does not belong here: the rows of events
(`export_rows.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.envelope import Envelope
from capillary_adobe.demo.brand import PROGRAM, TIERS
from capillary_adobe.demo.export_rows import Cells, ExportRow, plain, who
from capillary_adobe.demo.scene import Json

_TIER_AFTER = {
    "tierUpgraded": "upgradedTierNumber",
    "tierDowngraded": "downgradedTierNumber",
    "tierRenewed": "currentTierNumber",
}
_ACCOUNT_ID = {"mobile": "id_mobile", "unionId": "union_id", "cuid": "id_unique"}


class Standings:
    """Customers as they stand after the events so far, each in the order in which its events were stored."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._members: dict[int, Cells] = {}
        self._profiles: dict[tuple[int, str], Cells] = {}

    def learn(self, event_name: str, envelope: Envelope) -> None:
        """Take in an event of a customer; others are left out."""
        customer = envelope.data.get("customerIdentifiers")
        if type(customer) is not dict or "customerId" not in customer:
            return
        number = int(customer["customerId"])
        member = self._members.setdefault(number, {})
        # An event that names the id alone takes nothing away.
        member.update({column: text for column, text in who(customer).items() if text})
        member.update(self._told(event_name, envelope))
        for source, account in _accounts(customer):
            self._profiles[number, source] = {"user_id": str(number), "source": source, **account}

    def rows(self) -> Iterator[ExportRow]:
        """The rows of both templates, by customer."""
        for number in sorted(self._members):
            program = {"event_program.program_id": str(PROGRAM["id"]), "event_program.program_name": PROGRAM["name"]}
            yield ExportRow("members", 0, {**self._members[number], **program})
        for place in sorted(self._profiles):
            yield ExportRow("profiles", 0, self._profiles[place])

    def _told(self, event_name: str, envelope: Envelope) -> Cells:
        data = envelope.data
        if event_name == "customerAdded":
            joined = datetime.fromtimestamp(envelope.created_ms / 1000, self._zone).date()
            return {"joined_date.date": joined.isoformat(), "source": str(data["source"]).upper()}
        if event_name == "pointsIssued":
            return {
                "loyalty_points": plain(data["programCurrentPoints"]),
                "lifetime_points": plain(data["programLifetimePoints"]),
            }
        if event_name == "pointsRedeemed" and not data.get("isGroupRedemption"):
            return {"loyalty_points": plain(data["redemptionFromEarningPrograms"][0]["programCurrentPoints"])}
        if event_name in _TIER_AFTER:
            tier = TIERS[int(data[_TIER_AFTER[event_name]]) - 1]
            return {"slab_name": tier.name, "slab_number": str(tier.number)}
        return {}


def _accounts(customer: Json) -> Iterator[tuple[str, Cells]]:
    for source, told in customer.items():
        for account in told.get("accounts", ()) if type(told) is dict else ():
            named = {one["identifierType"]: one["identifierValue"] for one in account["identifiers"]}
            yield source.upper(), _account(named)


def _account(named: dict[str, Any]) -> Cells:
    return {_ACCOUNT_ID[kind]: str(value) for kind, value in named.items() if kind in _ACCOUNT_ID}
