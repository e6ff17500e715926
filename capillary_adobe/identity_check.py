"""Whether what is about to be sent joins customers: entities read back, their identities held against who has them.

Belongs here: reading the identities of stored entities, what they come to. Does not belong here: leaving identities out
(`xdm.identities`), the words for the operator (`defs.identity_guard`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from capillary_adobe.profiles.identities import KINDS, Identity, Kind, fingerprint, hashed_fingerprint
from capillary_adobe.settings import IdentitySettings
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.xdm.identities import CUSTOMER, namespace, policy_of

LOOKED_AT: Final = 200_000
"""Entities of a run that are read back at most; a micro-batch has fewer."""


class Joining(NamedTuple):
    """What the identities of stored entities come to.

    `joined` are identities of more customers among the entities than may share one: the guard let them through. `shared`
    are those that stand in entities of few enough, and that more customers have by now.
    """

    looked_at: int
    identities: int
    joined: int
    shared: int


def joining(entities: Iterable[pa.RecordBatch], settings: IdentitySettings, uses: IdentityUses) -> Joining:
    """Judge batches with the column `entity`."""
    holders: dict[bytes, set[str]] = defaultdict(set)
    looked_at = 0
    texts = (text for batch in entities for text in batch.column("entity").to_pylist())
    kinds = _kinds(settings)
    for text in islice(texts, LOOKED_AT):
        looked_at += 1
        listed: dict[str, list[dict[str, Any]]] = orjson.loads(text)["identityMap"]
        primary = next(one["id"] for one in listed[CUSTOMER] if one["primary"])
        for print_ in _prints(listed, kinds):
            holders[print_].add(primary)
    shared = uses.sharing(holders)
    joined = {one for one, customers in holders.items() if len(customers) > settings.max_customers and one in shared}
    return Joining(looked_at, len(holders), len(joined), len(shared) - len(joined))


def _prints(listed: dict[str, list[dict[str, Any]]], kinds: dict[str, tuple[Kind, bool]]) -> Iterator[bytes]:
    for symbol in listed.keys() & kinds:
        kind, is_hashed = kinds[symbol]
        for one in listed[symbol]:
            yield hashed_fingerprint(kind, one["id"]) if is_hashed else fingerprint(Identity(kind, one["id"]))


def _kinds(settings: IdentitySettings) -> dict[str, tuple[Kind, bool]]:
    """What stands under a namespace, and whether it is hashed."""
    found: dict[str, tuple[Kind, bool]] = {}
    for kind in KINDS:
        symbol = namespace(kind, settings)
        if symbol is not None:
            found[symbol] = kind, policy_of(kind, settings) == "sha256"
    return found
