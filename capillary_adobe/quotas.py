"""Quotas: how much of what is allowed is in use.

Belongs here: the counts, for alerts and for what assets show. Does not belong here: keeping to them (`pacing.py`,
`adobe/batch_filling.py`), and what to do when they run out (`alerting/conditions.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from capillary_adobe.environment import adobe_settings
from capillary_adobe.pacing import CAPILLARY_API
from capillary_adobe.settings import SettingsError, load
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe.state import CallsInFlight, SentBatches, State


class Quota(NamedTuple):
    """How many are used of how many."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """The part that is used: 1 is all of it."""
        return round(self.used / self.limit, 4)


def batches_of_day(state: State, now_ms: int) -> Quota | None:
    """Batches created at AEP since midnight UTC, of ADOBE_BATCHES_PER_DAY; None without a limit or settings of AEP's."""
    try:
        limit = adobe_settings(state).batches_per_day
    except SettingsError:
        # Not set up yet, or mistyped, and then every run says so.
        return None
    if not limit:
        return None
    midnight = datetime.fromtimestamp(now_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Quota(SentBatches(state).created_since(int(midnight.timestamp() * 1000)), limit)


def calls_of_minute(state: State, now_ms: int) -> Quota:
    """Calls at Capillary that count now, of CAPILLARY_LOOKUP_CALLS_PER_MINUTE."""
    counted = CallsInFlight(CAPILLARY_API).counted(state, now_ms / 1000)
    return Quota(counted, load(LookupSettings).calls_per_minute)
