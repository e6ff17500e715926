"""The look at customers who were deleted at Capillary and are not erased here.

Belongs here: how long they wait. Does not belong here: erasing them. A look leaves nothing behind.
"""

from __future__ import annotations

import math
import time
from typing import Final

from capillary_adobe.doctor.findings import Verdict, ok, warn
from capillary_adobe.settings import ErasureSettings, StorageSettings, load
from capillary_adobe.state import Erasures, State

# Two nights: one run may have failed.
_PATIENCE_HOURS: Final = 48
_LOOK_SECONDS: Final = 3


def erasure() -> Verdict:
    """Whether those who were deleted at Capillary are erased within two nights."""
    state = State(load(StorageSettings).state_url)
    found = state.look(_LOOK_SECONDS)
    if found is None or found.missing:
        return ok("Nobody is known to be deleted at Capillary.")
    try:
        counts = Erasures(state).counts()
    finally:
        state.engine.dispose()
    words = f"{counts.noted} customers were deleted at Capillary, {counts.waiting} of them are not erased yet"
    if counts.oldest_waiting_ms is None:
        return ok(f"{words}.")
    hours = time.time() / 3600 - counts.oldest_waiting_ms / 3_600_000
    if hours <= _PATIENCE_HOURS + math.ceil(load(ErasureSettings).keep_files_hours):
        return ok(f"{words}.")
    return warn(
        f"{words}, the first for {hours:.0f} hours.",
        "Launch the job erase_deleted_customers and look at its check; see that the schedule erase_deleted is on.",
    )
