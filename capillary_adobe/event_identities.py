"""Which identities in events are held back: those that several customers share, or that are not the person's by now.

Belongs here: reading the identities of a batch of events and asking who has them. Does not belong here: what a sound
identity is (`profiles.identities`), the memory of who has one (`state.identity_uses`).
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pyarrow as pa

from capillary_adobe.capillary.catalogue import Catalogue
from capillary_adobe.capillary.person import identifiers_of
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.identities import Identity, identities_of_event
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.xdm.identities import mark


def held_identities(
    events: pa.RecordBatch, persons: Sequence[str | None], catalogue: Catalogue, uses: IdentityUses
) -> list[list[str] | None]:
    """Column `held_identities` of a batch: for each event the marks of what is left out of its `identityMap`.

    `events` has `event_name`, `org_id`, `customer_id` and `data`; `persons` are the customers whose events they are, after
    merges. Ask when the customers of the batch are merged, so that those who share something within it are known.
    """
    names, orgs, ids, texts = (
        events.column(name).to_pylist() for name in ("event_name", "org_id", "customer_id", "data")
    )
    told: list[tuple[CustomerKey, frozenset[Identity]]] = []
    for name, org_id, customer_id, person, text in zip(names, orgs, ids, persons, texts, strict=True):
        event_type = catalogue.find(name)
        holder = identifiers_of(event_type, orjson.loads(text)) if event_type else None
        told.append((CustomerKey(int(org_id), int(person or customer_id)), identities_of_event(holder)))
    held = uses.held((key, identity) for key, identities in told for identity in identities)
    found = [sorted(mark(one) for one in identities if (key, one) in held) for key, identities in told]
    return [marks or None for marks in found]
