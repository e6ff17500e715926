"""Days of history that wait for a backfill, in the words of the landing sensor.

Belongs here: which days wait, also those that somebody put into the landing store by hand. Does not belong here: launching
(`defs`), what becomes of a day (`state.history_days`).
"""

from __future__ import annotations

from collections.abc import Collection

from capillary_adobe.backfill_progress import standings
from capillary_adobe.state import LandedObjects, State
from capillary_adobe.state.history_days import HistoryDays


def waiting_words(state: State, landed: Collection[str]) -> str:
    """What of the history lane waits for a backfill; `landed` are the days that have a folder there.

    An imported day waits until a run has come through with it, any other one until a run has read it.

    Raises:
        StateError: the database cannot be read.
    """
    standing = standings(state, HistoryDays(state).all())
    unread = {day for day in landed if day not in standing}
    if unread:
        unread -= set(LandedObjects(state).days("history"))
    failed = [day for day, how in standing.items() if how == "failed"]
    waiting = sorted({*unread, *failed, *(day for day, how in standing.items() if how == "waiting")})
    if not waiting:
        return "no day waits for a backfill"
    one = len(waiting) == 1
    span = waiting[0] if one else f"{waiting[0]} to {waiting[-1]}"
    ended = f", {len(failed)} of them failed" if failed else ""
    return f"{len(waiting)} day{'' if one else 's'} ({span}) wait{'s' if one else ''} for a backfill{ended}"
