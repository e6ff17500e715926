"""The AEP emulator: IMS and streaming ingestion of one organisation over HTTP.

Belongs here: how its parts make one application, and that application running. Does not belong here: the parts, each of
which has a module of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.collection import Collection
from capillary_adobe.emulators.console import Console
from capillary_adobe.emulators.ims import IdentityService, Tokens
from capillary_adobe.emulators.running import BackgroundServer, serve
from capillary_adobe.emulators.tenant import Tenant

__all__ = ["Behaviour", "RunningEmulator", "Tenant", "build_app", "serve"]

_AS_DOCUMENTED = Behaviour()


def build_app(tenant: Tenant, store: Path, behaviour: Behaviour = _AS_DOCUMENTED) -> Starlette:
    """The emulator as an application. What it accepts goes to `store`, which it opens when it starts to serve."""
    accepted = AcceptedEntities(store)
    tokens = Tokens(tenant, behaviour.token_seconds)
    ims = IdentityService(tenant, behaviour, tokens)
    collection = Collection(tenant, behaviour, tokens, accepted)
    console = Console(tenant, accepted, collection, ims)

    @asynccontextmanager
    async def store_open(_app: Starlette) -> AsyncIterator[None]:
        accepted.open()
        try:
            yield
        finally:
            accepted.close()

    return Starlette(
        routes=[
            Route("/ims/token/v3", ims.token, methods=["POST"]),
            Route("/collection/batch/{inlet}", collection.batch, methods=["POST"]),
            Route("/collection/{inlet}", collection.single, methods=["POST"]),
            Route("/", console.page),
            Route("/accepted.json", console.accepted),
            Route("/summary.json", console.summary),
        ],
        exception_handlers={ClientDisconnect: _gone},
        lifespan=store_open,
    )


class RunningEmulator:
    """The emulator on this machine while the context lasts.

    `environment` holds the variables a client needs. The store outlives the context: another emulator on the same store
    and, if wanted, the same port goes on where this one stopped.
    """

    def __init__(
        self, store: Path, tenant: Tenant | None = None, behaviour: Behaviour = _AS_DOCUMENTED, port: int = 0
    ) -> None:
        self.tenant = tenant or Tenant.demo()
        self._server = BackgroundServer(build_app(self.tenant, store, behaviour), port)

    def __enter__(self) -> Self:
        self.base_url = self._server.__enter__().base_url
        self.environment = self.tenant.environment(self.base_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)


async def _gone(_request: Request, _error: Exception) -> Response:
    # Nobody reads this answer; without it a client that was killed while sending leaves a stack trace in the log.
    return Response(status_code=400)
