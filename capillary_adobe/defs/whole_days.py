"""Whole days in the register of micro-batches: when a run over a day is one that the landing sensor must see to its end.

Belongs here: who is responsible for a day that a run has begun. Does not belong here: the register (`state.microbatches`).
"""

from __future__ import annotations

from collections.abc import Collection

from capillary_adobe.settings import HistorySettings, Lane, load
from capillary_adobe.state import MicroBatches, State
from capillary_adobe.state.history_days import HistoryDays


def note_whole_day(state: State, day: str, lanes: Collection[Lane], *, in_chunk: bool) -> None:
    """Note that a run has begun on a whole day, so that the sensor asks for the day if the run dies.

    Not for a day that holds nothing but imported history: whoever cancels its backfill wants it to rest, and `history_days`
    remembers that it is not done. In a backfill's chunk the day waits in the history lane: its next whole run would hold
    up the live lane otherwise.
    """
    if "live" not in lanes and load(HistorySettings).launch == "backfill" and HistoryDays(state).find(day):
        return
    MicroBatches(state).open_day(day, len(lanes), "history" if in_chunk else "live")
