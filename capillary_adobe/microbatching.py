"""Micro-batching: which landed objects go into the next micro-batch of a lane.

Belongs here: reading the landing store behind a cursor, the sweep for late objects, caps, and asking again for what
died. Does not belong here: launching runs (`defs/sensors.py`).

The cursor is a high-water mark, never a set of seen keys; what has been taken is in the state database's ledger. New
objects are found behind the mark; those that appeared before it (a slow writer, a replicated store) by a sweep that
lists whole days and asks the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import groupby, takewhile

import orjson
from pydantic import TypeAdapter, ValidationError

from capillary_adobe.landing import LandedObject, LandingStore
from capillary_adobe.landing.store import LANE_FOLDERS, folder_of
from capillary_adobe.settings import LandingSettings, Lane
from capillary_adobe.state import LandedObjects, MicroBatch, MicroBatches

# Time for what one tick lists of a lane's sweep. Dagster ends a tick after 60 s and keeps nothing of it, and new objects
# wait meanwhile.
BUDGET_SECONDS = 5.0
LONGEST_PAUSE_MS = 900_000
_HOUR_MS = 3_600_000
# So many times as long as a sweep over whole days took, the next one waits.
_SWEEP_RESTS = 10


@dataclass
class LaneCursor:
    """Where a lane stands: the mark (day and key), the last sweep, and whose turn it is among the older days.

    A sweep over whole days that ran out of time goes on at `sweep_day` and `sweep_key`, looks no further there than
    `sweep_up_to`, and ends with the day `sweep_last`; it has taken `sweep_took_ms` so far, and the next one has to wait until
    `whole_sweep_ms`.
    """

    day: str = ""
    after_key: str = ""
    swept_ms: int = 0
    turn: int = 0
    sweep_was_last: bool = False
    sweep_day: str = ""
    sweep_key: str = ""
    sweep_up_to: str = ""
    sweep_last: str = ""
    sweep_took_ms: int = 0
    whole_sweep_ms: int = 0
    waited_was_last: bool = False


_MARKS = TypeAdapter(dict[Lane, LaneCursor])


@dataclass
class Cursor:
    """The sensor's cursor, one mark a lane."""

    lanes: dict[Lane, LaneCursor] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """A cursor from its text; one that cannot be read starts anew, the ledger keeps anything from being read twice."""
        try:
            return cls(_MARKS.validate_json(text or "{}"))
        except ValidationError:
            return cls()

    def lane(self, lane: Lane) -> LaneCursor:
        """The mark of a lane."""
        return self.lanes.setdefault(lane, LaneCursor())

    def text(self) -> str:
        """The cursor as JSON."""
        return orjson.dumps({lane: asdict(mark) for lane, mark in self.lanes.items()}).decode()


@dataclass(frozen=True)
class Proposal:
    """The next micro-batch of a lane, or in plain words why there is none."""

    batch: MicroBatch | None
    words: str


