"""Validation of streamed entities after their answer.

Belongs here: going through what was accepted, in windows, and remembering what came of each entity. Does not belong
here: the demands on an entity (`demands`) and the batches that the failed ones form (`failed_batches`).

The file of accepted entities is the queue, so any number may wait without costing memory, and whatever waited when the
emulator stopped is validated after the next start. A window counts from the moment its line is in the journal: a
batch of failed entities that is not named there is dropped at the next start, and its window is done again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from capillary_adobe.emulators.accepted import AcceptedEntities, End, Line
from capillary_adobe.emulators.background import Background
from capillary_adobe.emulators.batch_store import BatchStore
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.demands import Demands
from capillary_adobe.emulators.failed_batches import FailedBatches
from capillary_adobe.emulators.lake_count import Place
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant

_MOST_LINES = 20_000


class Journal:
    """The windows that are done: the place each reached, the lines in it that failed, why, and their batches."""

    def __init__(self, store: Path) -> None:
        self._path = store / "validated.jsonl"

    def read(self) -> Iterator[dict[str, Any]]:
        """Every window, oldest first."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield orjson.loads(line)

    def add(self, end: End, failed: list[int], batches: list[str], categories: Counter[str]) -> None:
        """Write a window down."""
        window = {"lines": end.lines, "offset": end.offset, "failed": failed, "batches": batches}
        window["categories"] = dict(categories)
        with self._path.open("ab") as file:
            file.write(orjson.dumps(window) + b"\n")

    def mend(self) -> None:
        """Cut off what a kill left half written."""
        if self._path.exists():
            text = self._path.read_bytes()
            self._path.write_bytes(text[: text.rfind(b"\n") + 1])


class Validation(Background):
    """Validates what has come in since it last looked."""

    def __init__(
        self,
        tenant: Tenant,
        behaviour: Behaviour,
        targets: Targets,
        accepted: AcceptedEntities,
        batches: BatchStore,
        demands: Demands,
        journal: Journal,
    ) -> None:
        super().__init__("validation")
        self._tenant = tenant
        self._behaviour = behaviour
        self._targets = targets
        self._accepted = accepted
        self._batches = batches
        self._demands = demands
        self._journal = journal
        self._done = End(0, 0)
        self._categories: Counter[str] = Counter()
        self._failed: set[int] = set()

    def open(self, done: End, categories: Counter[str], failed: set[int]) -> None:
        """Begin behind this place, which was reached with so many violations of each category, in these lines."""
        self._done = done
        self._categories = categories
        self._failed = failed

    @property
    def lines(self) -> int:
        """How many lines are done."""
        return self._done.lines

    def has_failed(self, line: int) -> bool:
        """Whether the entity in a line was found wanting."""
        return line in self._failed

    def categories(self) -> Counter[str]:
        """How many violations of each category were found so far."""
        return self._categories

    def work(self) -> float:
        """Take what has come in, one window after another."""
        while (lines := self._accepted.end().lines - self._done.lines) > 0:
            self._window(min(lines, _MOST_LINES))
        return self._behaviour.validation_seconds

    def _window(self, lines: int) -> None:
        end = self._done
        failed: list[int] = []
        categories: Counter[str] = Counter()
        settled: list[tuple[str, Any, Place]] = []
        with FailedBatches(self._tenant, self._behaviour, self._targets, self._batches) as failures:
            for line, end in self._accepted.streamed(self._done, lines):  # noqa: B007 - the last one is used below
                if line.content:
                    place = self._validate(line, failures, categories)
                    settled.append((line.content["dataset"], line.content["entity"].get("_id"), place))
                    if place == "failed":
                        failed.append(line.number)
                self.step()
        batches = failures.save()
        self._journal.add(end, failed, [batch.id for batch in batches], categories)
        for batch in batches:
            self._batches.show(batch)
        self._categories = self._categories + categories
        self._accepted.settle(settled)
        self._failed.update(failed)
        self._done = end

    def _validate(self, line: Line, failures: FailedBatches, categories: Counter[str]) -> Place:
        dataset_id, entity = line.content["dataset"], line.content["entity"]
        violations = self._demands.violations(dataset_id, "streaming", entity, line.content["received_ms"])
        if not violations:
            return "lake"
        categories.update(violation.category for violation in violations)
        failures.take(line.content, violations)
        return "failed"
