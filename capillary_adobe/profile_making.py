"""Making profiles: the records of the customers who are due, into the table `xdm_profiles`.

Belongs here: whose profile a run makes, which rows of an earlier try stay, what is set aside, what is settled without being
sent. Does not belong here: rendering one record (`xdm.profiles`), who is due (`state.customers`), delivery
(`adobe.profile_delivery`).

A run makes one row for each customer, of the newest revision. A row whose outcome is known already stays as it is, so that
what was sent goes on standing beside what became of it; every other row of the run's slice is made anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final, NamedTuple

import pyarrow as pa

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.parts import in_parts
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.profiles.identities import Identity, identities_of
from capillary_adobe.spool import Spool
from capillary_adobe.state import WHOLE_DAY, DayReceipts, Receipts, State
from capillary_adobe.state.customers import Customers, Due
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.state.open_profiles import ledger_id
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_PROFILES
from capillary_adobe.xdm.conformance import over_advised
from capillary_adobe.xdm.faults import FaultCounts
from capillary_adobe.xdm.identities import mark
from capillary_adobe.xdm.profiles import Profile, ProfileStage

STAGE: Final = "profile"
"""Stage of quarantined profiles: apart from that of events, whose rows another asset replaces."""
EVENT_NAME: Final = "(profile)"
"""Stands for the event type where rows are of profiles."""
LOOKUPS: Final = "lookups-"
"""Head of the batch ids of runs that make every profile that is due, whoever of the customers had an event."""
MOST_DUE: Final = 10_000
"""Profiles that such a run makes; the next goes on."""

_AT_ONCE: Final = 1000


@dataclass
class ProfileCounts:
    """What became of the customers of a run."""

    customers: int = 0
    made: int = 0
    kept: int = 0
    """Rows of an earlier try whose outcome is known."""
    nothing: int = 0
    """Customers without a profile any more: those who were deleted."""
    bytes: int = 0
    over_advised: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    faults: FaultCounts = field(default_factory=FaultCounts)
    unreadable: Counter[str] = field(default_factory=Counter)


class _Row(NamedTuple):
    """A record that is ready to be stored."""

    due: Due
    id: str
    lane: str
    profile: Profile


class ProfileMaking:
    """Makes the profiles of slices.

    Each call raises StateError where the database cannot be used, LakeError where a table cannot.
    """

    def __init__(self, lake: Lake, state: State, stage: ProfileStage, max_customers: int) -> None:
        self._lake = lake
        self._state = state
        self._stage = stage
        self._customers = Customers(state, max_customers)
        self._uses = IdentityUses(state, max_customers)

    def keys(self, part: Slice) -> dict[CustomerKey, str] | None:
        """Whose profile a slice is about, with the lane: who has an event in it, their survivor, who was merged into them.

        None stands for every customer who is due.
        """
        if part.batch_id is not None and part.batch_id.startswith(LOOKUPS):
            return None
        found = customers_of(self._lake, part)
        if part.batch_id is None:
            # The run replaces the rows of every batch of the day, those of look-ups among them.
            found = self._stored(part) | found
        for victim, survivor in self._customers.survivors(found).items():
            found[survivor] = _livelier(found.get(survivor), found[victim])
        # The event of a merge is the survivor's, and the victim may never have another.
        for victim, survivor in self._customers.due_victims(found).items():
            found.setdefault(victim, found[survivor])
        return found

    def make(
        self, part: Slice, keys: Mapping[CustomerKey, str] | None, now_ms: int, spacing_ms: int, counts: ProfileCounts
    ) -> None:
        """Make the rows of a slice for these customers; the caller holds the day's lock."""
        kept = _kept(self._lake, self._state, part)
        counts.kept = len(kept)
        settled: list[tuple[CustomerKey, int]] = []
        made: list[str] = []
        with Spool(QUARANTINE) as refused:
            for batch in self._lake.read(QUARANTINE, replace(part, stage=STAGE)):
                for row in batch.to_pylist():
                    refused.add(row)
            due = self._due(keys, now_ms - spacing_ms)
            rows = self._rows(part, due, keys, kept, refused, settled, made, counts)
            self._lake.replace(XDM_PROFILES, part, chain(_kept_rows(self._lake, part, kept), rows))
            self._lake.replace(QUARANTINE, replace(part, stage=STAGE), refused.batches())
        if part.batch_id is not None:
            elsewhere = self._elsewhere(part, made)
            # Its outcome first: the day does not balance while an outcome is told of a record that is nowhere.
            self._lake.remove_events(INGESTION_STATUS, part, elsewhere)
            self._lake.remove_events(XDM_PROFILES, part, elsewhere, column="id")
        self._customers.settle(settled, now_ms)

    def _stored(self, part: Slice) -> dict[CustomerKey, str]:
        found: dict[CustomerKey, str] = {}
        for batch in self._lake.read(XDM_PROFILES, part, ["org_id", "customer_id", "lane"]):
            for org_id, customer_id, lane in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                found[CustomerKey(org_id, customer_id)] = lane
        return found

    def _due(self, keys: Mapping[CustomerKey, str] | None, before_ms: int) -> Iterator[list[Due]]:
        if keys is None:
            yield from in_parts(self._customers.due(None, MOST_DUE, before_ms), _AT_ONCE)
            return
        for some in in_parts(sorted(keys), _AT_ONCE):
            yield self._customers.due(some, len(some), before_ms)

    def _rows(
        self,
        part: Slice,
        due: Iterable[list[Due]],
        keys: Mapping[CustomerKey, str] | None,
        kept: set[str],
        refused: Spool,
        settled: list[tuple[CustomerKey, int]],
        made: list[str],
        counts: ProfileCounts,
    ) -> Iterator[pa.RecordBatch]:
        for some in due:
            rows: list[_Row] = []
            for row in self._rendered(some, keys):
                counts.customers += 1
                if row.id in kept or row.profile.nothing:
                    # Its outcome is known and was not noted yet, or there is nothing to send.
                    counts.nothing += row.id not in kept
                    settled.append((row.due.key, row.due.revision))
                elif row.profile.violations:
                    self._refuse(part, row, refused, counts)
                    settled.append((row.due.key, row.due.revision))
                else:
                    rows.append(row)
                    made.append(row.id)
                    self._count(row.profile, counts)
            if rows:
                yield _batch(part, rows)

    def _rendered(self, due: list[Due], keys: Mapping[CustomerKey, str] | None) -> Iterator[_Row]:
        mine = {one.key: identities_of(one.document) for one in due}
        every: set[Identity] = set().union(*mine.values()) if mine else set()
        shared = {identity: mark(identity) for identity in self._uses.shared(every)} if every else {}
        for one in due:
            held = [shared[identity] for identity in mine[one.key] if identity in shared]
            profile = self._stage.render(one.key, one.document, held)
            lane = "live" if keys is None else keys[one.key]
            yield _Row(one, ledger_id(one.key, one.revision), lane, profile)

    def _count(self, profile: Profile, counts: ProfileCounts) -> None:
        counts.made += 1
        counts.bytes += len(profile.text)
        counts.over_advised += over_advised(len(profile.text))
        counts.unreadable.update(profile.unreadable)

    def _refuse(self, part: Slice, row: _Row, refused: Spool, counts: ProfileCounts) -> None:
        profile, key = row.profile, row.due.key
        rules = [self._stage.rule_of(profile, violation) for violation in profile.violations]
        first = profile.violations[0]
        counts.quarantined[first.code] += 1
        for violation, rule in zip(profile.violations, rules, strict=True):
            counts.faults.add(EVENT_NAME, violation, rule)
        refused.add(
            {
                "day": part.day,
                "batch_id": part.batch_id or WHOLE_DAY,
                "lane": row.lane,
                "stage": STAGE,
                "code": first.code,
                "detail": "; ".join(violation.words for violation in profile.violations)[:2000],
                "pointer": first.pointer,
                "object": quarantine_place(key),
                "line": 0,
                "part": 0,
                "event_name": EVENT_NAME,
                "event_key": row.id,
                "text": profile.text[: 2**20].decode("utf-8", "replace"),
                "category": first.category,
                "keyword": first.keyword,
                "value_type": first.value_type or None,
                "rule": rules[0],
                "cure": first.cure or None,
            }
        )

    def _elsewhere(self, part: Slice, made: list[str]) -> set[str]:
        """Those of the ids that another micro-batch of the day has a row of, too."""
        wanted = set(made)
        if not wanted or self._lake.count(XDM_PROFILES, Slice(part.day)) == len(wanted):
            return set()
        found: set[str] = set()
        for batch in self._lake.read(XDM_PROFILES, Slice(part.day), ["id", "batch_id"]):
            pairs = zip(batch.column("id").to_pylist(), batch.column("batch_id").to_pylist(), strict=True)
            found |= {one for one, batch_id in pairs if batch_id != part.batch_id and one in wanted}
        return found