class MicroBatcher:
    """Proposes micro-batches; `first_day` is the first partition.

    New objects of the lanes in `left` are left to others, with words that tell to whom.
    """

    def __init__(
        self,
        store: LandingStore,
        ledger: LandedObjects,
        register: MicroBatches,
        settings: LandingSettings,
        first_day: date,
        left: Mapping[Lane, str] | None = None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._register = register
        self._settings = settings
        self._first_day = first_day.isoformat()
        self._left = left or {}

    def propose(self, lane: Lane, mark: LaneCursor, now_ms: int, held: str = "") -> Proposal:
        """The next micro-batch of a lane that has none running; moves the mark along.

        While AEP is down (`held` tells so in words), only the oldest that has failed is asked for again: each other one would
        fail as well, and once AEP is back the older ones come first.
        """
        deadline = time.monotonic() + BUDGET_SECONDS
        unfinished = self._register.unfinished(lane)
        whole_days = self._register.open_days()
        due = [batch for batch in unfinished if batch.whole_day or batch.day not in whole_days]
        # One that has waited for look-ups takes turns with what is new: answers come in for many at once.
        waited = next((batch for batch in due if batch.waited), None)
        failed = [batch for batch in due if not batch.waited]
        for batch in failed[:1] if held else failed:
            if now_ms >= batch.asked_ms + self._pause_ms(batch.attempts + 2 * batch.whole_day):
                return Proposal(batch, f"asking again for {batch.batch_id}, try {batch.attempts + 1}")
        if held and failed:
            return Proposal(None, f"{held}; {len(unfinished)} micro-batches wait for their next try")
        waited_first, mark.waited_was_last = waited is not None and not mark.waited_was_last, False
        if waited is not None and waited_first:
            mark.waited_was_last = True
            return _again(waited)
        today = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
        before = asdict(mark)
        batch = self._next(lane, mark, today, now_ms, deadline)
        if batch is not None and batch.day in whole_days:
            mark.__dict__.update(before)
            return Proposal(None, f"{batch.day} waits for the run over the whole day to finish")
        if batch is not None:
            return Proposal(batch, f"{batch.objects} objects, {batch.bytes} bytes of {batch.day}")
        if waited is not None:
            return _again(waited)
        held = f"; {len(unfinished)} micro-batches wait for their next try" if unfinished else ""
        nothing = f"nothing new behind {mark.after_key or 'the beginning of ' + today}"
        return Proposal(None, f"{self._left.get(lane, nothing)}{held}")

    def _next(self, lane: Lane, mark: LaneCursor, today: str, now_ms: int, deadline: float) -> MicroBatch | None:
        """New objects and swept ones in turns: under steady traffic there is always something new behind the mark."""
        if lane in self._left:
            return None
        if lane == "history":
            return self._swept(lane, mark, today, now_ms, deadline)
        sweep_first = bool(mark.day) and not mark.sweep_was_last
        swept = self._swept(lane, mark, today, now_ms, deadline) if sweep_first else None
        mark.sweep_was_last = swept is not None
        new = None if swept else self._behind_mark(lane, mark, today, now_ms)
        return swept or new or (None if sweep_first else self._swept(lane, mark, today, now_ms, deadline))

    def waiting(self, lane: Lane, mark: LaneCursor, most: int = 10_000) -> int:
        """How many objects have piled up behind the mark, counted up to `most`."""
        if not mark.day:
            return 0
        return sum(1 for _, _ in zip(range(most), self._store.list(lane, mark.day, mark.after_key), strict=False))

    def _behind_mark(self, lane: Lane, mark: LaneCursor, today: str, now_ms: int) -> MicroBatch | None:
        """The next objects behind the mark; the mark's own day is emptied before the next day's turn comes."""
        if not mark.day:
            # A new or lost cursor: behind the last object taken; the sweep finds what was left before it.
            mark.day, mark.after_key = today, max(self._ledger.known_keys(today, lane), default="")
        for day in sorted({mark.day, today}):
            if day < today and day in self._register.open_days():
                # A run over the whole day empties it; today does not wait for that.
                mark.day, mark.after_key = today, ""
                continue
            after = mark.after_key if day == mark.day else ""
            known: set[str] | None = None
            while chosen := self._capped(self._settled(self._store.list(lane, day, after), now_ms)):
                mark.day, mark.after_key = day, chosen[-1].key
                known = self._ledger.known_keys(day, lane) if known is None else known
                if not all(one.key in known for one in chosen):
                    return _batch(lane, day, after, chosen, now_ms)
                # A run over the whole day has been here.
                after = mark.after_key
            if day == today or any(True for _ in self._store.list(lane, day, after)):
                return None
            mark.day, mark.after_key = today, ""
        return None

    def _swept(self, lane: Lane, mark: LaneCursor, today: str, now_ms: int, deadline: float) -> MicroBatch | None:
        """The first untaken objects of the last hour, or of the whole days whose turn it is."""
        if now_ms < mark.swept_ms + self._settings.sweep_seconds * 1000:
            return None
        if now_ms >= mark.whole_sweep_ms:
            return self._swept_whole(lane, mark, today, now_ms, deadline)
        batch = self._swept_lately(mark, now_ms) if lane == "live" else None
        if batch is None:
            mark.swept_ms = now_ms
        return batch

    def _swept_whole(self, lane: Lane, mark: LaneCursor, today: str, now_ms: int, deadline: float) -> MicroBatch | None:
        begun = time.monotonic()
        batch, ended = self._sweep_days(lane, mark, today, now_ms, deadline)
        mark.sweep_took_ms += int((time.monotonic() - begun) * 1000)
        if ended:
            mark.swept_ms = now_ms
            # A bucket lists some 10,000 objects a second, for money: three days of 100,000 must not be listed each minute.
            mark.whole_sweep_ms = now_ms + _SWEEP_RESTS * mark.sweep_took_ms
            mark.sweep_took_ms = 0
        return batch

    def _sweep_days(
        self, lane: Lane, mark: LaneCursor, today: str, now_ms: int, deadline: float
    ) -> tuple[MicroBatch | None, bool]:
        """The first untaken objects of the days to sweep, and whether all of them have been looked at."""
        days = self._days_left(mark, list(self._days_to_sweep(lane, mark, today)))
        for place, (day, takes_turns) in enumerate(days, start=1):
            batch = self._untaken(lane, mark, day, now_ms, deadline)
            if batch is not None or mark.sweep_day:
                return batch, False
            mark.turn += takes_turns
            if place < len(days) and time.monotonic() > deadline:
                mark.sweep_day = days[place][0]
                return None, False
        return None, True

    def _days_left(self, mark: LaneCursor, days: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
        """Of the days to sweep those that a sweep that ran out of time has left; all where there is none."""
        names = [day for day, _ in days]
        if mark.sweep_day not in names:
            mark.sweep_day = mark.sweep_key = mark.sweep_up_to = ""
            mark.sweep_last = names[-1] if names else ""
            return days
        left = days[names.index(mark.sweep_day) :]
        # Days that take turns go round, so that there is always another behind the last.
        end = next((place for place, (day, _) in enumerate(left, start=1) if day == mark.sweep_last), len(left))
        return left[:end]

    def _swept_lately(self, mark: LaneCursor, now_ms: int) -> MicroBatch | None:
        """The first untaken objects of the live lane that lie in this hour or the one before, folder by folder.

        That is where receivers put what the mark has passed: a body that lands aside, an object whose writing took long.
        """
        whole_days = self._register.open_days()
        moments = [datetime.fromtimestamp((now_ms - ago_ms) / 1000, UTC) for ago_ms in (_HOUR_MS, 0)]
        for day in sorted({f"{moment:%Y-%m-%d}" for moment in moments}):
            if not self._first_day <= day <= mark.day or day in whole_days:
                continue
            hour = moments[0].hour if f"{moments[0]:%Y-%m-%d}" == day else 0
            known = self._ledger.known_keys(day, "live")
            for folder in LANE_FOLDERS["live"]:
                after = f"{folder}/{day}/{hour:02}/"
                found = takewhile(
                    lambda one, of=folder, of_day=day: (
                        folder_of(one.key) == of and (of_day < mark.day or one.key <= mark.after_key)
                    ),
                    self._store.list("live", day, after),
                )
                untaken = [one for one in self._settled(found, now_ms) if one.key not in known]
                if chosen := self._capped(untaken):
                    return _batch("live", day, after, chosen, now_ms)
        return None

    def _days_to_sweep(self, lane: Lane, mark: LaneCursor, today: str) -> Iterator[tuple[str, bool]]:
        """Days of this sweep, and whether a day takes turns with others; such days begin where the last sweep ended.

        Not those that a run over the whole day has begun or is wanted for: that run reads what is new in them, and the other
        days must not wait for it.
        """
        whole_days = self._register.open_days()
        days = [day for day in self._store.days(lane) if self._first_day <= day <= today and day not in whole_days]
        # Every day of the history lane may get new objects; in the live lane few ever come to an older day.
        recent = [] if lane == "history" else days[-self._settings.sweep_days :]
        older = days[: len(days) - len(recent)]
        start = mark.turn % len(older) if older else 0
        turns = [*older[start:], *older[:start]]
        yield from ((day, False) for day in recent)
        yield from ((day, True) for day in (turns if lane == "history" else turns[:1]))

    def _untaken(self, lane: Lane, mark: LaneCursor, day: str, now_ms: int, deadline: float) -> MicroBatch | None:
        """The first untaken objects of a day, all of one folder; notes in the mark from where to go on, if at all."""
        after, up_to = (mark.sweep_key, mark.sweep_up_to) if day == mark.sweep_day else ("", "")
        mark.sweep_day = mark.sweep_key = mark.sweep_up_to = ""
        if lane == "live" and (day > mark.day or (day == mark.day and not mark.after_key)):
            return None
        if lane == "live" and day == mark.day and not up_to:
            # Not the mark, which moves on: behind a receiver whose clock is slow a sweep would never come to its end.
            up_to = mark.after_key
        known = self._ledger.known_keys(day, lane)
        untaken: list[LandedObject] = []
        for found in self._settled(self._store.list(lane, day, after), now_ms):
            if up_to and found.key > up_to:
                break
            if found.key not in known:
                untaken.append(found)
            elif not untaken:
                after = found.key
            if time.monotonic() > deadline:
                mark.sweep_day, mark.sweep_key, mark.sweep_up_to = day, after, up_to
                break
        # Not of two folders: the run would list everything between them, and take what is being written there.
        folder = folder_of(untaken[0].key) if untaken else ""
        chosen = self._capped(one for one in untaken if folder_of(one.key) == folder)
        if not chosen:
            return None
        after = max(after, f"{folder}/{day}/")
        mark.sweep_day, mark.sweep_key, mark.sweep_up_to = day, after, up_to
        return _batch(lane, day, after, chosen, now_ms)

    def _pause_ms(self, attempts: int) -> int:
        """How long a micro-batch rests after a try: doubling, so that a service that is down is not hammered."""
        return min(int(self._settings.retry_seconds * 1000) * 2 ** (attempts - 1), LONGEST_PAUSE_MS)

    def _settled(self, found: Iterable[LandedObject], now_ms: int) -> Iterator[LandedObject]:
        """Objects of each folder up to the first that its writer may still be busy with: behind it, order would be lost.

        A folder alone: with one body a second landing aside, the lines of the day would never have their turn.
        """
        youngest_ms = now_ms - int(self._settings.settle_seconds * 1000)
        for _, objects in groupby(found, key=lambda one: folder_of(one.key)):
            # A time in the future is a clock that is wrong, not a writer that is busy; it must not hold up the lane.
            yield from takewhile(lambda one: not youngest_ms < one.stored_ms <= now_ms, objects)

    def _capped(self, found: Iterable[LandedObject]) -> list[LandedObject]:
        chosen: list[LandedObject] = []
        size = 0
        for one in found:
            size += one.size
            if chosen and (len(chosen) >= self._settings.batch_max_objects or size > self._settings.batch_max_bytes):
                break
            chosen.append(one)
        return chosen


def _again(waited: MicroBatch) -> Proposal:
    return Proposal(waited, f"asking again for {waited.batch_id}, whose events waited for look-ups at Capillary")


def _batch(lane: Lane, day: str, after_key: str, chosen: list[LandedObject], now_ms: int) -> MicroBatch:
    """The micro-batch of the chosen objects. Its id sorts by time: statistics tell which files cannot hold its rows."""
    up_to_key = chosen[-1].key
    name = sha256(f"{after_key}|{chosen[0].key}|{up_to_key}".encode()).hexdigest()[:8]
    return MicroBatch(
        batch_id=f"{lane}-{day}-{now_ms:013d}-{name}",
        day=day,
        lane=lane,
        after_key=after_key,
        up_to_key=up_to_key,
        objects=len(chosen),
        bytes=sum(one.size for one in chosen),
    )


def out_of_range(days: Sequence[str], first_day: date, now_ms: int) -> list[str]:
    """Days that have no partition, with the reason, in words."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
    early = [day for day in days if day < first_day.isoformat()]
    told = ((early, "before HISTORY_START"), ([day for day in days if day > today], "in the future"))
    return [_lying(some, where) for some, where in told if some]


def _lying(days: Sequence[str], where: str) -> str:
    if len(days) == 1:
        return f"{days[0]} lies {where}, its objects wait"
    return f"{len(days)} days, {days[0]} to {days[-1]}, lie {where}, their objects wait"
