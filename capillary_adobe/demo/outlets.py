"""Where a live feed leaves its lines: as objects of a landing store, or with a Capillary that posts them to its webhooks.

Belongs here: handing lines over, and remembering how far the stories of a day have been told. Does not belong here: pace
and lines (`trickle.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import orjson
import requests

from capillary_adobe.demo.surroundings import DemoError
from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.store import EVENTS, landed_key

_TIMEOUT_SECONDS = 30


class Outlet(Protocol):
    """Takes the lines of a feed."""

    def started(self, today: date) -> int:
        """How many customers earlier feeds of the day have woken: nobody registers twice."""
        ...

    def hand_over(self, moment_ms: int, lines: Sequence[bytes], started: int) -> int:
        """Take lines that arrive at a moment, epoch ms, after which so many customers are awake; how many bytes that is."""
        ...


class LandingOutlet:
    """Objects of the live lane, one for each handing over; their names tell how far the stories are."""

    def __init__(self, landing: LandingStore, seed: int) -> None:
        self._landing = landing
        self._mark = f"live{seed}-"

    def started(self, today: date) -> int:
        """How many customers earlier feeds of the day have woken.

        Raises:
            LandingError: the store cannot be listed.
        """
        keys = (found.key for found in self._landing.list("live", today.isoformat()) if f"-{self._mark}" in found.key)
        return max((int(key.rpartition("-")[2].removesuffix(".jsonl")) for key in keys), default=0)

    def hand_over(self, moment_ms: int, lines: Sequence[bytes], started: int) -> int:
        """Land the lines as one object.

        Raises:
            LandingError: the store cannot be written.
        """
        data = b"\n".join(lines) + b"\n"
        self._landing.write(landed_key(EVENTS, moment_ms, f"{moment_ms:013d}-{self._mark}{started:09d}.jsonl"), data)
        return len(data)


class CapillaryOutlet:
    """The local Capillary, which posts each line to its webhooks by its own rules; a file tells how far the stories are."""

    def __init__(self, url: str, story: Path, seed: int) -> None:
        self._url = f"{url}/control/events"
        self._story = story
        self._seed = seed
        self._session = requests.Session()

    def started(self, today: date) -> int:
        """How many customers earlier feeds of the day have woken.

        Raises:
            DemoError: the file is there and cannot be read.
        """
        try:
            told = orjson.loads(self._story.read_bytes())
            known = (told["day"], told["seed"]) == (today.isoformat(), self._seed)
            return int(told["started"]) if known else 0
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DemoError(
                f"{self._story} cannot be read. Remove it; the stories of today then begin anew."
            ) from error

    def hand_over(self, moment_ms: int, lines: Sequence[bytes], started: int) -> int:
        """Hand the lines to Capillary.

        Raises:
            DemoError: it does not take them, or the file cannot be written.
        """
        data = b"\n".join(lines)
        self._note(f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d}", started)
        try:
            answer = self._session.post(
                self._url, data=data, headers={"Content-Type": "application/x-ndjson"}, timeout=_TIMEOUT_SECONDS
            )
        except requests.RequestException as error:
            raise DemoError(f"{self._url} does not answer ({type(error).__name__}).") from error
        if not answer.ok:
            raise DemoError(f"{self._url} does not take events (status {answer.status_code}).")
        return len(data)

    def _note(self, day: str, started: int) -> None:
        """Before the lines go: a customer who is left out is no harm, one who registers twice is."""
        whole = self._story.with_name(f".{self._story.name}.tmp")
        try:
            self._story.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(orjson.dumps({"day": day, "seed": self._seed, "started": started}))
            whole.replace(self._story)
        except OSError as error:
            raise DemoError(f"{self._story} cannot be written ({error.strerror}).") from error
