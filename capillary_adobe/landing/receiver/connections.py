"""Connections: how long one may keep the receiver waiting, what it may cost before it has shown a credential, how many.

Belongs here: what happens before a request is whole, and closing. Does not belong here: requests (`app.py`).

One watchman looks at all connections a few times a second: timers of their own would cost each request more than
everything else here together.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from capillary_adobe.landing.receiver.answers import (
    CONNECTION,
    HEADERS_ENDLESS,
    MALFORMED,
    NOT_LANDED,
    REFUSED,
    TIMED_OUT,
    Answers,
)
from capillary_adobe.landing.receiver.logs import Seldom
from capillary_adobe.landing.receiver.metrics import Metrics
from capillary_adobe.settings import ReceiverSettings

# How far the headers of somebody unknown may pass the length with which a body lands aside.
_ENDLESS: Final = 8
_MOST_HEADERS: Final = 2000
# Requests in a row without waiting for an answer, which no client of an API sends; each takes 2 KB from 30 bytes.
_MOST_AHEAD: Final = 32
_LOOKS: Final = 4


class Phase(Enum):
    """What a connection waits for."""

    IDLE = "idle"
    HEAD = "headers"
    BODY = "body"
    ANSWER = "answer"


class Watch:
    """The limits of all connections, and the watchman who enforces them."""

    def __init__(self, settings: ReceiverSettings, metrics: Metrics) -> None:
        self.metrics = metrics
        self.most_loose_bytes = settings.max_header_bytes * _ENDLESS
        self.later = Answers.of(settings).later_closing.raw()
        self.broken = Seldom("Requests are refused that are no HTTP, or have headers without end")
        self._most = settings.max_connections
        self._closed = Seldom("Connections are closed")
        self._seconds = {
            Phase.HEAD: settings.header_seconds,
            Phase.BODY: settings.body_seconds,
            # The durable core answers within its own limit; longer means that the client does not read.
            Phase.ANSWER: settings.commit_seconds + settings.body_seconds,
        }
        self._pause = min(1.0, *(seconds / _LOOKS for seconds in self._seconds.values()))
        self._open: set[Connection] = set()

    @property
    def open(self) -> int:
        """Open connections."""
        return len(self._open)

    def admit(self, connection: Connection) -> None:
        """A new connection; at the limit, the one that has asked for nothing longest makes room."""
        if len(self._open) >= self._most:
            waiting = [one for one in self._open if one.phase in (Phase.IDLE, Phase.HEAD) and not one.leaving]
            self.close(min(waiting, key=lambda one: one.since, default=connection), "too_many")
        self._open.add(connection)

    def forget(self, connection: Connection) -> None:
        """It has ended."""
        self._open.discard(connection)

    async def keep(self) -> None:
        """Look after all connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pause)
            for connection in list(self._open):
                self._look(connection, loop.time())

    def close(self, connection: Connection, reason: str, outcome: str = "") -> None:
        """Close it, with an answer where a request is under way."""
        self.metrics.closed(reason)
        self._closed.note(reason)
        connection.leave(outcome, reason)

    def dismiss_all(self) -> None:
        """Close what is still open at the end."""
        for connection in list(self._open):
            self.close(connection, "stopping", NOT_LANDED if connection.phase is Phase.BODY else "")

    @property
    def under_way(self) -> int:
        """Connections with a request that has not been answered."""
        return sum(one.phase in (Phase.BODY, Phase.ANSWER) and not one.leaving for one in self._open)

    @property
    def answering(self) -> int:
        """Those of them whose request has come to its end."""
        return sum(one.phase is Phase.ANSWER and not one.leaving for one in self._open)

    def _look(self, connection: Connection, now: float) -> None:
        limit = self._seconds.get(connection.phase)
        if limit is None or now - connection.since < limit:
            return
        if connection.leaving:
            # It was to end when its answer was sent, and its client does not read.
            connection.transport.abort()
            return
        # A request that waits for its answer ends as that says, whether or not its client reads it.
        outcome = "" if connection.phase is Phase.ANSWER else TIMED_OUT
        self.close(connection, f"slow_{connection.phase.value}", outcome)


class Connection(HttpToolsProtocol):
    """uvicorn's connection, watched."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        watch: Watch,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.phase = Phase.HEAD
        self.since = 0.0
        # Whether the end of the connection was counted as that of its request.
        self.counted = False
        self._watch = watch
        self._loose = 0
        self._extensions: dict[str, Any] = {CONNECTION: self}

    @property
    def leaving(self) -> bool:
        """Whether it is being closed."""
        return self.transport.is_closing()

    def leave(self, outcome: str = "", reason: str = "") -> None:
        """Close it; a request under way is answered that it is to be sent again. With an outcome, that is counted here."""
        if outcome:
            self.counted = True
            self._watch.metrics.request(outcome, reason)
        if self.cycle is not None and not self.cycle.response_started and not self.leaving:
            self.transport.write(self._watch.later)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._enter(self.phase)
        self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(transport)
        self._enter(Phase.HEAD)
        self._watch.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._watch.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        self._loose += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(MALFORMED)
        many = self.phase is Phase.HEAD and len(self.headers or ()) > _MOST_HEADERS
        if many or self._loose > self._watch.most_loose_bytes:
            self._refuse(HEADERS_ENDLESS)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        if self.parser.should_upgrade():
            # The parser passes over the body of such a request: it comes once more, without its offer.
            return
        super().on_headers_complete()
        self._loose = 0
        self._enter(Phase.BODY)
        if len(self.pipeline) > _MOST_AHEAD:
            self._refuse(MALFORMED)

    def on_body(self, body: bytes) -> None:
        """A piece of its body is there."""
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        if self.parser.should_upgrade():
            return
        self._loose = 0
        super().on_message_complete()
        self._enter(Phase.IDLE if self.cycle.response_complete else Phase.ANSWER)

    def on_response_complete(self) -> None:
        """It is answered."""
        super().on_response_complete()
        # Of a request refused by its headers the body still comes, and goes nowhere.
        if self.phase is Phase.ANSWER and not self.pipeline:
            self._enter(Phase.IDLE)
        else:
            self._enter(self.phase)

    def _parse(self, data: bytes) -> None:
        """Feed the parser. Java's own client offers to go on in HTTP/2 with each request, and would lose its body by that.

        Raises:
            HttpParserError: it is no HTTP.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._without_offer() + data[offer.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def _without_offer(self) -> bytes:
        """The head of the request at hand, without the wish to change the protocol."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("CONNECT is for proxies")
        lines = [b"%s %s HTTP/1.1" % (method, self.url)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = self.loop.time()

    def _refuse(self, reason: str) -> None:
        if self.leaving:
            return
        self._watch.broken.note(reason)
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(self._watch.later)
        self.leave(REFUSED, reason)
