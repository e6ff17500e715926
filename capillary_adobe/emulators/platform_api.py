"""The Platform API behind its gateway, with the threads that work for it and what it keeps.

Belongs here: how its services are put together, opened and closed, in an order that brings everything back after a
restart. Does not belong here: the services.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from capillary_adobe.emulators.accepted import AcceptedEntities, End
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.batches import Batches, no_batch
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.catalog import Catalog
from capillary_adobe.emulators.datasets import Datasets
from capillary_adobe.emulators.demands import Demands
from capillary_adobe.emulators.export import Export
from capillary_adobe.emulators.faults import Faults
from capillary_adobe.emulators.flow_service import FlowService
from capillary_adobe.emulators.gateway import Gateway, unknown_path
from capillary_adobe.emulators.hygiene import Hygiene
from capillary_adobe.emulators.ims import Tokens
from capillary_adobe.emulators.lake_count import Place
from capillary_adobe.emulators.namespaces import Namespaces
from capillary_adobe.emulators.profile_store import ProfileStore
from capillary_adobe.emulators.promotion import Promotion
from capillary_adobe.emulators.sandbox_management import SandboxManagement
from capillary_adobe.emulators.sandboxes import Sandboxes, resources_of
from capillary_adobe.emulators.schema_registry import METHODS, SchemaRegistry
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.uploads import Uploads
from capillary_adobe.emulators.validation import Journal, Validation
from capillary_adobe.emulators.wire import drain

_FILE = "/import/batches/{batch}/datasets/{dataset}/files/{path:path}"

Endpoint = Callable[[Request], Awaitable[Response]]


class Platform:
    """Batch Ingestion, Catalog and Data Access, and the validation of what is streamed."""

    def __init__(
        self,
        tenant: Tenant,
        sandboxes: Sandboxes,
        targets: Targets,
        store: Path,
        behaviour: Behaviour,
        tokens: Tokens,
        accepted: AcceptedEntities,
        demands: Demands,
        faults: Faults,
    ) -> None:
        self._validates = behaviour.validate
        self._accepted = accepted
        self._targets = targets
        self._batches = BatchStore(store)
        self._journal = Journal(store)
        self._promotion = Promotion(behaviour, self._batches, accepted, demands)
        self._validation = Validation(tenant, behaviour, targets, accepted, self._batches, demands, self._journal)
        self.profile_store = ProfileStore(
            accepted, targets, self._validated, self._validation.has_failed, behaviour.profile_reorder_seconds
        )
        batches = Batches(tenant, behaviour, targets, self._batches, self._promotion, faults)
        uploads = Uploads(behaviour, self._batches)
        catalog = Catalog(tenant, behaviour, targets, self._batches)
        datasets = Datasets(tenant)
        export = Export(behaviour, self._batches)
        management = SandboxManagement(sandboxes)
        namespaces = Namespaces(tenant)
        here = self._here
        foundation = [
            Route("/import/batches", batches.create, methods=["POST"]),
            Route("/import/batches/{batch}", here(batches.act), methods=["POST"]),
            Route(_FILE, here(uploads.put), methods=["PUT"]),
            Route(_FILE, here(uploads.patch), methods=["PATCH"]),
            Route(_FILE, here(uploads.post), methods=["POST"]),
            Route(_FILE, here(uploads.head), methods=["HEAD"]),
            Route("/catalog/batches", catalog.batches),
            Route("/catalog/batches/{batch}", here(catalog.batch)),
            Route("/catalog/dataSets", datasets.list, methods=["GET"]),
            Route("/catalog/dataSets", datasets.create, methods=["POST"]),
            Route("/catalog/dataSets/{dataset}", datasets.one, methods=["GET"]),
            Route("/catalog/dataSets/{dataset}", datasets.change, methods=["PATCH"]),
            Route("/catalog/dataSets/{dataset}", datasets.delete, methods=["DELETE"]),
            Route("/export/batches/{batch}/failed", here(export.failed)),
            Route("/export/batches/{batch}/meta", here(export.meta)),
            Route("/export/batches/{batch}/files", here(export.files)),
            Route("/export/files/{file}", export.file),
            *FlowService(tenant).routes("/flowservice"),
            Route("/schemaregistry/{rest:path}", SchemaRegistry(tenant).answer, methods=METHODS),
            Route("/sandbox-management/", management.usable),
            Route("/sandbox-management/sandboxes", management.sandboxes),
            Route("/sandbox-management/sandboxes/{name}", management.sandbox),
        ]
        hygiene = Hygiene(tenant, behaviour)
        core = [
            Route("/hygiene/workorder", hygiene.list, methods=["GET"]),
            Route("/hygiene/workorder", hygiene.create, methods=["POST"]),
            Route("/hygiene/workorder/{id}", hygiene.one),
            Route("/idnamespace/identities", namespaces.list, methods=["GET"]),
            Route("/idnamespace/identities", namespaces.create, methods=["POST"]),
            Route("/idnamespace/identities/{id}", namespaces.one, methods=["GET"]),
            Route("/idnamespace/identities/{id}", namespaces.replace, methods=["PUT"]),
        ]
        services = Router([_services("/foundation", foundation), _services("/core", core)], default=unknown_path)
        self.gateway = Gateway(tenant, sandboxes, behaviour, tokens, services)

    def open(self) -> None:
        """Bring back what was there, and go on with what was under way."""
        self._journal.mend()
        streamed: set[str] = set()
        failed: set[int] = set()
        done = End(0, 0)
        categories: Counter[str] = Counter()
        for window in self._journal.read():
            streamed.update(window["batches"])
            failed.update(window["failed"])
            done = End(window["lines"], window["offset"])
            categories.update(window.get("categories", {}))
        self._batches.open(streamed)

        def place(number: int, batch_id: str | None) -> Place:
            if batch_id is not None:
                batch = self._batches.get(batch_id)
                return "withdrawn" if batch is not None and batch.state == "inactive" else "lake"
            if number in failed:
                return "failed"
            return "waiting" if self._validates and number > done.lines else "lake"

        self._accepted.open(place)
        self._validation.open(done, categories, failed)
        self._promotion.start()
        if self._validates:
            self._validation.start()

    def close(self) -> None:
        """Stop working and let go of the files."""
        self._validation.stop()
        self._promotion.stop()
        self._accepted.close()

    def violations(self) -> Counter[str]:
        """How many violations of each category were found, by either lane."""
        found = Counter(self._validation.categories())
        for batch in self._batches.all():
            found.update(batch.verdict.categories if batch.verdict else {})
        return found

    def _validated(self, lines: int) -> int:
        """How many of so many lines have a verdict that stands."""
        return self._validation.lines if self._validates else lines

    def _here(self, endpoint: Endpoint) -> Endpoint:
        """A call about a batch, of which no other sandbox than its own knows."""

        @wraps(endpoint)
        async def call(request: Request) -> Response:
            batch = self._batches.get(request.path_params["batch"])
            if batch is not None and self._targets.find(batch.dataset_id, resources_of(request).sandbox) is None:
                await drain(request)
                return no_batch(batch.id)
            return await endpoint(request)

        return call


def _services(path: str, routes: list[Route]) -> Mount:
    return Mount(path, Router(routes, default=unknown_path))
