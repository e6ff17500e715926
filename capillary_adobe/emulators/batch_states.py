"""One batch: what is known of it, and the words for where it stands.

Belongs here: the record of a batch and its status at a moment. Does not belong here: keeping the records
(`batch_store`), the endpoints (`batches`, `catalog`) and the work on the rows (`promotion`).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Format = Literal["json", "parquet", "csv"]
Origin = Literal["batch", "streaming"]

PROMOTING = "promoting"
"""The state between the completion and the final word; on the wire it shows as one of `STAGES`."""

STAGES = ("loaded", "queued", "processing", "staging", "staged")
GOOD = ("success", "active")

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Verdict:
    """What the check of a batch found: the rows, the final status with its reasons if it is a bad one, and what was
    broken how often, by category.
    """

    rows: int
    failed_rows: int
    input_bytes: int
    output_bytes: int
    files: int
    ingest: bool
    errors: list[dict[str, Any]]
    categories: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """One batch of either lane. `state` is a word of the wire, or `PROMOTING`."""

    id: str
    dataset_id: str
    created_ms: int
    updated_ms: int
    state: str = "loading"
    origin: Origin = "batch"
    format: Format = "json"
    multi_line: bool = False
    external_id: str | None = None
    diagnostics: bool = False
    error_percent: float = 0
    completed_ms: int | None = None
    forced: str | None = None
    verdict: Verdict | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, int] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)

    def status(self, now: int, batch_seconds: float) -> str:
        """The word of the wire at a moment."""
        elapsed = now - (self.updated_ms if self.completed_ms is None else self.completed_ms)
        if self.state == PROMOTING:
            share = elapsed / (batch_seconds * 1000) if batch_seconds else 1.0
            return STAGES[min(int(share * len(STAGES)), len(STAGES) - 1)]
        if self.state == "inactive" and now - self.updated_ms >= batch_seconds * 1000:
            return "deleted"
        return self.state

    def to_json(self) -> dict[str, Any]:
        """The record for a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The record from a file."""
        verdict = content.pop("verdict")
        return cls(**content, verdict=Verdict(**verdict) if verdict else None)


def new_batch_id(now: int) -> str:
    """A fresh id; ids sort by the moment they were made."""
    number = (now << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def now_ms() -> int:
    """This moment in epoch milliseconds."""
    return time.time_ns() // 1_000_000
