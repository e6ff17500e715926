"""The spool: rows come back as they were added, and wait on disk."""

from __future__ import annotations

import psutil
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.spool import Spool
from capillary_adobe.tables import QUARANTINE, SET_ASIDE


def aside(number: int, reason: str = "group") -> dict[str, object]:
    return {
        "day": "2026-03-04",
        "batch_id": "b",
        "lane": "live",
        "kind": "ignored",
        "reason": reason,
        "object": "o",
        "line": number,
        "part": 0,
        "event_name": "e",
        "event_key": None,
        "event_id": None,
        "replaced": False,
    }


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=60))
def test_rows_come_back_in_order(reasons: list[str]) -> None:
    with Spool(SET_ASIDE) as spool:
        for number, reason in enumerate(reasons):
            spool.add(aside(number, reason))
        back = [row for batch in spool.batches() for row in batch.to_pylist()]
    assert back == [aside(number, reason) for number, reason in enumerate(reasons)]


def test_more_rows_than_fit_in_one_batch() -> None:
    with Spool(SET_ASIDE) as spool:
        for number in range(23_000):
            spool.add(aside(number))
        batches = list(spool.batches())
    assert [row for batch in batches for row in batch["line"].to_pylist()] == list(range(23_000))
    assert all(batch.schema == SET_ASIDE.schema for batch in batches)
    assert len(batches) > 1


def test_large_texts_do_not_pile_up_in_memory() -> None:
    row = dict.fromkeys(QUARANTINE.names) | aside(1)
    row |= {"stage": "raw", "code": "not_json", "detail": "d", "pointer": None}
    row = {name: row[name] for name in QUARANTINE.names}
    process = psutil.Process()
    before = process.memory_info().rss
    most = 0
    with Spool(QUARANTINE) as spool:
        for number in range(400):
            spool.add(row | {"text": chr(97 + number % 26) * 2**20})
            most = max(most, process.memory_info().rss)
        read = 0
        for batch in spool.batches():
            read += batch.num_rows
            most = max(most, process.memory_info().rss)
    assert read == 400
    assert most - before < 250 * 2**20
