"""The demo's feed as a program of its own: yesterday once, then events with current times until told to stop.

Belongs here: beginning and ending the feed, and what it writes where. Does not belong here: pace and stories
(`trickle.py`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.objects import Written, write_day
from capillary_adobe.demo.trickle import Trickle
from capillary_adobe.landing import LandingError, open_landing_store
from capillary_adobe.settings import StorageSettings


def feed(storage: StorageSettings, events_per_second: float, events_of_yesterday: int) -> Written:
    """Feed the landing store until a signal to end; what was written today.

    Raises:
        LandingError: the landing store is no local folder, or cannot be written.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with _landing_folder(storage) as folder:
        trickle = Trickle(folder, events_per_second)
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        # A day that an earlier feed has filled keeps its story.
        if events_of_yesterday and not (folder / "events" / yesterday.isoformat()).exists():
            trickle.backfill_yesterday(events_of_yesterday)
        return trickle.write_until(stopping)


def generate(storage: StorageSettings, day: date, events: int, seed: int, *, clean: bool) -> Written:
    """Land a generated day.

    Raises:
        LandingError: the landing store is no local folder, or cannot be written.
    """
    with _landing_folder(storage) as folder:
        return write_day(folder, day, events, seed, Mix.clean() if clean else USUAL)


@contextmanager
def _landing_folder(storage: StorageSettings) -> Iterator[Path]:
    open_landing_store(storage.landing_url)
    try:
        yield Path(storage.landing_url)
    except OSError as error:
        raise LandingError(
            f"LANDING_URL={storage.landing_url} cannot be written ({error.strerror}). Check that the folder exists, "
            "belongs to the user and has free space."
        ) from error
