"""Running an emulator: in the foreground for people, in a thread on a free port for tests and the demo.

Belongs here: what any emulator needs to listen and to stop. Does not belong here: any one emulator.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

_LONGEST_STOP_SECONDS = 5


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until interrupted."""
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)


class BackgroundServer:
    """Serves an application from a thread on this machine while the context lasts. Port 0 picks a free one."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._port = port
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_LONGEST_STOP_SECONDS,
        )
        self._server = _SignallingServer(config)

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()
        self._server.settled.wait()
        if not self._server.started:
            self._stop()
            raise RuntimeError("the emulator did not start; its log names the reason")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _run(self) -> None:
        try:
            # uvicorn leaves by SystemExit when an application fails to start; whoever waits for the start raises.
            with suppress(SystemExit):
                self._server.run(sockets=[self._socket])
        finally:
            self._server.settled.set()

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


class _SignallingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.settled.set()
