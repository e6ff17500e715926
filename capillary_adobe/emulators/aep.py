"""The AEP emulator: IMS, streaming ingestion and the Platform API of one organisation over HTTP.

Belongs here: how its parts make one application, and that application running. Does not belong here: the parts, each of
which has a module of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.collection import Collection
from capillary_adobe.emulators.console import Console
from capillary_adobe.emulators.control import Control
from capillary_adobe.emulators.demands import Demands
from capillary_adobe.emulators.fault_layer import FaultLayer
from capillary_adobe.emulators.faults import Faults
from capillary_adobe.emulators.gateway import BEHIND
from capillary_adobe.emulators.ims import IdentityService, Tokens
from capillary_adobe.emulators.platform_api import Platform
from capillary_adobe.emulators.running import BackgroundServer, serve
from capillary_adobe.emulators.sandboxes import Sandboxes
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant

__all__ = ["Behaviour", "RunningEmulator", "Tenant", "build_app", "serve"]

_AS_DOCUMENTED = Behaviour()


class Emulation:
    """The application and the handles of it that are not spoken to over HTTP."""

    def __init__(self, tenant: Tenant, store: Path, behaviour: Behaviour, *, empty: bool = False) -> None:
        self.faults = Faults()
        self._sandboxes = Sandboxes(tenant, store, empty=empty)
        targets = Targets(self._sandboxes)
        self.demands = Demands(tenant, behaviour, targets)
        tokens = Tokens(tenant, behaviour.token_seconds)
        ims = IdentityService(tenant, behaviour, tokens)
        accepted = AcceptedEntities(store)
        collection = Collection(tenant, behaviour, targets, tokens, accepted)
        self._platform = Platform(
            tenant, self._sandboxes, targets, store, behaviour, tokens, accepted, self.demands, self.faults
        )
        gateway = self._platform.gateway
        console = Console(tenant, accepted, collection, ims, gateway, targets, self._platform.violations)
        answers = {"/ims/": ims.answers, "/collection/": collection.answers, "/data/": gateway.answers}
        self.app = Starlette(
            routes=[
                Route("/ims/token/v3", ims.token, methods=["POST"]),
                Route("/collection/batch/{inlet}", collection.batch, methods=["POST"]),
                Route("/collection/{inlet}", collection.single, methods=["POST"]),
                Mount(BEHIND, gateway),
                Route("/", console.page),
                Route("/accepted.json", console.accepted),
                Route("/summary.json", console.summary),
                *Control(self.faults, self.demands, self._platform.profile_store).routes(),
            ],
            middleware=[Middleware(FaultLayer, self.faults, tokens, answers)],
            exception_handlers={ClientDisconnect: _gone},
            lifespan=self._store_open,
        )

    @asynccontextmanager
    async def _store_open(self, _app: Starlette) -> AsyncIterator[None]:
        self._sandboxes.open()
        self._platform.open()
        try:
            yield
        finally:
            self._platform.close()


def build_app(tenant: Tenant, store: Path, behaviour: Behaviour = _AS_DOCUMENTED, *, empty: bool = False) -> Starlette:
    """The emulator as an application. What it accepts goes to `store`, which it opens when it starts to serve.

    In an `empty` one nothing has been set up.
    """
    return Emulation(tenant, store, behaviour, empty=empty).app


class RunningEmulator:
    """The emulator on this machine while the context lasts.

    `environment` holds the variables a client needs. The store outlives the context: another emulator on the same store
    and, if wanted, the same port goes on where this one stopped. `faults` lets things go wrong. In an `empty` one nothing
    has been set up.
    """

    def __init__(
        self,
        store: Path,
        tenant: Tenant | None = None,
        behaviour: Behaviour = _AS_DOCUMENTED,
        port: int = 0,
        *,
        empty: bool = False,
    ) -> None:
        self.tenant = tenant or Tenant.demo()
        self._empty = empty
        emulation = Emulation(self.tenant, store, behaviour, empty=empty)
        self.faults = emulation.faults
        self._demands = emulation.demands
        self._server = BackgroundServer(emulation.app, port)

    def demand(self, schema: dict[str, Any] | None) -> None:
        """Demand what a JSON schema says of every entity that is validated from now on; None takes it back."""
        self._demands.demand(schema)

    def __enter__(self) -> Self:
        self.base_url = self._server.__enter__().base_url
        self.environment = self.tenant.environment(self.base_url, empty=self._empty)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)


async def _gone(_request: Request, _error: Exception) -> Response:
    # Nobody reads this answer; without it a client that was killed while sending leaves a stack trace in the log.
    return Response(status_code=400)
