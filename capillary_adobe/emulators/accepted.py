"""The entities that the emulator took: kept in one file, counted in memory.

Belongs here: the file `accepted.jsonl`, reading a page of it, and the counts that it implies. Does not belong here:
which entities are taken (`envelope`) and how the counts are shown (`console`).

Memory stays bounded by the number of distinct `_id`s: 16 bytes each and their place in a set; the entities are only in
the file.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from capillary_adobe.emulators.envelope import Message

LATEST = 20
_LINES_PER_MARK = 1000


@dataclass
class DatasetCount:
    """What one dataset received. Entities without an `_id` are accepted, but neither distinct nor duplicate."""

    accepted: int = 0
    duplicates: int = 0
    seen: set[bytes] = field(default_factory=set, repr=False)

    def add(self, entity_id: Any) -> None:
        """Count one entity."""
        self.accepted += 1
        if not isinstance(entity_id, str):
            return
        digest = hashlib.blake2b(entity_id.encode(), digest_size=16).digest()
        if digest in self.seen:
            self.duplicates += 1
        else:
            self.seen.add(digest)


class Glance(NamedTuple):
    """As much of an entity as the page shows."""

    dataset_id: str
    event_type: Any
    timestamp: Any
    entity_id: Any


class AcceptedEntities:
    """One line per accepted message, in the order of acceptance: `{"dataset", "received_ms", "entity"}`.

    A message is answered only after its line is in the file, so the file of a stopped or killed emulator holds
    everything that was acknowledged, and opening it again brings the counts back.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / "accepted.jsonl"
        self.datasets: defaultdict[str, DatasetCount] = defaultdict(DatasetCount)
        self.event_types: Counter[str] = Counter()
        self.latest: deque[Glance] = deque(maxlen=LATEST)
        self._file: FileIO | None = None
        self._lines = 0
        self._end = 0
        self._marks: list[int] = []

    @property
    def accepted(self) -> int:
        """Messages accepted, repeated ones included."""
        return self._lines

    @property
    def duplicates(self) -> int:
        """Messages whose `_id` their dataset had accepted before."""
        return sum(count.duplicates for count in self.datasets.values())

    @property
    def distinct(self) -> int:
        """Different `_id`s, counted in each dataset."""
        return sum(len(count.seen) for count in self.datasets.values())

    def open(self) -> None:
        """Read what is there and be ready to add to it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):  # cut off by a kill, hence never acknowledged
                    break
                self._recall(number, line)
        self._file = FileIO(self.path, "r+")
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, messages: Sequence[Message], received_ms: int) -> None:
        """Keep the messages of one request, in one write."""
        lines = [
            b'{"dataset":%b,"received_ms":%d,"entity":%b}\n'
            % (orjson.dumps(message.dataset_id), received_ms, message.text)
            for message in messages
        ]
        self._write(b"".join(lines))
        for message, line in zip(messages, lines, strict=True):
            self._count(message.dataset_id, message.entity, len(line))

    def lines(self, offset: int, limit: int) -> list[bytes]:
        """Up to `limit` lines from the `offset`-th on, without their line ends."""
        if offset >= self._lines:
            return []
        mark, skipped = divmod(offset, _LINES_PER_MARK)
        with self.path.open("rb") as file:
            file.seek(self._marks[mark])
            stop = skipped + min(limit, self._lines - offset)
            return [line.rstrip(b"\n") for line in itertools.islice(file, skipped, stop)]

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise ValueError(f"{self.path} is not open")
        if self._file.write(data) != len(data):  # a full disk takes a part of it
            self._file.truncate(self._end)
            self._file.seek(self._end)
            raise OSError(f"{self.path} could not be written in full; free some space on its disk")

    def _recall(self, number: int, line: bytes) -> None:
        try:
            kept = orjson.loads(line)
            dataset_id, entity = kept["dataset"], kept["entity"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{self.path} line {number} is not an accepted message; choose another store") from None
        self._count(dataset_id, entity, len(line))

    def _count(self, dataset_id: str, entity: dict[str, Any], size: int) -> None:
        if self._lines % _LINES_PER_MARK == 0:
            self._marks.append(self._end)
        self._lines += 1
        self._end += size
        entity_id, event_type = entity.get("_id"), entity.get("eventType")
        self.datasets[dataset_id].add(entity_id)
        if isinstance(event_type, str):
            self.event_types[event_type] += 1
        self.latest.append(Glance(dataset_id, event_type, entity.get("timestamp"), entity_id))
