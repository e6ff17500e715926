"""The entities that the emulator took, by whichever lane: kept in one file, counted in memory.

Belongs here: the file `accepted.jsonl`, reading a page of it or what came after a place in it, and the counts that it
implies. Does not belong here: which entities are taken (`envelope`, `promotion`), what becomes of them (`validation`)
and how the counts are shown (`console`).

Memory stays bounded by the number of distinct `_id`s (`lake_count`); the entities are only in the file.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from capillary_adobe.emulators.envelope import Message
from capillary_adobe.emulators.lake_count import LakeCount, Place

LATEST = 20
_LINES_PER_MARK = 1000
_OF_A_BATCH = b'{"batch":'

Known = Callable[[int, str | None], Place]
"""Tells where the entity in a line is, from the line's number (1 is the first) and its batch, if a batch brought it."""


class Glance(NamedTuple):
    """As much of an entity as the page shows."""

    dataset_id: str
    event_type: Any
    timestamp: Any
    entity_id: Any


class End(NamedTuple):
    """A place in the file behind a line: how many lines and how many bytes come before it."""

    lines: int
    offset: int


class Line(NamedTuple):
    """A line of the file; `content` is empty where a batch brought the entity."""

    number: int
    content: dict[str, Any]


class AcceptedEntities:
    """One line per accepted entity, in the order of acceptance: `{"dataset", "received_ms", "entity"}`.

    An entity of a batch has the batch's id before these as `batch`; a streamed one has what its header held beyond the
    usual after them as `header`. A message is answered only after its line is in the file, so the file of a stopped or
    killed emulator holds everything that was acknowledged, and opening it again brings the counts back. Several threads
    may use it.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / "accepted.jsonl"
        self._lock = threading.Lock()
        self._count = LakeCount()
        self._event_types: Counter[str] = Counter()
        self._latest: deque[Glance] = deque(maxlen=LATEST)
        self._batch_lines: Counter[str] = Counter()
        self._file: FileIO | None = None
        self._lines = 0
        self._offset = 0
        self._marks: list[int] = []

    def open(self, known: Known) -> None:
        """Read what is there and be ready to add to it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):  # cut off by a kill, hence never acknowledged
                    break
                self._recall(number, line, known)
        self._file = FileIO(self.path, "r+")
        self._file.truncate(self._offset)
        self._file.seek(self._offset)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, messages: Sequence[Message], received_ms: int, place: Place) -> None:
        """Keep the messages of one request, in one write."""
        lines = [_message_line(message, received_ms) for message in messages]
        entities = [(message.dataset_id, message.entity) for message in messages]
        with self._lock:
            self._write(lines, entities, place)

    def add_rows(self, batch_id: str, dataset_id: str, rows: Sequence[bytes], received_ms: int) -> None:
        """Keep some rows of a batch, each the JSON text of an entity."""
        head = _OF_A_BATCH + b'%b,"dataset":%b,"received_ms":%d,"entity":' % (
            orjson.dumps(batch_id),
            orjson.dumps(dataset_id),
            received_ms,
        )
        entities = [(dataset_id, orjson.loads(row)) for row in rows]
        with self._lock:
            self._write([head + row + b"}\n" for row in rows], entities, "lake")
            self._batch_lines[batch_id] += len(rows)

    def rows_of(self, batch_id: str) -> int:
        """How many rows of a batch have been kept."""
        return self._batch_lines[batch_id]

    def settle(self, verdicts: Sequence[tuple[str, Any, Place]]) -> None:
        """Count what came of streamed entities, each given by its dataset and `_id`."""
        with self._lock:
            for dataset_id, entity_id, place in verdicts:
                self._count.datasets[dataset_id].settle(entity_id, place)

    def withdraw(self, dataset_id: str, entity_ids: Sequence[Any]) -> None:
        """Count entities of a reverted batch as gone from the lake."""
        with self._lock:
            for entity_id in entity_ids:
                self._count.datasets[dataset_id].withdraw(entity_id)

    def figures(self) -> dict[str, Any]:
        """All counts at this moment."""
        with self._lock:
            return self._count.figures() | {"by_event_type": dict(self._event_types)}

    def latest(self) -> list[Glance]:
        """The last entities, newest first."""
        with self._lock:
            return list(reversed(self._latest))

    def end(self) -> End:
        """The end of the file at this moment."""
        with self._lock:
            return End(self._lines, self._offset)

    def streamed(self, begin: End, lines: int) -> Iterator[tuple[Line, End]]:
        """Up to so many lines that follow a place, each with the place behind it."""
        number, offset = begin
        with self.path.open("rb") as file:
            file.seek(offset)
            for text in itertools.islice(file, lines):
                number, offset = number + 1, offset + len(text)
                content = {} if text.startswith(_OF_A_BATCH) else orjson.loads(text)
                yield Line(number, content), End(number, offset)

    def lines(self, offset: int, limit: int) -> list[bytes]:
        """Up to `limit` lines from the `offset`-th on, without their line ends."""
        with self._lock:
            count = self._lines
        if offset >= count:
            return []
        mark, skipped = divmod(offset, _LINES_PER_MARK)
        with self.path.open("rb") as file:
            file.seek(self._marks[mark])
            stop = skipped + min(limit, count - offset)
            return [line.rstrip(b"\n") for line in itertools.islice(file, skipped, stop)]

    def _write(self, lines: list[bytes], entities: list[tuple[str, dict[str, Any]]], place: Place) -> None:
        if self._file is None:
            raise ValueError(f"{self.path} is not open")
        data = b"".join(lines)
        if self._file.write(data) != len(data):  # a full disk takes a part of it
            self._file.truncate(self._offset)
            self._file.seek(self._offset)
            raise OSError(f"{self.path} could not be written in full; free some space on its disk")
        for line, (dataset_id, entity) in zip(lines, entities, strict=True):
            self._add(dataset_id, entity, len(line), place)

    def _recall(self, number: int, line: bytes, known: Known) -> None:
        try:
            kept = orjson.loads(line)
            dataset_id, entity, batch_id = kept["dataset"], kept["entity"], kept.get("batch")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{self.path} line {number} is not an accepted message; choose another store") from None
        if batch_id is not None:
            self._batch_lines[batch_id] += 1
        self._add(dataset_id, entity, len(line), known(number, batch_id))

    def _add(self, dataset_id: str, entity: dict[str, Any], size: int, place: Place) -> None:
        if self._lines % _LINES_PER_MARK == 0:
            self._marks.append(self._offset)
        self._lines += 1
        self._offset += size
        entity_id, event_type = entity.get("_id"), entity.get("eventType")
        self._count.datasets[dataset_id].receive(entity_id, place)
        if isinstance(event_type, str):
            self._event_types[event_type] += 1
        self._latest.append(Glance(dataset_id, event_type, entity.get("timestamp"), entity_id))


def _message_line(message: Message, received_ms: int) -> bytes:
    more = b',"header":' + message.header if message.header else b""
    dataset = orjson.dumps(message.dataset_id)
    return b'{"dataset":%b,"received_ms":%d,"entity":%b%b}\n' % (dataset, received_ms, message.text, more)