def keep_settled(lake: Lake, state: State, part: Slice) -> None:
    """Take the rows of a slice away that have no outcome, where no profile can be sent; the caller holds the day's lock.

    Raises:
        StateError, LakeError: the database or the table cannot be used.
    """
    if lake.count(XDM_PROFILES, part):
        lake.replace(XDM_PROFILES, part, _kept_rows(lake, part, _kept(lake, state, part)))


def _kept(lake: Lake, state: State, part: Slice) -> set[str]:
    """The ids of rows of an earlier try whose outcome is known."""
    kept: set[str] = set()
    receipts: DayReceipts | None = None
    for batch in lake.read(XDM_PROFILES, part, ["id"]):
        receipts = receipts or Receipts(state).of_day(part.day, "profiles")
        ids = batch.column("id").to_pylist()
        known = receipts.known(ids)
        kept |= {one for one, fate in zip(ids, known, strict=True) if fate is not None and fate.settled}
    return kept


def _kept_rows(lake: Lake, part: Slice, kept: set[str]) -> Iterator[pa.RecordBatch]:
    if not kept:
        return
    for batch in lake.read(XDM_PROFILES, part):
        mask = [one in kept for one in batch.column("id").to_pylist()]
        rows = batch.filter(pa.array(mask, pa.bool_()))
        if rows.num_rows:
            yield _of_batch(rows, part)


