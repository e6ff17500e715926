"""A process that delivers by batches, for a test that kills it.

Arguments: state address, number of the first entity, how many there are, and after how many of them the source falls
silent: the process then waits for its input to end, which happens only when it is killed.

Belongs here: one run of the batch lane, settings from the environment. Does not belong here: any expectation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pyarrow as pa

from capillary_adobe.adobe import Delivery, Work
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.arrivals import conformant_from
from capillary_adobe_tests.adobe.sending import DAY


def until_silent(batch: pa.RecordBatch, columns: list[str], after: int) -> Iterator[pa.RecordBatch]:
    """The rows one by one; after so many none comes any more."""
    rows = batch.select(columns)
    for number in range(rows.num_rows):
        if number == after:
            sys.stdin.read()
        yield rows.slice(number, 1)
    if after == rows.num_rows:
        sys.stdin.read()


def main() -> None:
    """Deliver, as far as the source goes."""
    url, start, count, silent_after = sys.argv[1], *map(int, sys.argv[2:5])
    entities = conformant_from(start, count)
    work = Work(DAY, lambda columns: until_silent(entities, columns, silent_after), "history", "batch")
    Delivery(load(AdobeSettings), State(url)).deliver(work, lambda _: None)
