"""The receiver as it must not be run: with nothing durable, or with a sync for each event. What the real one is held against.

Run by `bench.receiver`, with `none` or `each` and the variables of `capillary-adobe receive`. Everything but the commit is
the receiver's own.

Belongs here: the two commits. Does not belong here: measuring.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from capillary_adobe.landing.receiver import serving
from capillary_adobe.landing.receiver.committer import Committer
from capillary_adobe.landing.receiver.in_folder import FolderPlace
from capillary_adobe.landing.receiver.lines import stands_as_line
from capillary_adobe.landing.receiver.outcome import CommitWatch, Rhythm
from capillary_adobe.settings import ReceiverSettings, StorageSettings, load


class _Nothing(Committer):
    """Judges a body as the receiver does, and forgets it."""

    def land(self, body: bytes) -> asyncio.Future[None]:
        stands_as_line(body)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def _none(settings: ReceiverSettings, landing_url: str, watch: CommitWatch) -> Committer:
    return _Nothing(settings, FolderPlace(Path(landing_url), settings), watch)


def _each(settings: ReceiverSettings, landing_url: str, watch: CommitWatch) -> Committer:
    place = FolderPlace(Path(landing_url), settings)
    place.lines = Rhythm(at_once=1, events=1, seconds=0.0, most=1)
    return Committer(settings, place, watch)


def main() -> None:
    serving.open_committer = {"none": _none, "each": _each}[sys.argv[1]]
    serving.receive(load(ReceiverSettings), load(StorageSettings).landing_url)


if __name__ == "__main__":
    main()
