"""The sandboxes of the organisation, and the objects that were made in each.

Belongs here: keeping objects by kind over a restart, and which sandbox a call means. Does not belong here: what the
objects say (`schema_registry`, `namespaces` and the others) and what a sandbox holds from the start (`seeding`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.requests import Request

from capillary_adobe.emulators.seeding import seed
from capillary_adobe.emulators.tenant import Tenant

PRODUCTION: Final = "prod"
_SECOND: Final = "second"


class Resources:
    """The objects of one sandbox, by kind and id. Threads may share it; nobody may change what it gives."""

    def __init__(self, sandbox: str, folder: Path) -> None:
        self.sandbox = sandbox
        self._folder = folder
        self._lock = threading.RLock()
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}
        self.revision = 0
        """Grows with every change, so that what was made of the objects can be kept until then."""

    def open(self) -> None:
        """Read what is kept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._kinds = {path.stem: orjson.loads(path.read_bytes()) for path in self._folder.glob("*.json")}
            self.revision += 1

    def put(self, kind: str, id_: str, content: dict[str, Any]) -> None:
        """Keep an object, in place of the one that had its id; it keeps that one's place in the order."""
        with self._lock:
            kept: dict[str, Any] = orjson.loads(orjson.dumps(content))
            self._replace(kind, self._kinds.get(kind, {}) | {id_: kept})

    def get(self, kind: str, id_: str) -> dict[str, Any] | None:
        """One object."""
        return self._kinds.get(kind, {}).get(id_)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind, in the order of creation."""
        return list(self._kinds.get(kind, {}).values())

    def remove(self, kind: str, id_: str) -> bool:
        """Forget an object; say whether it was there."""
        with self._lock:
            objects = self._kinds.get(kind, {})
            if id_ not in objects:
                return False
            self._replace(kind, {key: content for key, content in objects.items() if key != id_})
            return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else change an object meanwhile, so that what was looked up still holds when it is acted on."""
        with self._lock:
            yield

    def _replace(self, kind: str, objects: dict[str, dict[str, Any]]) -> None:
        # Readers take no lock: they find the objects of a kind as they were or as they are, never in between.
        path = self._folder / f"{kind}.json"
        beside = path.with_suffix(".new")
        beside.write_bytes(orjson.dumps(objects))
        beside.replace(path)
        self._kinds[kind] = objects
        self.revision += 1


class Sandboxes:
    """The tenant's sandbox, and one more that nothing was made in.

    The second is the production sandbox, unless that is the tenant's own: a call that names no sandbox means it.
    """

    def __init__(self, tenant: Tenant, store: Path, *, empty: bool = False) -> None:
        self._tenant = tenant
        self._empty = empty
        names = (tenant.sandbox_name, _SECOND if tenant.sandbox_name == PRODUCTION else PRODUCTION)
        self._resources = {name: Resources(name, store / "sandboxes" / quote(name, safe="")) for name in names}

    def open(self) -> None:
        """Bring back what was there; unless it is to be empty, make what the tenant's own sandbox lacks."""
        for resources in self._resources.values():
            resources.open()
        if not self._empty:
            seed(self._resources[self._tenant.sandbox_name], self._tenant)

    def names(self) -> list[str]:
        """The sandboxes' names, the tenant's own first."""
        return list(self._resources)

    @property
    def usual(self) -> str:
        """The sandbox of a call that names none."""
        return PRODUCTION if PRODUCTION in self._resources else self.names()[0]

    def of(self, name: str) -> Resources | None:
        """The objects of a sandbox, if there is one of this name."""
        return self._resources.get(name)

    def every(self) -> list[tuple[str, Resources]]:
        """Every sandbox with its objects."""
        return list(self._resources.items())


def resources_of(request: Request) -> Resources:
    """The objects of the sandbox that a call behind the gateway means."""
    return request.state.resources
