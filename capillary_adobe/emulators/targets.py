"""Where data can go: the datasets of every sandbox, and the inlets with the dataflows that lead from them to datasets.

Belongs here: reading inlets and datasets out of the objects of the sandboxes, quickly. Does not belong here: making
those objects (`datasets`, `flow_service`), the checks of a message (`envelope`) and those of an entity (`demands`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capillary_adobe.emulators.dataset_objects import is_time_series
from capillary_adobe.emulators.sandboxes import Resources, Sandboxes


@dataclass(frozen=True)
class Target:
    """A dataset: its schema, whether that is one of events, and the dataflows that lead to it, oldest first."""

    dataset_id: str
    name: str
    sandbox: str
    schema_id: str
    time_series: bool
    flow_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class InletTargets:
    """An inlet: what it takes messages for, and by which of its dataflows."""

    inlet_id: str
    sandbox: str
    authenticated: bool
    datasets: Mapping[str, Target]
    """Every dataset of the sandbox, whether or not a dataflow leads there."""
    schema_ids: frozenset[str]
    """Every schema of the sandbox."""
    flows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The inlet's own dataflows by the dataset they lead to."""


@dataclass(frozen=True)
class _View:
    revision: tuple[int, ...]
    targets: Mapping[str, Target]
    inlets: Mapping[str, InletTargets]


class Targets:
    """Looks inlets and datasets up. What was read counts until an object of any sandbox changes; threads may share it."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes
        self._lock = threading.Lock()
        self._view = _View((), {}, {})

    @property
    def revision(self) -> tuple[int, ...]:
        """Something that differs after any change of an object of any sandbox."""
        return tuple(resources.revision for _, resources in self._sandboxes.every())

    def inlet(self, inlet_id: str) -> InletTargets | None:
        """An inlet by its id."""
        return self._current().inlets.get(inlet_id)

    def find(self, dataset_id: Any, sandbox: str | None = None) -> Target | None:
        """A dataset, of that sandbox if one is named."""
        target = self._current().targets.get(dataset_id) if isinstance(dataset_id, str) else None
        return target if target is not None and sandbox in (None, target.sandbox) else None

    def get(self, dataset_id: str) -> Target:
        """A dataset that something was sent to; one that was deleted since has no schema."""
        return self.find(dataset_id) or Target(dataset_id, "", "", "", time_series=False)

    def resources(self, target: Target) -> Resources | None:
        """The objects of the sandbox that a dataset is in."""
        return self._sandboxes.of(target.sandbox)

    def _current(self) -> _View:
        revision = self.revision
        view = self._view
        if view.revision == revision:
            return view
        with self._lock:
            # Whatever changes while this is read makes the revision another one, and the next look reads again.
            if self._view.revision != revision:
                self._view = _view(self._sandboxes, revision)
            return self._view


def _view(sandboxes: Sandboxes, revision: tuple[int, ...]) -> _View:
    targets: dict[str, Target] = {}
    inlets: dict[str, InletTargets] = {}
    for name, resources in sandboxes.every():
        flows = _flows(resources)
        here = _targets(name, resources, flows)
        schema_ids = frozenset(schema["$id"] for schema in resources.all("schemas"))
        targets |= here
        for connection in resources.all("connections"):
            params = connection["auth"]["params"]
            own = {id_: found for id_ in here if (found := _from(connection["id"], id_, flows))}
            authenticated = params.get("authenticationRequired") is True
            inlets[params["inletId"]] = InletTargets(params["inletId"], name, authenticated, here, schema_ids, own)
    return _View(revision, targets, inlets)


@dataclass(frozen=True)
class _Flow:
    flow_id: str
    connection_ids: frozenset[str]
    dataset_ids: frozenset[str]


def _flows(resources: Resources) -> list[_Flow]:
    bases = {source["id"]: source["baseConnectionId"] for source in resources.all("sourceConnections")}
    ends = {target["id"]: target["params"]["dataSetId"] for target in resources.all("targetConnections")}
    return [
        _Flow(
            flow["id"],
            frozenset(bases[id_] for id_ in flow["sourceConnectionIds"] if id_ in bases),
            frozenset(ends[id_] for id_ in flow["targetConnectionIds"] if id_ in ends),
        )
        for flow in resources.all("flows")
    ]


def _from(connection_id: str, dataset_id: str, flows: list[_Flow]) -> tuple[str, ...]:
    return tuple(
        flow.flow_id for flow in flows if connection_id in flow.connection_ids and dataset_id in flow.dataset_ids
    )


def _targets(sandbox: str, resources: Resources, flows: list[_Flow]) -> dict[str, Target]:
    found: dict[str, Target] = {}
    for dataset in resources.all("dataSets"):
        id_, schema_id = dataset["id"], dataset["schemaRef"]["id"]
        leading = tuple(flow.flow_id for flow in flows if id_ in flow.dataset_ids)
        timed = is_time_series(dataset, resources)
        found[id_] = Target(id_, dataset["name"], sandbox, schema_id, timed, leading)
    return found
