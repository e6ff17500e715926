"""Landing stores: what the road needs of one, and the keys under which objects lie.

Belongs here: the interface, keys, lanes and days, what a listing leaves out. Does not belong here: the stores themselves
(`local_store.py`, `s3_store.py`) and reading the content (`records.py`, `whole.py`).

A key is `<folder>/<YYYY-MM-DD>/<HH>/<name>`. The live lane has two folders: `events` for lines as received, `aside` for
bodies that could not be lines, one an object. The history lane has `history`, whose objects may lie directly under their
day. Keys of one day and folder sort by arrival.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import BinaryIO, Final, Protocol

from capillary_adobe.settings import Lane

EVENTS: Final = "events"
ASIDE: Final = "aside"
HISTORY: Final = "history"
# In the order of their keys: a listing of a lane is the listings of its folders, one behind the other.
LANE_FOLDERS: Final[dict[Lane, tuple[str, ...]]] = {"live": (ASIDE, EVENTS), "history": (HISTORY,)}
_KEY_TIME = re.compile(r"[^/]+/(\d{4}-\d{2}-\d{2})/(?:([01]\d|2[0-3])/)?")


class LandingError(Exception):
    """The landing store cannot be read or written; the text names the place and the cure."""


class LandingUnavailable(LandingError):
    """The store did not answer, or asked for patience: the same call may succeed a little later."""


@dataclass(frozen=True, order=True)
class LandedObject:
    """An object of the store: key, size in bytes, and when it was stored, epoch ms."""

    key: str
    size: int
    stored_ms: int


class LandingStore(Protocol):
    """What the road needs of a landing store; each call raises `LandingError` where the store fails."""

    def days(self, lane: Lane) -> list[str]:
        """Days with a folder in the lane, in order."""
        ...

    def list(self, lane: Lane, day: str, after: str = "") -> Iterator[LandedObject]:
        """Objects of a day whose key sorts after `after`, in key order over all folders of the lane."""
        ...

    def open(self, key: str) -> BinaryIO:
        """The bytes of an object as stored."""
        ...

    def staged(self, keys: Iterable[str]) -> Iterator[tuple[str, BinaryIO]]:
        """Objects opened one by one in the order given; a stream is closed when the next one is asked for."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Store an object so that a reader sees all of it or nothing.

        An object that is there already with these bytes counts as written. One with others stays as it is, and that is an
        error, where the store can refuse to replace.
        """
        ...


def lane_of(key: str) -> Lane:
    """The lane a key belongs to."""
    return "history" if key.startswith(f"{HISTORY}/") else "live"


def folder_of(key: str) -> str:
    """The folder of the store a key lies in, such as `events`."""
    return key.partition("/")[0]


def is_aside(key: str) -> bool:
    """Whether the object is one body, kept as it was received."""
    return folder_of(key) == ASIDE


def landed_key(folder: str, moment_ms: int, name: str) -> str:
    """The key of an object that becomes visible at a moment, epoch ms: `events/2026-11-26/02/<name>`."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{folder}/{moment:%Y-%m-%d}/{moment:%H}/{name}"


def is_hidden(name: str) -> bool:
    """Whether an object or folder of this name is left out: writers hide so what is not complete."""
    return name.startswith((".", "_")) or name.endswith(".tmp")


def is_day(name: str) -> bool:
    """Whether a folder's name is a day that exists, as `2026-11-26`."""
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def may_hold(folder: str, after: str) -> bool:
    """Whether a folder, its name ending in a slash, can hold keys that sort after another."""
    return folder > after or after.startswith(folder)


def taken_error(place: str, key: str) -> LandingError:
    """What to say where another object lies under a key that was to be written."""
    return LandingError(
        f"{place} holds another object under {key}, which stays as it is. Landed objects are never changed: give the new one "
        "another name, or move the old one away if nothing has read it."
    )


@cache
def latest_event_ms(key: str) -> int:
    """The moment after which nothing in the object can have happened: the end of the hour or day its key names.

    Taken from the key and not from a clock, so that a rebuilt partition judges its events as the first run did.
    """
    match = _KEY_TIME.match(key)
    if match is None or not is_day(match[1]):
        raise LandingError(f"The key {key} names no day: objects lie under <lane>/<YYYY-MM-DD>/.")
    day, hour = match.groups()
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    if lane_of(key) == "history":
        # Exports are cut by the event's date in the organisation's zone, up to a day away from UTC.
        end = start + timedelta(days=2)
    else:
        end = start + (timedelta(hours=int(hour) + 1) if hour else timedelta(days=1))
    return int(end.timestamp() * 1000)
