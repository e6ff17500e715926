"""Merges of customers: a row becomes one `loyaltyCustomerMerge`.

Belongs here: survivor and victim. Does not belong here: what a merge does to their documents (`profiles.facts_from_events`).
Source: docs.capillarytech.com/docs/customer-merge-event-log-standard-export-template
"""

from __future__ import annotations

from collections.abc import Sequence

from capillary_adobe.capillary.insights.events.reading import Told, agreed, said
from capillary_adobe.capillary.insights.events.surroundings import customer
from capillary_adobe.capillary.insights.model import Exported, RowIgnored

_VICTIM = "victim_customer_id"


def key_of(told: Told) -> str:
    """What the rows of a merge share: the victim, who is merged away but once.

    Raises:
        RowIgnored: reason `merged_into_itself`.
        RowRefused: a number of a customer is missing, masked or cannot be read.
    """
    victim = told.customer_id(_VICTIM)
    if victim == told.customer_id():
        raise RowIgnored("merged_into_itself")
    return f"merges|{victim}"


def events_of(rows: Sequence[Told]) -> list[Exported]:
    """The event of the rows that name one victim.

    Raises:
        RowRefused: `rows_disagree`, where they name several survivors.
    """
    agreed(rows, "customer_id", Told.id)
    first = rows[0]
    key = key_of(first)
    victim = said(
        customerId=first.id(_VICTIM),
        instore=said(
            mobile=first.text("victim_mobile"),
            email=first.text("victim_email"),
            externalId=first.text("victim_external_id"),
        ),
    )
    data = {"survivorCustomerIdentifiers": customer(first), "victimCustomerIdentifiers": victim}
    at_ms = min(row.moment_ms() for row in rows)
    return [Exported("loyaltyCustomerMerge", at_ms, data, key, (), event_log_id=first.id("event_log_id"))]
