"""The look at the switch of delivery.

Belongs here: whether it is paused. Does not belong here: pausing. A look leaves nothing behind.
"""

from __future__ import annotations

from typing import Final

from capillary_adobe.doctor.findings import Verdict, ok, warn
from capillary_adobe.settings import StorageSettings, load
from capillary_adobe.state import State
from capillary_adobe.state.delivery_pause import DeliveryPause

_LOOK_SECONDS: Final = 3


def delivery() -> Verdict:
    """Whether delivery is paused."""
    state = State(load(StorageSettings).state_url)
    found = state.look(_LOOK_SECONDS)
    if found is None or found.missing:
        return ok("Delivery is not paused.")
    switch = DeliveryPause(state)
    try:
        paused, held = switch.find(), switch.held()
    finally:
        state.engine.dispose()
    if paused is None:
        return ok("Delivery is not paused.")
    words = f"{paused.words[0].upper()}{paused.words[1:]}; {held} micro-batches wait."
    return warn(words, "If the reason is gone: `capillary-adobe delivery resume`, or the job resume_delivery.")
