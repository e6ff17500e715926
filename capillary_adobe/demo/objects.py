"""A day of traffic as objects of a landing store.

Belongs here: cutting lines into objects, the forms in which writers leave them, late writing. Does not belong here: the
store (`landing`), the lines (`rhythm.py`, `telling.py`).
"""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.days import HOUR_MS
from capillary_adobe.demo.dice import dice
from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.rhythm import day_of_lines
from capillary_adobe.demo.telling import Line
from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.store import EVENTS, landed_key

_HELD_FOR = 3
_SMALL = 200


class Form(Enum):
    """How an object holds its lines. Only the first three can hold lines that are not JSON."""

    LINES = "lines"
    LINES_WITH_BOM = "lines_with_bom"
    LINES_WITH_CRLF = "lines_with_crlf"
    ARRAY = "array"
    WITHOUT_BREAKS = "without_breaks"


_BY_LINE = frozenset({Form.LINES, Form.LINES_WITH_BOM, Form.LINES_WITH_CRLF})
_FORMS = (
    Form.LINES,
    Form.LINES_WITH_CRLF,
    Form.LINES,
    Form.ARRAY,
    Form.LINES,
    Form.LINES_WITH_BOM,
    Form.LINES,
    Form.WITHOUT_BREAKS,
    Form.LINES,
)
_COMPRESSED_EVERY = 5


@dataclass
class Written:
    """What was written."""

    lines: int = 0
    objects: int = 0
    bytes: int = 0
    """Bytes as stored, compressed where the object is."""
    duplicates: int = 0
    """Lines that repeat the event of an earlier line."""
    broken: int = 0
    """Lines that cannot become an event."""
    late_objects: int = 0
    """Objects written after objects whose names sort behind theirs."""
    by_event_name: Counter[str] = field(default_factory=Counter)
    """Sound lines by event, duplicates included: together with `broken` they are all lines."""
    by_flaw: Counter[str] = field(default_factory=Counter)
    """Broken lines by the value of their `Broken`."""

    def count(self, line: Line) -> None:
        """Take in a line."""
        self.lines += 1
        self.duplicates += line.is_duplicate
        if line.broken is not None:
            self.broken += 1
            self.by_flaw[line.broken.value] += 1
        elif line.event is not None:
            self.by_event_name[line.event] += 1

    def add(self, other: Written) -> None:
        """Take in what another writer wrote."""
        self.lines += other.lines
        self.objects += other.objects
        self.bytes += other.bytes
        self.duplicates += other.duplicates
        self.broken += other.broken
        self.late_objects += other.late_objects
        self.by_event_name += other.by_event_name
        self.by_flaw += other.by_flaw


def write_day(
    landing: LandingStore, day: date, events: int, seed: int = 1, mix: Mix = USUAL, lines_per_object: int = 2000
) -> Written:
    """Land a day: `events/<day>/<hour>/<name>` in the landing store, each object complete or absent.

    A name begins with the arrival of the object's last line, so that names sort as a receiver would have written them.
    Writing the same day again writes the same objects again; another number of events leaves the former's behind.

    Raises:
        LandingError: the store cannot be written, or holds another object under one of the names.
    """
    shelf = _Shelf(landing, seed, mix)
    batch = _Batch(0, lines_per_object)
    for line in day_of_lines(day, events, seed, mix, ORG_ID):
        if batch.lines and not batch.takes(line):
            shelf.put(batch)
            batch = _Batch(batch.number + 1, lines_per_object)
        batch.add(line)
    if batch.lines:
        shelf.put(batch)
    shelf.release(batch.number)
    return shelf.written


class _Batch:
    """The lines of one object."""

    def __init__(self, number: int, most: int) -> None:
        self.number = number
        self.lines: list[Line] = []
        self.form = _FORMS[number % len(_FORMS)]
        self._most = most if self.form in _BY_LINE else min(most, _SMALL)

    def takes(self, line: Line) -> bool:
        """Whether the line belongs into this object too: same hour, still room, and readable in this form."""
        return (
            len(self.lines) < self._most
            and self.lines[0].arrival_ms // HOUR_MS == line.arrival_ms // HOUR_MS
            and (line.broken is None or self.form in _BY_LINE)
        )

    def add(self, line: Line) -> None:
        """Take in a line."""
        if line.broken is not None and self.form not in _BY_LINE:
            self.form = Form.LINES
        self.lines.append(line)

    def text(self) -> bytes:
        """The object's bytes before compression."""
        raws = [line.raw for line in self.lines]
        if self.form is Form.ARRAY:
            return b"[" + b",".join(raws) + b"]"
        if self.form is Form.WITHOUT_BREAKS:
            return b"".join(raws)
        if self.form is Form.LINES_WITH_CRLF:
            return b"\r\n".join(raws) + b"\r\n"
        text = b"\n".join(raws) + b"\n"
        return b"\xef\xbb\xbf" + text if self.form is Form.LINES_WITH_BOM else text


@dataclass(frozen=True, slots=True)
class _Held:
    """An object that waits until later ones are written."""

    number: int
    name: str
    arrival_ms: int
    data: bytes


class _Shelf:
    """Writes objects, some of them late."""

    def __init__(self, landing: LandingStore, seed: int, mix: Mix) -> None:
        self.written = Written()
        self._landing = landing
        self._seed = seed
        self._late_share = mix.late_files
        self._rng = dice(seed, len(mix.shapes))
        self._held: list[_Held] = []
        self._newest = -1

    def put(self, batch: _Batch) -> None:
        """Write an object, or hold it back for a while."""
        for line in batch.lines:
            self.written.count(line)
        arrival_ms = batch.lines[-1].arrival_ms
        data, ending = batch.text(), ".jsonl"
        if batch.number % _COMPRESSED_EVERY == _COMPRESSED_EVERY - 1:
            data, ending = gzip.compress(data, compresslevel=1, mtime=0), ".jsonl.gz"
        made = _Held(batch.number, f"{arrival_ms:013d}-{self._seed}-{batch.number:06d}{ending}", arrival_ms, data)
        # The second object is always late, so that a small day has a late one too.
        if self._late_share and (batch.number == 1 or self._rng.random() < self._late_share):
            self._held.append(made)
            return
        self._write(made)
        self.release(batch.number - _HELD_FOR)

    def release(self, up_to: int) -> None:
        """Write the objects held back, up to a number."""
        due = [held for held in self._held if held.number <= up_to]
        self._held = [held for held in self._held if held.number > up_to]
        for held in due:
            self._write(held)

    def _write(self, made: _Held) -> None:
        self.written.late_objects += made.number < self._newest
        self._newest = max(self._newest, made.number)
        self._landing.write(landed_key(EVENTS, made.arrival_ms, made.name), made.data)
        self.written.objects += 1
        self.written.bytes += len(made.data)
