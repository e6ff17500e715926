"""One run of delivery as a process of its own, for the soak: it may be killed at any moment.

Belongs here: the entities of a day out of the lake through the streaming lane, settings from the environment, and an exit
code that tells a failure which passes from one that is a defect. Does not belong here: kills, faults and what follows
from them (`soak.py`).
"""

from __future__ import annotations

import sys

from capillary_adobe.adobe import Delivery, PermanentDeliveryError, TransientDeliveryError, Work
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import State
from capillary_adobe.tables import XDM_EVENTS

DONE = 0
TRANSIENT = 75
PERMANENT = 77
"""What an operator would be alerted of; here the cause is a fault that is gone by the next run."""


def run(state_url: str, lake_url: str, day: str) -> int:
    """Deliver what is open of a day; the exit code."""
    lake = Lake(lake_url)
    work = Work(day, lambda columns: lake.read(XDM_EVENTS, Slice(day), columns), route="streaming")
    try:
        Delivery(load(AdobeSettings), State(state_url)).deliver(work, lambda _: None)
    except TransientDeliveryError as error:
        print(error, file=sys.stderr)
        return TRANSIENT
    except PermanentDeliveryError as error:
        print(error, file=sys.stderr)
        return PERMANENT
    return DONE


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:4]))
