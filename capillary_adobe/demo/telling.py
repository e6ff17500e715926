"""Telling a day: many customers' stories interleaved into one row of lines, duplicates and broken lines among them.

Belongs here: who is next, what is repeated or held back, and that every story begun is told to its end. Does not belong
here: the plot (`stories.py`), payloads, and the clock: a line's arrival is handed in.

Memory does not grow with the day: at most `_POOL` customers are awake at a time, and what waits for its turn waits for
a bounded number of lines.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from heapq import heappop, heappush
from itertools import accumulate, count

import orjson

from capillary_adobe.demo.bodies import body_of
from capillary_adobe.demo.broken import Broken, broken_line
from capillary_adobe.demo.days import iso
from capillary_adobe.demo.dice import between, dice, pick
from capillary_adobe.demo.envelopes import Request, dress, flat, request_of
from capillary_adobe.demo.happenings import Bought, Happening, Spent
from capillary_adobe.demo.members import GUESTS_FROM, Member
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.scene import Json, scene_of
from capillary_adobe.demo.sidelights import Standing, sidelight
from capillary_adobe.demo.stories import CHAPTER_DAYS, Chapter, Visit, chapter

_POOL = 200
_LINES_PER_CUSTOMER_AWAKE = 100
_GUESTS = 0.28
# A little above what chapters have: all regulars of a day must fit into it, or a later day goes on with a story whose
# middle is missing.
_LINES_PER_CHAPTER = 6.2
_MOST_LINES_BETWEEN = 6
_LONGEST_REPEAT = 400
_LONGEST_HOLD = 40
_TRIES = 8
_KINDS = tuple(Broken)


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it lands. `event` is the catalogue's name, None for a broken line."""

    arrival_ms: int
    raw: bytes
    event: str | None
    is_duplicate: bool = False
    broken: Broken | None = None


@dataclass(slots=True)
class _Story:
    """A customer awake: the rest of the chapter, and how far it has been told."""

    member: Member
    visits: list[Visit]
    happenings: list[tuple[Happening, Request]] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)
    last_created_ms: int = 0


@dataclass(slots=True)
class _Told:
    """An event on paper."""

    name: str
    event: Json
    raw: bytes


