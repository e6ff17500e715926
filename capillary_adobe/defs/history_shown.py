"""What the UI shows of a backfill, and when a day of history counts as through.

Belongs here: metadata of runs that hold days of history, and the rule by which a day is done. Does not belong here: the
registers (`state`), the progress itself (`backfill_progress.py`).
"""

from __future__ import annotations

from capillary_adobe.backfill_progress import expected_end, progress
from capillary_adobe.balance import Balance
from capillary_adobe.landing import LandingStore
from capillary_adobe.state import HistoryDays, LandedObjects, Outcome, State
from capillary_adobe.state.awaited import Awaited


def come_through(state: State, store: LandingStore, day: str, account: Balance) -> bool:
    """Whether all of a day's history has been read, and every entity has its outcome at AEP or waits for an operator.

    What lies in a batch that AEP has not judged is pending, and what waits for a look-up is to be sent later.
    """
    known = LandedObjects(state).known_keys(day, "history")
    open_ = account.delivery[Outcome.PENDING] + account.delivery[Outcome.FAILED] - sum(account.held.values())
    return (
        account.balanced
        and open_ <= 0
        and not LandedObjects(state).half_read(day)
        and Awaited(state).until(day, None) is None
        and all(one.key in known for one in store.list("history", day))
    )


def backfill_numbers(state: State, day: str) -> dict[str, int | str]:
    """Where the backfill stands, for a run that works on a day of history; nothing for any other."""
    if HistoryDays(state).find(day) is None:
        return {}
    found = progress(state)
    return {
        "backfill_days_done": found.days["done"],
        "backfill_days_left": found.days_left,
        "backfill_days_failed": found.days["failed"],
        "backfill_expected_end": expected_end(found),
    }
