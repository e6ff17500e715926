"""What has arrived at an emulator, held against the ledger.

Belongs here: the two lists, and the expectations that hold whatever went wrong on the way. Does not belong here: making
something go wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import requests

from capillary_adobe.state import Receipts, State
from capillary_adobe_tests.adobe.sending import DAY, entity_id, rows, status_of
from capillary_adobe_tests.emulators.platform_client import Platform, good

_PAGE = 5000


def conformant_from(start: int, count: int) -> pa.RecordBatch:
    """Rows of `xdm_events` that AEP finds nothing wrong with, from the n-th entity on."""
    ids = [entity_id(number) for number in range(start, start + count)]
    return rows([(id_, orjson.dumps(good(id_)).decode()) for id_ in ids])


def lines_from(base_url: str, offset: int) -> list[dict[str, Any]]:
    """What the emulator took from a place on, in order."""
    lines: list[dict[str, Any]] = []
    while True:
        url = f"{base_url}/accepted.json?offset={offset + len(lines)}&limit={_PAGE}"
        page = requests.get(url, timeout=30).json()
        if not page:
            return lines
        lines += page


def taken_so_far(base_url: str) -> int:
    """How many entities the emulator has taken, repeats counted."""
    return requests.get(f"{base_url}/summary.json", timeout=30).json()["accepted"]


@dataclass(frozen=True)
class Ledger:
    """What the state says of each entity."""

    accepted: set[str]
    rejected: set[str]
    doubtful: set[str]
    rest: set[str]
    maybe_twice: int
    accepted_twice: int

    @classmethod
    def of(cls, state: State, batch: pa.RecordBatch) -> Ledger:
        """The ledger of the entities of a day."""
        listed = status_of(state, batch)
        by_status = {word: {row["id"] for row in listed if row["status"] == word} for word in ("accepted", "rejected")}
        receipts = Receipts(state).of_day(DAY)
        return cls(
            accepted=by_status["accepted"],
            rejected=by_status["rejected"],
            doubtful={row["id"] for row in listed if row["doubtful"] > 0},
            rest={row["id"] for row in listed} - by_status["accepted"] - by_status["rejected"],
            maybe_twice=receipts.maybe_twice(),
            accepted_twice=receipts.accepted_twice(),
        )


@dataclass(frozen=True)
class Arrivals:
    """Entities that the emulator took: each with how often, and the batches that brought them."""

    times: Counter[str]
    batches: set[str | None]

    @classmethod
    def since(cls, base_url: str, offset: int, batch: pa.RecordBatch) -> Arrivals:
        """What of these entities has come in from a place on."""
        ids = set(batch.column("id").to_pylist())
        lines = [line for line in lines_from(base_url, offset) if line["entity"]["_id"] in ids]
        return cls(Counter(line["entity"]["_id"] for line in lines), {line.get("batch") for line in lines})

    @property
    def twice(self) -> set[str]:
        """Entities that came in more than once."""
        return {id_ for id_, times in self.times.items() if times > 1}


def assert_nothing_lost(ledger: Ledger, arrivals: Arrivals, batch: pa.RecordBatch, rejected: int = 0) -> None:
    """Every entity is at AEP and the ledger knows it; none is there twice without the ledger saying that it may be."""
    ids = set(batch.column("id").to_pylist())
    assert ledger.rest == set()
    assert set(arrivals.times) == ledger.accepted
    assert ids - ledger.accepted == ledger.rejected
    assert len(ledger.rejected) == rejected
    assert ledger.accepted_twice == 0
    assert arrivals.twice <= ledger.doubtful
    assert ledger.maybe_twice >= len(arrivals.twice)


def assert_one_batch(platform: Platform, ours: set[str], arrivals: Arrivals) -> None:
    """One batch, the one that the register knows, brought every entity once; AEP holds no other with its id of ours."""
    assert arrivals.twice == set()
    assert arrivals.batches == ours
    (only,) = ours
    external_id = platform.batch(only)["externalId"]
    alike = platform.get("catalog/batches", externalId=external_id, limit=100).json()
    assert {id_ for id_, found in alike.items() if found["status"] not in {"aborted", "abandoned"}} == ours
