"""One HTTP/1.1 connection of the load generator: a request out, its answer in, kept alive, without a library's overhead.

Belongs here: the bytes on the wire. Does not belong here: what is posted when, and what an answer means (`load.py`).
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Protocol, cast
from urllib.parse import urlsplit

from bench.load_bodies import Event

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


class Sender(Protocol):
    """Who is told of answers and of closed connections."""

    def answered(self, connection: Connection, event: Event, status: int, retry_after: float) -> None: ...

    def lost(self, connection: Connection, event: Event | None) -> None: ...


def request_head(url: str, headers: tuple[str, ...], size: int) -> bytes:
    """What stands before each body; the fields of Capillary's own requests, and those given as `Name: value`."""
    address = urlsplit(url)
    lines = [
        f"POST {address.path or '/'} HTTP/1.1",
        f"host: {address.netloc}",
        "accept: text/plain, application/json, application/*+json, */*",
        "user-agent: Java/1.8.0_272",
        "content-type: application/json",
        f"content-length: {size}",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + _END


class Connection(asyncio.Protocol):
    """A connection that is dialled again and again; `posted` is when the request under way was written."""

    def __init__(self, sender: Sender, head: bytes) -> None:
        self._sender = sender
        self._head = head
        self._transport: asyncio.Transport | None = None
        self._event: Event | None = None
        self._received = b""
        self._gone = asyncio.Event()
        self.posted = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a request can be written."""
        return self._transport is not None and not self._transport.is_closing()

    def post(self, event: Event) -> None:
        """Write a request; its answer goes to the sender."""
        assert self._transport is not None
        self._event = event
        self.posted = time.perf_counter()
        self._transport.write(self._head + event.body)

    async def closed(self) -> None:
        """Wait until the connection is closed."""
        await self._gone.wait()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._gone.clear()
        self._received = b""
        # uvloop's transport is one, and does not say so.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_END)
        if end < 0:
            return
        head = self._received[:end]
        length = _LENGTH.search(head)
        whole = end + len(_END) + (int(length[1]) if length else 0)
        event = self._event
        if event is None or len(self._received) < whole:
            return
        after = _RETRY_AFTER.search(head)
        self._received = self._received[whole:]
        self._event = None
        if b"connection: close" in head.lower():
            self.close()
        self._sender.answered(self, event, int(head[9:12]), float(after[1]) if after else 0.0)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        event, self._event, self._transport = self._event, None, None
        self._gone.set()
        self._sender.lost(self, event)
