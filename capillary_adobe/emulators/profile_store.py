"""The profile store: what AEP knows of each person, from the datasets that are enabled for Profile.

Belongs here: fragments, the order in which records take effect, and the graph of identities. Does not belong here: the
addresses that show them (`control`), which records come in (`envelope`) and which are refused later (`validation`).

A record of a profile replaces what its dataset held under its primary identity, whole. Which of several that come in
quickly takes effect last, AEP does not promise: with `Behaviour.profile_reorder_seconds` each takes effect some time after
it came in, up to so long, and the last to do so stays. An event adds nothing but links between identities, and no record
ever takes a link back. Everything is read from the file of accepted entities, so a restart changes nothing.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.dataset_objects import IDENTITY, PROFILE, is_on
from capillary_adobe.emulators.targets import Target, Targets

_LINES_AT_ONCE = 1000


class Node(NamedTuple):
    """An identity: the symbol of its namespace, and its value."""

    namespace: str
    id: str


class _Applied(NamedTuple):
    """A record with the moment at which it takes effect; of two at one moment the later line does."""

    at_ms: float
    line: int
    entity: dict[str, Any]


class ProfileStore:
    """Fragments and links; each look reads what has been validated since the last one. Threads may share it."""

    def __init__(
        self,
        accepted: AcceptedEntities,
        targets: Targets,
        validated: Callable[[int], int],
        refused: Callable[[int], bool],
        reorder_seconds: float,
    ) -> None:
        self._accepted = accepted
        self._targets = targets
        self._validated = validated
        self._refused = refused
        self._reorder_ms = reorder_seconds * 1000
        self._lock = threading.Lock()
        self._lines = 0
        self._fragments: dict[tuple[str, Node], _Applied] = {}
        self._primaries: set[Node] = set()
        self._carriers: defaultdict[Node, set[Node]] = defaultdict(set)

    def profile(self, node: Node) -> dict[str, Any] | None:
        """What is known under a primary identity: the fragment of each dataset; None where nothing is."""
        with self._lock:
            self._catch_up()
            found = {dataset: one.entity for (dataset, key), one in self._fragments.items() if key == node}
            known = node in self._primaries
        return {"identity": node._asdict(), "fragments": found} if known else None

    def profiles(self) -> Iterator[dict[str, Any]]:
        """Every fragment: its dataset, its primary identity and the record."""
        with self._lock:
            self._catch_up()
            listed = sorted((node, dataset, one.entity) for (dataset, node), one in self._fragments.items())
        for node, dataset, entity in listed:
            yield {"dataset": dataset, "identity": node._asdict(), "entity": entity}

    def graph(self) -> dict[str, Any]:
        """How many identities there are, and which primary ones are one person to AEP, joined by which others."""
        with self._lock:
            self._catch_up()
            primaries = set(self._primaries)
            carriers = {node: set(found) for node, found in self._carriers.items()}
        leader = {node: node for node in primaries}
        for found in carriers.values():
            _join(leader, found)
        joined: defaultdict[Node, list[Node]] = defaultdict(list)
        for node in sorted(primaries):
            joined[_leader(leader, node)].append(node)
        by: defaultdict[Node, list[Node]] = defaultdict(list)
        for node, found in sorted(carriers.items()):
            if len(found) > 1:
                by[_leader(leader, next(iter(found)))].append(node)
        clusters = [
            {"primaries": [one._asdict() for one in found], "joined_by": [one._asdict() for one in by[first]]}
            for first, found in sorted(joined.items())
            if len(found) > 1
        ]
        return {"primaries": len(primaries), "identities": len(primaries | carriers.keys()), "joined": clusters}

    def _catch_up(self) -> None:
        end = self._validated(self._accepted.end().lines)
        while self._lines < end:
            lines = self._accepted.lines(self._lines, min(_LINES_AT_ONCE, end - self._lines))
            for number, line in enumerate(lines, self._lines + 1):
                if not self._refused(number):
                    self._take(number, orjson.loads(line))
            self._lines += len(lines)

    def _take(self, number: int, kept: dict[str, Any]) -> None:
        target = self._targets.get(kept["dataset"])
        entity = kept["entity"]
        nodes = list(_nodes(entity))
        primary = next((node for node, first in nodes if first), None)
        if primary is None:
            return
        if self._enabled(target, PROFILE):
            self._primaries.add(primary)
            if not target.time_series:
                self._put(target, primary, _Applied(kept["received_ms"] + self._delay(number), number, entity))
        if self._enabled(target, IDENTITY):
            self._primaries.add(primary)
            for node, _ in nodes:
                self._carriers[node].add(primary)

    def _put(self, target: Target, primary: Node, record: _Applied) -> None:
        place = target.dataset_id, primary
        held = self._fragments.get(place)
        if held is None or (held.at_ms, held.line) < (record.at_ms, record.line):
            self._fragments[place] = record

    def _delay(self, number: int) -> float:
        # By chance, and the same after a restart.
        share = int.from_bytes(blake2b(b"%d" % number, digest_size=8).digest(), "big") / 2**64
        return share * self._reorder_ms

    def _enabled(self, target: Target, tag: str) -> bool:
        resources = self._targets.resources(target)
        dataset = resources.get("dataSets", target.dataset_id) if resources is not None else None
        return dataset is not None and is_on(dataset, tag)


def _nodes(entity: dict[str, Any]) -> Iterator[tuple[Node, bool]]:
    """The identities of a record, and whether each is its primary one."""
    identities = entity.get("identityMap")
    for namespace, listed in identities.items() if isinstance(identities, dict) else ():
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get("id"), str):
                yield Node(namespace, one["id"]), one.get("primary") is True


def _leader(leader: dict[Node, Node], node: Node) -> Node:
    while leader[node] != node:
        leader[node] = leader[leader[node]]
        node = leader[node]
    return node


def _join(leader: dict[Node, Node], nodes: set[Node]) -> None:
    leaders = sorted({_leader(leader, node) for node in nodes})
    for other in leaders[1:]:
        leader[other] = leaders[0]
