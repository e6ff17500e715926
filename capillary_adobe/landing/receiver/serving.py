"""The receiver as a process: binding, starting, signals, stopping.

Belongs here: the order in which parts begin and end. Does not belong here: what any of them does.

The socket is bound first and the durable core started behind it, so that whoever waits for /readyz hears why, and a
taken port is told before anything was written.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import uvicorn
import uvloop

from capillary_adobe.landing.receiver.app import Receiver
from capillary_adobe.landing.receiver.bodies import Memory
from capillary_adobe.landing.receiver.committer import Committer, open_committer
from capillary_adobe.landing.receiver.connections import Connection, Watch
from capillary_adobe.landing.receiver.failure import ReceiverError
from capillary_adobe.landing.receiver.gate import Gate
from capillary_adobe.landing.receiver.logs import log_as_json, tell
from capillary_adobe.landing.receiver.metrics import Metrics
from capillary_adobe.landing.receiver.pages import pages
from capillary_adobe.settings import ReceiverSettings

_BACKLOG: Final = 2048
# Landed objects, spooled bodies, connections to a store.
_FILES_BESIDE_CONNECTIONS: Final = 300
# Of the time to stop: for bodies to come in, then for what was taken to land; the rest for the last answers.
_SHARE_FOR_REQUESTS: Final = 0.5
_SHARE_FOR_LANDING: Final = 0.4
_POLL_SECONDS: Final = 0.02


def receive(settings: ReceiverSettings, landing_url: str) -> None:
    """Receive events until SIGTERM or SIGINT, and land what was taken before returning.

    The process ends here where the store still hangs by then, with 1 where something that was taken is not landed.

    Raises:
        ReceiverError: it cannot start.
        LandingError, ObjectStoreError: the landing store cannot be written.
    """
    if settings.secret is None:
        raise ReceiverError(
            "RECEIVE_SECRET is not set, and without it anybody could write events. Set it in the environment or in .env, "
            "the same as the header's value in Capillary's webhook; for a new one: openssl rand -hex 32"
        )
    _allow_files(settings.max_connections + _FILES_BESIDE_CONNECTIONS)
    with _listening(settings.host, settings.port) as listener:
        log_as_json()
        whole = uvloop.run(_Serving(settings, landing_url, listener).run())
    if not whole or threading.active_count() > 1:
        # Python waits for every thread at its end, and a call to a store may hang for minutes.
        os._exit(0 if whole else 1)


class _Serving:
    """One receiver from its start to its end."""

    def __init__(self, settings: ReceiverSettings, landing_url: str, listener: socket.socket) -> None:
        self._settings = settings
        self._landing_url = landing_url
        self._listener = listener
        self._metrics = Metrics()
        self._gate = Gate()
        self._memory = Memory(settings.queue_bytes)
        self._watch = Watch(settings, self._metrics)
        others = pages(self._gate, self._metrics, settings.path)
        receiver = Receiver(settings, self._gate, self._metrics, self._memory, others)
        self._server = _Server(_configuration(settings, receiver, self._watch))
        self._stop = asyncio.Event()
        self._metrics.watch_connections(lambda: self._watch.open)
        self._metrics.watch_reading(lambda: self._memory.taken)
        self._metrics.watch_ready(lambda: not self._gate.why_not_ready())

    async def run(self) -> bool:
        """Whether all that was taken has landed."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unexpected)
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self._wish_to_stop, one)
        committer = open_committer(self._settings, self._landing_url, self._metrics)
        serving = loop.create_task(self._server.serve(sockets=[self._listener]))
        watching = loop.create_task(self._watch.keep())
        for task in (serving, watching):
            # Neither ends of its own accord; without one of them this must not go on as if all were well.
            task.add_done_callback(lambda _: self._stop.set())
        try:
            if await self._started(committer):
                await self._stop.wait()
                return await self._end(committer)
            tell("stopped before it had started")
            return True
        finally:
            watching.cancel()
            self._server.should_exit = True
            await serving
            with suppress(asyncio.CancelledError):
                await watching

    def _wish_to_stop(self, number: int) -> None:
        if self._stop.is_set():
            tell("stopped at once by a second signal; what was acknowledged is durable", logging.WARNING)
            os._exit(128 + number)
        self._stop.set()

    async def _started(self, committer: Committer) -> bool:
        """Whether the durable core has started; False where it was to stop before."""
        starting = asyncio.ensure_future(committer.start())
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
            return False
        starting.result()
        self._memory.waiting = lambda: committer.waiting_bytes
        self._metrics.watch_queue(committer)
        self._gate.open(committer)
        # What lives now lives to the end; the collector need not walk it while events wait.
        gc.collect()
        gc.freeze()
        tell(f"receiving on {_address(self._settings)}")
        return True

    async def _end(self, committer: Committer) -> bool:
        begun = asyncio.get_running_loop().time()
        tell("stopping")
        self._gate.close()
        self._server.refuse_connections()
        if not await self._until(lambda: not self._watch.under_way, self._settings.stop_seconds * _SHARE_FOR_REQUESTS):
            tell("requests that are still coming in are to be sent again", logging.WARNING, open=self._watch.under_way)
        whole = await self._landed(committer, self._settings.stop_seconds * _SHARE_FOR_LANDING)
        # Those who were told by the end of the durable core are answered when their tasks have had their turn.
        await self._until(lambda: not self._watch.answering, 1)
        self._watch.dismiss_all()
        tell("stopped", seconds=round(asyncio.get_running_loop().time() - begun, 3))
        return whole

    async def _landed(self, committer: Committer, seconds: float) -> bool:
        try:
            await asyncio.wait_for(committer.stop(), seconds)
        except TimeoutError:
            words = "stopped before all was landed; what was acknowledged is durable, in a folder the next receiver lands it"
            tell(words, logging.ERROR, seconds=seconds)
            return False
        return True

    async def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not done():
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


class _Server(uvicorn.Server):
    """uvicorn without its signals and its end: both belong to the whole, of which the server is a part."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None; they end this process with a signal's code where a clean stop has 0."""
        yield

    def refuse_connections(self) -> None:
        """Take no new connection, and close each one after its next answer."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Everything has ended by then."""


def _configuration(settings: ReceiverSettings, receiver: Receiver, watch: Watch) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Any", receiver),
        http=cast("Any", functools.partial(Connection, watch=watch)),
        loop="none",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.idle_seconds,
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ReceiverError(
            f"Port {port} on {host} cannot be used ({reason}). Stop the program that listens there, or set RECEIVE_PORT or "
            "RECEIVE_HOST."
        ) from error


def _allow_files(wanted: int) -> None:
    """Let this process open so many files: systems allow 1,024 unless a program asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ReceiverError(
            f"RECEIVE_MAX_CONNECTIONS needs {wanted} open files, and this process may open {hard}. Lower it, or raise the "
            "limit (LimitNOFILE in a systemd unit, ulimit -n in a shell)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _address(settings: ReceiverSettings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}{settings.path}"


def _unexpected(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody caught; the loop's own words would hold the exception's message."""
    caught = context.get("exception")
    tell("an error that is not foreseen", logging.ERROR, caught if isinstance(caught, BaseException) else None)
