"""Capillary's notification service posting to a webhook that lands what it gets, on a day of the past.

Belongs here: the emulator of Capillary, a webhook over a landing store that answers as told, and moving the log to another
time. Does not belong here: any expectation.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.emulators.running import BackgroundServer
from capillary_adobe.landing import LandingStore
from capillary_adobe_tests.capillary.events import event

DAY_MS = 86_400_000
NOW = datetime.now(UTC)
YESTERDAY = (NOW - timedelta(days=1)).date().isoformat()
NOON_MS = int(datetime.fromisoformat(YESTERDAY).replace(hour=12, tzinfo=UTC).timestamp() * 1000)

Json = dict[str, Any]


def told(event_id: str | None, name: str = "pointsExpired", **envelope: Any) -> bytes:
    """The body of an event of yesterday noon."""
    return orjson.dumps(event(name, eventId=event_id, createdAt=envelope.pop("createdAt", NOON_MS), **envelope))


class Webhook:
    """Lands every body as an object of its own under a day, and answers by the event's id; `dropped` ids do not land."""

    def __init__(self, store: LandingStore) -> None:
        self.answers: dict[str | None, int] = {}
        self.dropped: set[str | None] = set()
        self.landing_day = YESTERDAY
        self._store = store
        self._numbers = itertools.count()
        self.app = Starlette(routes=[Route("/events", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        try:
            event_id = orjson.loads(body).get("eventId")
        except orjson.JSONDecodeError:
            event_id = None
        if event_id not in self.dropped:
            self._store.write(f"events/{self.landing_day}/23/{next(self._numbers):06d}.jsonl", body + b"\n")
        return Response(status_code=self.answers.get(event_id, 200))


class Posting:
    """Both of them while the context lasts; the webhook is known to Capillary by the name that set-up gives it."""

    def __init__(self, folder: Path, store: LandingStore) -> None:
        self.webhook = Webhook(store)
        # What is not taken is not tried again while a test looks on.
        patient = Behaviour(first_pause_seconds=3600, longest_pause_seconds=3600)
        self.capillary = RunningCapillary(folder / "capillary", patient)
        self._log = folder / "capillary" / "log.db"
        self._receiver = BackgroundServer(self.webhook.app)

    def __enter__(self) -> Self:
        url = f"{self._receiver.__enter__().base_url}/events"
        self.capillary.__enter__()
        names = list(shipped_catalogue().names())
        record = self.capillary.subscribe(
            name="capillary-adobe", webHookUrl=url, eventNames=[*names, "somethingNew"], maxAllowedConnections=20
        )
        self.group: str = record["consumerGroupId"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.capillary.__exit__(kind, error, trace)
        self._receiver.__exit__(kind, error, trace)

    def send(self, bodies: Iterable[bytes], at_ms: int = NOON_MS) -> None:
        """Hand events to Capillary, wait until each was tried, and have the log say that it was at a time."""
        before = self._of_log("select coalesce(max(id), 0) from deliveries")[0]
        self.capillary.send(bodies)
        deadline = time.monotonic() + 20
        while self.capillary.deliveries()["PENDING"]:
            assert time.monotonic() < deadline, self.capillary.deliveries()
            time.sleep(0.01)
        [first] = self._of_log("select min(ingested_ms) from deliveries where id > ?", before)
        self._of_log(
            "update deliveries set ingested_ms = ingested_ms + ?, started_ms = started_ms + ?, ended_ms = ended_ms + ? "
            "where id > ? returning id",
            *[at_ms - first] * 3,
            before,
        )

    def _of_log(self, statement: str, *values: Any) -> list[Any]:
        with sqlite3.connect(self._log, timeout=20) as connection:
            found = [row[0] for row in connection.execute(statement, values)]
        connection.close()
        return found