class Teller:
    """The stories of one day.

    `lines` is how many lines the whole day has: it decides how many of the customers come back on later days, which is
    why days with the same number of lines fit together. A live feed begins at place `start` of that row of customers.
    """

    def __init__(self, day: date, lines: int, seed: int, mix: Mix, org_id: int, start: int = 0) -> None:
        self._rng = dice(seed, day.toordinal())
        self._seed = seed
        self._today = day.toordinal()
        self._mix = mix
        self._org_id = org_id
        self._pool = max(1, min(_POOL, lines // _LINES_PER_CUSTOMER_AWAKE))
        by_stories = lines * (1 - mix.duplicates - mix.broken - mix.other)
        self._regulars = self._places(int(by_stories * (1 - _GUESTS) / _LINES_PER_CHAPTER), start)
        self._guests = count(GUESTS_FROM + start)
        self._started = start
        self._shapes = tuple(mix.shapes)
        self._shape_bounds = tuple(accumulate(mix.shapes.values()))
        self._resting: list[_Story] = []
        self._awake: list[tuple[int, int, _Story]] = []
        self._repeats: list[tuple[int, int, _Told]] = []
        self._held: list[tuple[int, int, _Told]] = []
        self._position = 0
        self._order = count()
        self._owed = 0

    @property
    def started(self) -> int:
        """How many customers have been woken, which is where a feed that continues this one starts."""
        return self._started

    @property
    def owed(self) -> int:
        """Lines that the stories begun still need."""
        return self._owed

    def _places(self, chapters: int, start: int) -> Iterator[tuple[int, int, int]]:
        """Cohort, place and chapter of those who come back: all chapters that fall on this day, place by place."""
        for place in range(start // len(CHAPTER_DAYS), max(1, chapters // len(CHAPTER_DAYS))):
            for number, distance in enumerate(CHAPTER_DAYS):
                yield self._today - distance, place, number

    def tell(self, arrival_ms: int, remaining: int) -> Line:
        """The next line; `remaining` counts the lines still to come, this one included."""
        self._position += 1
        spare = remaining - self._owed
        aside = self._aside(arrival_ms) if spare > 0 else None
        if aside is not None:
            return aside
        told = self._next(arrival_ms, spare)
        if self._owed and self._rng.random() < self._mix.stragglers:
            due = self._position + between(self._rng, 1, _LONGEST_HOLD)
            heappush(self._held, (due, next(self._order), told))
            told = self._next(arrival_ms, 0)
            self._owed += 1
        return self._line(arrival_ms, told)

    # --- beside the stories ---

    def _aside(self, arrival_ms: int) -> Line | None:
        rng, mix = self._rng, self._mix
        if self._repeats and self._repeats[0][0] <= self._position:
            told = heappop(self._repeats)[2]
            return Line(arrival_ms, self._repeated(told), told.name, is_duplicate=True)
        roll = rng.random()
        if roll < mix.broken:
            kind = pick(rng, _KINDS)
            created_ms = arrival_ms - self._lag()
            return Line(arrival_ms, broken_line(kind, rng, created_ms, self._org_id), None, broken=kind)
        story = self._someone_begun() if roll < mix.broken + mix.other else None
        return self._line(arrival_ms, self._sidelight(story, arrival_ms)) if story else None

    def _someone_begun(self) -> _Story | None:
        """A customer at rest of whom something has been told: nothing may come before a registration."""
        for _ in range(min(_TRIES, len(self._resting))):
            story = pick(self._rng, self._resting)
            if story.last_created_ms:
                return story
        return None

    def _repeated(self, told: _Told) -> bytes:
        # Without an eventId the content is the identity, so such an event comes again as the same bytes only.
        if "eventId" in told.event and self._rng.random() < self._mix.redressed:
            return orjson.dumps(dress(told.event, pick(self._rng, self._shapes), self._rng))
        return told.raw

    def _sidelight(self, story: _Story, arrival_ms: int) -> _Told:
        rng = self._rng
        scene = scene_of(rng, story.member, self._today, self._created(story, arrival_ms))
        name, data = sidelight(scene, story.standing)
        return self._written(name, data, scene.created_ms, request_of(rng, rng.getrandbits(36), None))

    # --- the stories ---

    def _next(self, arrival_ms: int, spare: int) -> _Told:
        """The next event that a story owes."""
        self._wake(spare)
        self._owed -= 1
        if self._held and (self._held[0][0] <= self._position or not (self._awake or self._resting)):
            return heappop(self._held)[2]
        story = self._due_story()
        told = self._event(story, arrival_ms)
        if story.happenings:
            due = self._position + between(self._rng, 1, _MOST_LINES_BETWEEN)
            heappush(self._awake, (due, next(self._order), story))
        elif story.visits:
            self._resting.append(story)
        return told

    def _due_story(self) -> _Story:
        resting, awake = self._resting, self._awake
        if awake and (awake[0][0] <= self._position or not resting):
            return heappop(awake)[2]
        place = int(self._rng.random() * len(resting))
        resting[place], resting[-1] = resting[-1], resting[place]
        return resting.pop()

    def _wake(self, spare: int) -> None:
        """Begin as many stories as fit into the lines that nobody owes yet."""
        while spare > 0 and len(self._resting) + len(self._awake) < self._pool:
            told = self._begun(spare)
            lines = sum(len(visit.happenings) for visit in told.visits)
            if lines:
                self._resting.append(_Story(told.member, told.visits[::-1]))
            self._owed += lines
            spare -= lines

    def _begun(self, spare: int) -> Chapter:
        self._started += 1
        if self._rng.random() >= _GUESTS:
            place = next(self._regulars, None)
            if place is not None:
                begun = chapter(self._seed, *place)
                if sum(len(visit.happenings) for visit in begun.visits) <= spare:
                    return begun
        # Nobody misses the end of a guest's story: a guest never comes back.
        return _shortened(chapter(self._seed, self._today, next(self._guests), 0), spare)

    def _event(self, story: _Story, arrival_ms: int) -> _Told:
        if not story.happenings:
            self._begin_visit(story)
        happening, request = story.happenings.pop()
        created_ms = self._created(story, arrival_ms)
        data = body_of(happening, scene_of(self._rng, story.member, self._today, created_ms))
        return self._written(happening.event, data, created_ms, request)

    def _begin_visit(self, story: _Story) -> None:
        visit = story.visits.pop()
        job = f"loyalty-nightly-{iso(self._today)}" if visit.by_job else None
        request = request_of(self._rng, story.member.id, job)
        story.happenings = [(happening, request) for happening in reversed(visit.happenings)]
        member, standing = story.member, story.standing
        member.email, member.language, member.birthday = visit.email, visit.language, visit.birthday
        standing.balance, standing.lifetime, standing.tier = visit.balance, visit.lifetime, visit.tier
        standing.just_spent = 0
        for happening in visit.happenings:
            if isinstance(happening, Spent) and happening.group_id is None:
                standing.just_spent = happening.points
            elif isinstance(happening, Bought):
                standing.transaction_id = happening.order.transaction_id
                standing.bill_number = happening.order.bill_number

    # --- writing ---

    def _written(self, name: str, data: Json, created_ms: int, request: Request) -> _Told:
        rng = self._rng
        event = flat(rng, name, data, self._org_id, created_ms, request)
        roll = rng.random() * self._shape_bounds[-1]
        shape = self._shapes[min(bisect(self._shape_bounds, roll), len(self._shapes) - 1)]
        return _Told(name, event, orjson.dumps(dress(event, shape, rng)))

    def _line(self, arrival_ms: int, told: _Told) -> Line:
        mix = self._mix
        if mix.duplicates and self._rng.random() < mix.duplicates / (1 - min(mix.duplicates, 0.99)):
            due = self._position + between(self._rng, 1, _LONGEST_REPEAT)
            heappush(self._repeats, (due, next(self._order), told))
        return Line(arrival_ms, told.raw, told.name)

    def _lag(self) -> int:
        """Time from storing to landing: seconds, at times minutes."""
        rng = self._rng
        roll = rng.random()
        if roll < 0.7:
            return between(rng, 400, 8_000)
        return between(rng, 8_000, 180_000) if roll < 0.98 else between(rng, 180_000, 1_200_000)

    def _created(self, story: _Story, arrival_ms: int) -> int:
        """When Capillary stored the event: before it landed, after the same customer's event before."""
        created_ms = max(arrival_ms - self._lag(), story.last_created_ms + between(self._rng, 3, 40))
        story.last_created_ms = min(created_ms, arrival_ms)
        return story.last_created_ms


def _shortened(told: Chapter, lines: int) -> Chapter:
    """The beginning of a chapter, in at most so many lines."""
    visits = []
    for visit in told.visits:
        visit.happenings = visit.happenings[:lines]
        lines -= len(visit.happenings)
        if visit.happenings:
            visits.append(visit)
    told.visits = visits
    return told
