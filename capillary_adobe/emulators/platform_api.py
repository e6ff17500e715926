"""The Platform API behind its gateway, with the threads that work for it and what it keeps.

Belongs here: how its services are put together, opened and closed, in an order that brings everything back after a
restart. Does not belong here: the services.
"""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Route, Router

from capillary_adobe.emulators.accepted import AcceptedEntities, End
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.batches import Batches
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.catalog import Catalog
from capillary_adobe.emulators.demands import Demands
from capillary_adobe.emulators.export import Export
from capillary_adobe.emulators.faults import Faults
from capillary_adobe.emulators.gateway import Gateway, unknown_path
from capillary_adobe.emulators.ims import Tokens
from capillary_adobe.emulators.lake_count import Place
from capillary_adobe.emulators.promotion import Promotion
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.uploads import Uploads
from capillary_adobe.emulators.validation import Journal, Validation

_FILE = "/import/batches/{batch}/datasets/{dataset}/files/{path:path}"


class Platform:
    """Batch Ingestion, Catalog and Data Access, and the validation of what is streamed."""

    def __init__(
        self,
        tenant: Tenant,
        store: Path,
        behaviour: Behaviour,
        tokens: Tokens,
        accepted: AcceptedEntities,
        demands: Demands,
        faults: Faults,
    ) -> None:
        self._validates = behaviour.validate
        self._accepted = accepted
        self._batches = BatchStore(store)
        self._journal = Journal(store)
        self._promotion = Promotion(behaviour, self._batches, accepted, demands)
        self._validation = Validation(tenant, behaviour, accepted, self._batches, demands, self._journal)
        batches = Batches(tenant, behaviour, self._batches, self._promotion, faults)
        uploads = Uploads(behaviour, self._batches)
        catalog = Catalog(tenant, behaviour, self._batches)
        export = Export(behaviour, self._batches)
        routes = [
            Route("/import/batches", batches.create, methods=["POST"]),
            Route("/import/batches/{batch}", batches.act, methods=["POST"]),
            Route(_FILE, uploads.put, methods=["PUT"]),
            Route(_FILE, uploads.patch, methods=["PATCH"]),
            Route(_FILE, uploads.post, methods=["POST"]),
            Route(_FILE, uploads.head, methods=["HEAD"]),
            Route("/catalog/batches", catalog.batches),
            Route("/catalog/batches/{batch}", catalog.batch),
            Route("/catalog/dataSets/{dataset}", catalog.dataset),
            Route("/export/batches/{batch}/failed", export.failed),
            Route("/export/batches/{batch}/meta", export.meta),
            Route("/export/batches/{batch}/files", export.files),
            Route("/export/files/{file}", export.file),
        ]
        self.gateway = Gateway(tenant, behaviour, tokens, Router(routes, default=unknown_path))

    def open(self) -> None:
        """Bring back what was there, and go on with what was under way."""
        self._journal.mend()
        streamed: set[str] = set()
        failed: set[int] = set()
        done = End(0, 0)
        for window in self._journal.read():
            streamed.update(window["batches"])
            failed.update(window["failed"])
            done = End(window["lines"], window["offset"])
        self._batches.open(streamed)

        def place(number: int, batch_id: str | None) -> Place:
            if batch_id is not None:
                batch = self._batches.get(batch_id)
                return "withdrawn" if batch is not None and batch.state == "inactive" else "lake"
            if number in failed:
                return "failed"
            return "waiting" if self._validates and number > done.lines else "lake"

        self._accepted.open(place)
        self._promotion.start()
        if self._validates:
            self._validation.open(done)
            self._validation.start()

    def close(self) -> None:
        """Stop working and let go of the files."""
        self._validation.stop()
        self._promotion.stop()
        self._accepted.close()
