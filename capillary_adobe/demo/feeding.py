"""The demo's feed as a program of its own: yesterday once, then events with current times until told to stop.

Belongs here: beginning and ending the feed, and which outlet it has. Does not belong here: pace and stories
(`trickle.py`), the outlets (`outlets.py`).
"""

from __future__ import annotations

import signal
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.objects import Written, write_day
from capillary_adobe.demo.outlets import CapillaryOutlet, LandingOutlet
from capillary_adobe.demo.trickle import Trickle
from capillary_adobe.landing import open_landing_store
from capillary_adobe.settings import StorageSettings

_SEED = 1


def feed(
    storage: StorageSettings, events_per_second: float, events_of_yesterday: int, capillary_url: str, story: Path
) -> Written:
    """Feed until a signal to end; what was written today. Without the address of a Capillary today is landed as well.

    Raises:
        LandingError: the landing store cannot be listed or written.
        DemoError: Capillary does not take the events, or the file of the stories is unusable.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    landing = open_landing_store(storage.landing_url)
    outlet = CapillaryOutlet(capillary_url, story, _SEED) if capillary_url else LandingOutlet(landing, _SEED)
    trickle = Trickle(outlet, events_per_second, _SEED)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    # A day that an earlier feed has filled keeps its story.
    if events_of_yesterday and yesterday.isoformat() not in landing.days("live"):
        trickle.backfill_yesterday(landing, events_of_yesterday)
    return trickle.write_until(stopping)


def generate(storage: StorageSettings, day: date, events: int, seed: int, *, clean: bool) -> Written:
    """Land a generated day.

    Raises:
        LandingError: the landing store cannot be listed or written.
    """
    return write_day(open_landing_store(storage.landing_url), day, events, seed, Mix.clean() if clean else USUAL)
