"""The emulator of Capillary: how its parts make one application, and that application running.

Belongs here: the wiring. Does not belong here: the parts, each of which has a module of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.capillary.access import Access, presented
from capillary_adobe.emulators.capillary.answers import Answers
from capillary_adobe.emulators.capillary.behaviour import Behaviour
from capillary_adobe.emulators.capillary.calls import CallCounter, Calls, Rates
from capillary_adobe.emulators.capillary.control import Control
from capillary_adobe.emulators.capillary.customer_api import CustomerApi
from capillary_adobe.emulators.capillary.delivery_faults import DeliveryFaults
from capillary_adobe.emulators.capillary.holdings import Holdings, Kind, Population, Record
from capillary_adobe.emulators.capillary.holdings_control import HoldingsControl
from capillary_adobe.emulators.capillary.log import Log, Search
from capillary_adobe.emulators.capillary.log_api import LogApi
from capillary_adobe.emulators.capillary.notifications import Notifications
from capillary_adobe.emulators.capillary.organisation import Organisation
from capillary_adobe.emulators.capillary.organisation_api import OrganisationApi
from capillary_adobe.emulators.capillary.webhook_api import WebhookApi
from capillary_adobe.emulators.capillary.webhooks import Webhooks
from capillary_adobe.emulators.fault_layer import FaultLayer
from capillary_adobe.emulators.faults import Faults
from capillary_adobe.emulators.running import BackgroundServer, serve

__all__ = ["Behaviour", "Organisation", "RunningCapillary", "build_app", "serve"]

_API = ("/v3/", "/v2/", "/v1.1/")
_AS_DOCUMENTED = Behaviour()


class Emulation:
    """The application and the handles of it that are not spoken to over HTTP."""

    def __init__(
        self, organisation: Organisation, store: Path, behaviour: Behaviour, population: Population | None
    ) -> None:
        self.faults = Faults()
        self.delivery_faults = DeliveryFaults()
        self.webhooks = Webhooks(store / "webhooks.json", unique_names=behaviour.unique_names)
        self.log = Log(store / "log.db", behaviour.log_rows, behaviour.log_days)
        self.notifications = Notifications(self.webhooks, self.log, behaviour, self.delivery_faults)
        answers = Answers(errors_with_200=behaviour.errors_with_200)
        access = Access(organisation, behaviour, answers)
        self.holdings = Holdings(population)
        self.calls = Calls()
        self.app = Starlette(
            routes=[
                Route("/v3/oauth/token/generate", access.token, methods=["POST"]),
                # The log's addresses lie below those of the webhooks and must be met first.
                *LogApi(self.log, self.webhooks, access, answers, behaviour.offset_minutes).routes(),
                *WebhookApi(self.webhooks, access, answers).routes(),
                *CustomerApi(self.holdings, access, answers, behaviour).routes(),
                *OrganisationApi(self.holdings, access, answers, behaviour).routes(),
                *Control(self.notifications, self.log, self.faults, self.delivery_faults).routes(),
                *HoldingsControl(self.holdings, self.calls).routes(),
            ],
            middleware=[
                # Outside the faults: Capillary counts what it fails to answer, too.
                Middleware(CallCounter, self.calls, _API),
                Middleware(FaultLayer, self.faults, access.tokens, dict.fromkeys(_API, answers.counts), presented),
            ],
            exception_handlers={ClientDisconnect: _gone},
            lifespan=self._store_open,
        )

    @asynccontextmanager
    async def _store_open(self, _app: Starlette) -> AsyncIterator[None]:
        self.webhooks.open()
        self.log.open()
        self.notifications.start()
        try:
            yield
        finally:
            self.notifications.stop()
            self.log.close()


def build_app(
    organisation: Organisation,
    store: Path,
    behaviour: Behaviour = _AS_DOCUMENTED,
    population: Population | None = None,
) -> Starlette:
    """The emulator as an application; its webhooks and its log are in `store`, which it opens when it starts to serve."""
    return Emulation(organisation, store, behaviour, population).app


class RunningCapillary:
    """The emulator on this machine while the context lasts.

    `environment` holds the variables a client needs. The store outlives the context: another emulator on the same store
    and, if wanted, the same port goes on where this one stopped. `faults` lets the API go wrong, `delivery_faults` the
    notification service.
    """

    def __init__(
        self,
        store: Path,
        behaviour: Behaviour = _AS_DOCUMENTED,
        port: int = 0,
        organisation: Organisation | None = None,
        population: Population | None = None,
    ) -> None:
        self.organisation = organisation or Organisation.demo()
        emulation = Emulation(self.organisation, store, behaviour, population)
        self.faults = emulation.faults
        self.delivery_faults = emulation.delivery_faults
        self._emulation = emulation
        self._server = BackgroundServer(emulation.app, port)

    def put(self, kind: Kind, *records: Record) -> None:
        """Take in customers, transactions, stores, tills or programs; see `holdings` for their form."""
        self._emulation.holdings.put(kind, records)

    def rates(self) -> Rates:
        """How many calls of the API came in, and the most of them in 60 seconds."""
        return self._emulation.calls.rates()

    def webhooks(self) -> list[dict[str, Any]]:
        """The record of every webhook, dead ones included."""
        return self._emulation.webhooks.all()

    def subscribe(self, **fields: Any) -> dict[str, Any]:
        """Make a webhook without the API, by the fields of its record; gives the record."""
        usual = {"name": "test", "eventNames": ["pointsIssued"], "maxAllowedConnections": 2}
        return self._emulation.webhooks.add(usual | fields)

    def send(self, bodies: Iterable[bytes]) -> dict[str, int]:
        """Hand events to the notification service, as `POST /control/events` does."""
        return dict(self._emulation.notifications.take(bodies))

    def deliveries(self) -> dict[str, int]:
        """How many deliveries stand where: PENDING, RETRYING, SUCCESS, FAILED."""
        return self._emulation.log.counts(Search())

    def most_at_once(self) -> dict[str, int]:
        """The most connections that each consumer group has had at the same time."""
        return self._emulation.notifications.most_at_once()

    def __enter__(self) -> Self:
        self.base_url = self._server.__enter__().base_url
        self.environment = self.organisation.environment(self.base_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)


async def _gone(_request: Request, _error: Exception) -> Response:
    # Nobody reads this answer; without it a client that was killed while sending leaves a stack trace in the log.
    return Response(status_code=400)
