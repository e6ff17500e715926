"""Forgetting: states of customers and details of bills that are too old to be told of any event.

Belongs here: how far back they are kept, and that history which waits keeps what its events will be told. Does not belong here:
what goes and what stays of them (`state.loyalty_history`, `state.transaction_details`), and customers who were deleted
(`erasing.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from capillary_adobe.state import State
from capillary_adobe.state.history_days import HistoryDays
from capillary_adobe.state.history_files import HistoryFiles, import_lock
from capillary_adobe.state.loyalty_history import LoyaltyHistory
from capillary_adobe.state.transaction_details import TransactionDetails

_DAY_MS: Final = 86_400_000


def forget_outdated(state: State, kept_days: int, now_ms: int) -> int | None:
    """Remove states that were replaced before the last `kept_days` days, and before the first day of history that waits.

    Returns how many states went; None while an import is at work, whose days nobody knows yet: states then stay. One that was
    killed holds nothing up, as it may never be repeated; if it is, it tells its states once more. Details of bills go by their
    age alone, since an export brings its own.

    Raises:
        StateError: the database cannot be read or written.
    """
    before_ms = now_ms - kept_days * _DAY_MS
    TransactionDetails(state).prune(before_ms)
    begun = (file.version for file in HistoryFiles(state).all() if file.done_ms is None)
    if any(state.is_held(import_lock(version)) for version in begun):
        return None
    waiting = [_begins_ms(one.day) for one in HistoryDays(state).all() if one.standing != "done"]
    return LoyaltyHistory(state).prune(min([before_ms, *waiting]) * 1000)


def _begins_ms(day: str) -> int:
    """Before any moment of a day in any zone, epoch ms."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000) - _DAY_MS
