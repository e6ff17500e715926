"""What is known of an event from elsewhere than its payload, as of the event's own time, and which look-ups it wants.

Belongs here: the customer's loyalty at that time, whose profile the event belongs to, which of its identities are shared, the
details of its transaction, and whether it waits for any of that. Does not belong here: keeping that knowledge (`state`),
asking for it (`looking_up.py`), the columns that the payload tells (`capillary.enrichment`).

| event | knows of the customer's loyalty |
| --- | --- |
| any | what had been said at its own time, `created_ms` |
| live and current, when that is nothing or no longer fresh | what had been said when the look-up that it set off was answered |
| any other | nothing |

The details of a bill are those that the export told, for an event made of an export's rows; else those that were looked up.

An event is current if it landed within a day of its creation. The look-up that it set off is one of the quarter of an hour
after its landing, or of the time for which it is held. So neither a backfill of last year nor a day that is made again a month
later takes what became known since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from capillary_adobe.capillary.catalogue import Catalogue, shipped_catalogue
from capillary_adobe.capillary.enrichment import Known
from capillary_adobe.capillary.history_line import SHAPE as OF_AN_EXPORT
from capillary_adobe.capillary.names import Names
from capillary_adobe.capillary.transaction_details import TYPES
from capillary_adobe.capillary.values import Unreadable, identifier, utc
from capillary_adobe.event_identities import held_identities
from capillary_adobe.profiles.document import MERGED_INTO, CustomerKey, Register
from capillary_adobe.settings import (
    CapillaryApiSettings,
    CapillarySettings,
    IdentitySettings,
    LookupSettings,
    ProfileSettings,
    load,
)
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.identity_uses import IdentityUses
from capillary_adobe.state.lookups import HISTORY, LIVE, LookupQueue, Wanted
from capillary_adobe.state.loyalty_history import LoyaltyHistory
from capillary_adobe.state.transaction_details import TransactionDetails

SET_OFF_WITHIN_MS: Final = 15 * 60_000
"""How long after its landing the look-up that a live event has set off may tell of its customer."""
_DAY_MS: Final = 24 * 3_600_000
# Events of one micro-batch land within seconds of each other; they are let go together.
_LET_GO_TOGETHER_MS: Final = 30_000
_ASKED_AT_ONCE: Final = 1_000

COLUMNS: Final = ("org_id", "customer_id", "lane", "created_ms", "landed_ms", "event_name", "envelope", "data")


@dataclass(frozen=True)
class Rules:
    """The settings that decide what an event may know and what it waits for; moments and times in ms.

    `now_ms` is the same for a whole run, so that the order of its rows decides nothing.
    """

    now_ms: int
    customers: bool
    transactions: bool
    holds: bool
    hold_ms: int
    fresh_ms: int
    skew_ms: int
    default_program: str | None

    @classmethod
    def of_environment(cls, now_ms: int) -> Rules:
        """As the settings have them."""
        lookups, has_api = load(LookupSettings), load(CapillaryApiSettings).complete
        return cls(
            now_ms=now_ms,
            customers=has_api and lookups.customers,
            transactions=has_api and lookups.transactions,
            holds=lookups.policy == "hold",
            hold_ms=int(lookups.hold_minutes * 60_000),
            fresh_ms=int(lookups.fresh_hours * 3_600_000),
            skew_ms=load(CapillarySettings).clock_skew_seconds * 1000,
            default_program=load(ProfileSettings).default_program,
        )

    def is_current(self, event: Event) -> bool:
        """Whether the state at its landing may stand for the state at the event's own time."""
        return event.lane == "live" and event.landed_ms - event.created_ms <= _DAY_MS + self.skew_ms

    def knows_until_ms(self, event: Event) -> int:
        """Until when what is said may be told of a current event."""
        return event.landed_ms + max(SET_OFF_WITHIN_MS, self.hold_ms if self.holds else 0)

    def is_pressing(self, event: Event) -> bool:
        """Whether the event has just landed: its look-ups come before those of history and of days that are made again."""
        return event.lane == "live" and self.now_ms < self.knows_until_ms(event)

    def may_be_looked_up(self, event: Event) -> bool:
        """Whether an answer that comes now would still be told of the event."""
        return self.customers and self.is_current(event) and self.now_ms < self.knows_until_ms(event)

    def waits_until_ms(self, event: Event) -> int | None:
        """Until when the event is held for a look-up; None where it is not."""
        until_ms = event.landed_ms + self.hold_ms
        together_ms = min(_LET_GO_TOGETHER_MS, self.hold_ms // 10)
        # What is said to have landed later than now was landed by a clock that is wrong, and would wait until that is right.
        sound = event.landed_ms <= self.now_ms + max(self.skew_ms, _LET_GO_TOGETHER_MS)
        return until_ms if self.holds and sound and self.now_ms < until_ms - together_ms else None


class Event(NamedTuple):
    """What of an event decides what is known of it."""

    key: CustomerKey
    lane: str
    created_ms: int
    landed_ms: int
    name: str
    envelope: str
    data: str
    program: str | None = None

    @property
    def exported(self) -> dict[str, Any]:
        """Details of the bill that the export told beside the bill itself; empty for an event of a webhook."""
        if self.envelope != OF_AN_EXPORT or '"exported":' not in self.data:
            return {}
        told = orjson.loads(self.data).get("exported")
        return told if type(told) is dict else {}

    @property
    def transaction(self) -> Wanted | None:
        """The look-up of the details of a new transaction; None for any other event, and where an export told them."""
        if self.name != "transactionAdded" or self.exported:
            return None
        payload = orjson.loads(self.data)
        try:
            transaction_id = identifier(payload.get("transactionId"))
        except Unreadable:
            return None
        kind = TYPES.get(str(payload.get("billType") or "REGULAR").upper())
        return Wanted.of_transaction(self.key, transaction_id, kind) if transaction_id and kind else None


class Elsewhere:
    """Tells what is known of events; every method raises StateError where the database cannot be read."""

    def __init__(
        self,
        state: State,
        rules: Rules,
        identities: IdentitySettings,
        names: Names,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._rules = rules
        self.names = names
        self._catalogue = catalogue or shipped_catalogue()
        self._customers = Customers(state, identities.max_customers)
        self._history = LoyaltyHistory(state)
        self._uses = IdentityUses(state, identities.max_customers)
        self._details = TransactionDetails(state)
        self._queue = LookupQueue(state)
        self.waits: dict[Wanted, int] = {}
        """What the events told of so far wait for, and until when (epoch ms)."""

    def want(self, rows: Iterable[pa.RecordBatch]) -> list[Wanted]:
        """Put the look-ups that events want into the queue; those that are worth asking for at once, of live events.

        `rows` are raw events with the columns `wanted_columns`.
        """
        urgent: dict[Wanted, None] = {}
        for batch in rows:
            events = list(_events(batch))
            live, others = self._wanted(events)
            self._queue.want(others, HISTORY, self._rules.now_ms)
            self._queue.want(live, LIVE, self._rules.now_ms)
            for one in live[: _ASKED_AT_ONCE - len(urgent)]:
                urgent[one] = None
        return list(urgent)

    @property
    def wanted_columns(self) -> list[str]:
        """The columns of raw events that decide what they want; the payload is read for bills alone."""
        return [name for name in COLUMNS if name != "data" or self._rules.transactions]

    def _wanted(self, events: Sequence[Event]) -> tuple[list[Wanted], list[Wanted]]:
        live: dict[Wanted, None] = {}
        others: dict[Wanted, None] = {}
        if self._rules.customers:
            before_ms = self._rules.now_ms - self._rules.fresh_ms
            stale = set(self._customers.not_fresh(list({event.key for event in events}), before_ms))
            for event in events:
                if event.key in stale:
                    wanted = Wanted.of_customer(event.key)
                    (live if self._rules.is_pressing(event) else others)[wanted] = None
        if self._rules.transactions:
            bills, known = self._transactions(events)
            for event, wanted in zip(events, bills, strict=True):
                if wanted is not None and wanted not in known:
                    (live if self._rules.is_pressing(event) else others)[wanted] = None
        return list(live), [one for one in others if one not in live]

    def known(self, rows: pa.RecordBatch) -> Known:
        """What is known of enriched events; notes what they wait for in `waits`."""
        events = list(_events(rows))
        people = self._people(events)
        states = self._states([event._replace(key=person) for event, person in zip(events, people, strict=True)])
        persons = [str(person.customer_id) for person in people]
        held = held_identities(rows, persons, self._catalogue, self._uses)
        stale = self._stale(events)
        transactions, details = self._transactions(events)
        looked_up: list[str | None] = []
        waits_for: list[str | None] = []
        gaps: list[list[str]] = []
        for place, event in enumerate(events):
            state, wanted = states[place], transactions[place]
            told = {"customer": state, "transaction": details.get(wanted) if wanted else event.exported}
            told = {name: value for name, value in told.items() if value}
            looked_up.append(orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode() if told else None)
            missed = list(self._missed(event, state, wanted, stale, details))
            gaps.append([one.kind for one in missed])
            waits_for.append(self._waits_for(event, missed))
        return Known([*persons], held, looked_up, waits_for, gaps)

    def _missed(
        self,
        event: Event,
        state: dict[str, Any] | None,
        transaction: Wanted | None,
        stale: set[CustomerKey],
        details: dict[Wanted, dict[str, Any]],
    ) -> Iterator[Wanted]:
        """The look-ups that the event wanted and that have not been made."""
        may_come = self._rules.may_be_looked_up(event)
        # Too late for an answer to be told, it is missed only if nothing else tells of the customer.
        late = self._rules.customers and not may_come and self._rules.is_current(event) and state is None
        if (may_come and event.key in stale) or late:
            yield Wanted.of_customer(event.key)
        if self._rules.transactions and transaction is not None and transaction not in details:
            yield transaction

    def _waits_for(self, event: Event, missed: Sequence[Wanted]) -> str | None:
        until_ms = self._rules.waits_until_ms(event)
        worth = [one for one in missed if one.kind == "transaction" or self._rules.may_be_looked_up(event)]
        if until_ms is None or not worth:
            return None
        for one in worth:
            self.waits[one] = min(until_ms, self.waits.get(one, until_ms))
        return worth[0].kind

    def _stale(self, events: Sequence[Event]) -> set[CustomerKey]:
        asked = {event.key for event in events if self._rules.may_be_looked_up(event)}
        if not asked:
            return set()
        return set(self._customers.not_fresh(list(asked), self._rules.now_ms - self._rules.fresh_ms))

    def _people(self, events: Sequence[Event]) -> list[CustomerKey]:
        """Whose profile each event belongs to: after a merge the survivor's, as far as the event is not older than it."""
        ends = self._customers.survivors({event.key for event in events})
        steps = self._steps(ends) if ends else {}
        return [_person(event, steps) for event in events]

    def _steps(self, ends: dict[CustomerKey, CustomerKey]) -> dict[CustomerKey, tuple[int, CustomerKey]]:
        """The merges on the way to the survivors: when each victim was merged (epoch microseconds), and into whom."""
        steps: dict[CustomerKey, tuple[int, CustomerKey]] = {}
        ahead = set(ends)
        while ahead:
            found = self._customers.documents(ahead)
            ahead = set()
            for key, document in found.items():
                register = document.get(MERGED_INTO)
                if register is not None and register.value is not None:
                    into = CustomerKey(key.org_id, int(register.value))
                    steps[key] = register.stamp.at_us, into
                    ahead |= {into} - steps.keys()
        # A circle of merges ends where the register of customers says.
        for end in set(ends.values()):
            steps.pop(end, None)
        return steps

    def _transactions(self, events: Sequence[Event]) -> tuple[list[Wanted | None], dict[Wanted, dict[str, Any]]]:
        if not self._rules.transactions:
            return [None] * len(events), {}
        # Nothing is kept of a bill of a deleted customer, so it would be asked for again and again.
        gone = self._customers.deleted({event.key for event in events})
        wanted = [None if event.key in gone else event.transaction for event in events]
        return wanted, self._details.of([one for one in wanted if one is not None])

    def _states(self, events: Sequence[Event]) -> list[dict[str, Any] | None]:
        """The loyalty of each event's customer as of the event."""
        then = self._history.registers_as_of([(event.key, event.created_ms * 1000) for event in events])
        states = [self._state(event, known) for event, known in zip(events, then, strict=True)]
        again = [
            place
            for place, event in enumerate(events)
            if self._rules.is_current(event) and not self._is_fresh(event, states[place])
        ]
        later = self._history.registers_as_of(
            [(events[place].key, self._rules.knows_until_ms(events[place]) * 1000) for place in again]
        )
        for place, known in zip(again, later, strict=True):
            states[place] = self._state(events[place], known) or states[place]
        return [None if state is None else state.told for state in states]

    def _is_fresh(self, event: Event, state: _State | None) -> bool:
        return state is not None and state.newest_us // 1000 >= event.created_ms - self._rules.fresh_ms

    def _state(self, event: Event, known: dict[str, Register]) -> _State | None:
        program = event.program or self._program_of(known)
        fields = {
            "tier": f"program.{program}.tier_name",
            "tierNumber": f"program.{program}.tier_number",
            "points": f"program.{program}.points",
            "lifetimePoints": f"program.{program}.lifetime_points",
        }
        found = {ours: known[name] for ours, name in fields.items() if program and name in known}
        told: dict[str, Any] = {"program": program} if found else {}
        if "status" in known:
            found["status"] = known["status"]
        if not found:
            return None
        told |= {name: register.value for name, register in found.items()}
        number = told.get("tierNumber")
        if program and program.isdecimal() and type(number) is int:
            named = self.names.tier_names.get((int(program), number))
            if named and "tier" not in told:
                told["tier"] = named
        newest_us = max(register.stamp.at_us for register in found.values())
        return _State(told | {"asOf": utc(newest_us // 1000)}, newest_us)

    def _program_of(self, known: dict[str, Register]) -> str | None:
        """The program that an event without one is told of: the default one, else the only one."""
        programs = {name.split(".")[1] for name in known if name.startswith("program.")}
        if self._rules.default_program is not None:
            return self._rules.default_program
        defaults = sorted(
            one for one in programs if (told := known.get(f"program.{one}.is_default")) and told.value is True
        )
        return defaults[0] if defaults else programs.pop() if len(programs) == 1 else None


class _State(NamedTuple):
    told: dict[str, Any]
    newest_us: int


def _person(event: Event, steps: dict[CustomerKey, tuple[int, CustomerKey]]) -> CustomerKey:
    key, seen = event.key, {event.key}
    while key in steps:
        merged_us, into = steps[key]
        if event.created_ms * 1000 < merged_us or into in seen:
            break
        key = into
        seen.add(key)
    return key


def _events(rows: pa.RecordBatch) -> Iterator[Event]:
    there, nothing = set(rows.schema.names), [None] * rows.num_rows
    names = (*COLUMNS, "program_id")
    columns = [rows.column(name).to_pylist() if name in there else nothing for name in names]
    for org_id, customer_id, lane, created_ms, landed_ms, name, shape, data, program in zip(*columns, strict=True):
        key = CustomerKey(org_id, int(customer_id))
        yield Event(key, lane, created_ms, landed_ms, name, shape, data or "", program)
