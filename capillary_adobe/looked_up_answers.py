"""Answers to look-ups: into the documents of the customers and the details of transactions.

Belongs here: what an answer of each kind makes of a customer, and noting that it came. Does not belong here: asking
(`looking_up.py`), reading the fields of an answer (`profiles.facts_from_api`, `capillary.transaction_details`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.api.customers import CustomerAnswer
from capillary_adobe.capillary.api.transactions import TransactionAnswer
from capillary_adobe.capillary.transaction_details import details_of
from capillary_adobe.profiles.document import DELETED, MERGED_INTO, CustomerKey, Facts, Stamp
from capillary_adobe.profiles.facts_from_api import facts_of_bulk_customer, facts_of_customer
from capillary_adobe.profiles.reading import Read
from capillary_adobe.settings import (
    CapillarySettings,
    ErasureSettings,
    IdentitySettings,
    LookupSettings,
    ProfileSettings,
    load,
)
from capillary_adobe.state import State
from capillary_adobe.state.awaited import Awaited
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.erasures import Erasures
from capillary_adobe.state.lookups import LIVE, LookupQueue, Wanted
from capillary_adobe.state.transaction_details import TransactionDetails

if TYPE_CHECKING:
    from capillary_adobe.looking_up import Asked


@dataclass(frozen=True)
class Reading:
    """How answers are read."""

    profiles: ProfileSettings
    zone: ZoneInfo
    erasure_label: str
    tax_paths: str
    fresh_ms: int


class Answers:
    """Takes answers in; every method raises StateError where the database cannot be used."""

    def __init__(self, state: State, reading: Reading, max_customers: int) -> None:
        self._reading = reading
        self._customers = Customers(state, max_customers)
        self._erasures = Erasures(state)
        self._queue = LookupQueue(state)
        self._details = TransactionDetails(state)
        self._awaited = Awaited(state)

    @classmethod
    def of(cls, state: State) -> Answers:
        """Answers read as the environment says."""
        lookups = load(LookupSettings)
        reading = Reading(
            load(ProfileSettings),
            load(CapillarySettings).zone,
            load(ErasureSettings).label,
            lookups.tax_paths,
            int(lookups.fresh_hours * 3_600_000),
        )
        return cls(state, reading, load(IdentitySettings).max_customers)

    def take(
        self, answers: Iterable[tuple[Wanted, CustomerAnswer | TransactionAnswer]], now_ms: int, asked: Asked
    ) -> None:
        """Merge what was answered and count it; whoever is killed on the way asks again."""
        facts: list[Facts] = []
        survivors: list[Wanted] = []
        looked_up: list[CustomerKey] = []
        of_customers: list[Wanted] = []
        oldest_ms = now_ms
        details: list[tuple[Wanted, TransactionAnswer]] = []
        for wanted, answer in answers:
            if isinstance(answer, TransactionAnswer):
                details.append((wanted, answer))
                continue
            of_customers.append(wanted)
            looked_up.append(wanted.customer)
            oldest_ms = min(oldest_ms, answer.asked_us // 1000)
            survivors += self._read(wanted.customer, answer, facts, asked)
        merged = self._customers.merge(facts)
        if merged.deleted:
            self._erasures.note(sorted(merged.deleted), now_ms)
        self._customers.note_looked_up(looked_up, oldest_ms)
        # Not who was asked about lately: two accounts that are said to be merged into each other would be for ever.
        stale = set(self._customers.not_fresh([one.customer for one in survivors], now_ms - self._reading.fresh_ms))
        self._queue.want([one for one in survivors if one.customer in stale], LIVE, now_ms)
        # Asked before the deletion and answered after it.
        gone = self._customers.deleted(one.customer for one, _ in details)
        kept = [(one, answer) for one, answer in details if one.customer not in gone]
        self._details.keep([(one, details_of(answer.body, self._reading.tax_paths)) for one, answer in kept], now_ms)
        asked.transactions += len(details)
        self._awaited.answered([*of_customers, *(one for one, _ in details)], now_ms)

    def give_up(self, wanted: Sequence[Wanted], now_ms: int) -> None:
        """Let go what waits for look-ups that Capillary has refused again and again."""
        self._customers.note_looked_up([one.customer for one in wanted if one.kind == "customer"], now_ms)
        self._details.keep([(one, {}) for one in wanted if one.kind == "transaction"], now_ms)
        self._awaited.answered(wanted, now_ms)

    def _read(self, key: CustomerKey, answer: CustomerAnswer, facts: list[Facts], asked: Asked) -> list[Wanted]:
        """Add the facts of an answer and count it; the look-ups that it leads to."""
        stamp = Stamp(answer.asked_us, 0, "api")
        setattr(asked, answer.kind, getattr(asked, answer.kind) + 1)
        asked.partial += answer.partial
        if answer.kind == "deleted":
            facts.append(Facts(key, stamp, {DELETED: True}))
        elif answer.kind == "found":
            self._add(self._facts(answer, key), facts, asked)
        elif answer.kind == "merged" and answer.survivor not in (None, key.customer_id):
            survivor = CustomerKey(key.org_id, int(answer.survivor))
            facts.append(Facts(key, stamp, {MERGED_INTO: survivor.customer_id}))
            facts.append(Facts(survivor, stamp, {f"merged.{key.customer_id}": True}))
            if answer.body is None:
                return [Wanted.of_customer(survivor)]
            self._add(self._facts(answer, survivor), facts, asked)
        return []

    def _facts(self, answer: CustomerAnswer, key: CustomerKey) -> Read:
        read = facts_of_bulk_customer if answer.bulk else facts_of_customer
        r = self._reading
        return read(answer.body, key, answer.asked_us, r.profiles, r.zone, r.erasure_label)

    def _add(self, read: Read, facts: list[Facts], asked: Asked) -> None:
        facts += read.facts
        asked.masked += read.masked
        asked.unreadable += len(read.unreadable)