def quarantine_place(key: CustomerKey) -> str:
    """What stands for the landed object in quarantine where a customer's profile could not be made."""
    return f"customers/{key.org_id}/{key.customer_id}"


def customers_of(lake: Lake, part: Slice) -> dict[CustomerKey, str]:
    """The customers who have an event in a slice, with the lane; `live` where they have one of each."""
    found: dict[CustomerKey, str] = {}
    for batch in lake.read(RAW_EVENTS, part, ["org_id", "customer_id", "lane"]):
        for org_id, customer, lane in set(zip(*(column.to_pylist() for column in batch.columns), strict=True)):
            key = customer_key(org_id, customer)
            if key is not None:
                found[key] = _livelier(found.get(key), lane)
    return found


def customer_key(org_id: int, customer_id: str) -> CustomerKey | None:
    """The key of an event's customer; None for an id that is no number, which no customer of Capillary's has."""
    number = int(customer_id) if customer_id.isdecimal() and len(customer_id) < 20 else 2**63
    return CustomerKey(org_id, number) if number < 2**63 else None


def _livelier(one: str | None, other: str) -> str:
    return "live" if "live" in (one, other) else other


def _of_batch(rows: pa.RecordBatch, part: Slice) -> pa.RecordBatch:
    if part.batch_id is not None:
        return rows
    place = rows.schema.get_field_index("batch_id")
    whole: Any = pa.array([WHOLE_DAY] * rows.num_rows, pa.string())
    return rows.set_column(place, rows.schema.field(place), whole)


def _batch(part: Slice, rows: list[_Row]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {
        "day": [part.day] * len(rows),
        "batch_id": [part.batch_id or WHOLE_DAY] * len(rows),
        "lane": [row.lane for row in rows],
        "id": [row.id for row in rows],
        "org_id": [row.due.key.org_id for row in rows],
        "customer_id": [row.due.key.customer_id for row in rows],
        "revision": [row.due.revision for row in rows],
        "newest_ms": [row.profile.newest_ms for row in rows],
        "size": [len(row.profile.text) for row in rows],
        "unreadable": [row.profile.unreadable for row in rows],
        "entity": [row.profile.text.decode() for row in rows],
    }
    return pa.RecordBatch.from_pydict({name: columns[name] for name in XDM_PROFILES.names}, schema=XDM_PROFILES.schema)
