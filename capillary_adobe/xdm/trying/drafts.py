"""Drafts tried on real events: transformed, validated and counted beside what is sent.

Belongs here: what one run learns of each draft. Does not belong here: which rules are drafts (`mapping_in_force.py`),
keeping what was learned (`state.rule_stages`) and publishing (`life_cycle.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capillary_adobe.state import Evidence
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.conformance import Violation
from capillary_adobe.xdm.entities import Entity, EntityStage
from capillary_adobe.xdm.language.origins import Origins
from capillary_adobe.xdm.language.rule_model import GENERIC, Rules

_NAME = ENRICHED_EVENTS.names.index("event_name")


class Trial:
    """Tries the drafts of a run on its rows; whatever a draft does, the run goes on.

    `drafts` are the fingerprints by event. Those in `beside` have another rule making their entities: their own are made
    here by the stage that `make_stage` gives, and thrown away. `rules` are the drafts', for the lines that wrote a field,
    and the others': an event that has none goes by the generic one.
    """

    def __init__(
        self,
        drafts: Mapping[str, str],
        beside: frozenset[str],
        rules: Rules,
        make_stage: Callable[[], EntityStage],
    ) -> None:
        self.found = {(event, mark): Evidence() for event, mark in drafts.items()}
        self.problem: str | None = None
        self._drafts = drafts
        self._beside = beside
        self._origins = Origins(rules)
        self._rules = rules
        self._stage = self._made(make_stage) if beside else None

    def observe(self, row: tuple[Any, ...], entity: Entity) -> None:
        """Try the draft of a row's event, if there is one, beside the entity that was made of it."""
        event = row[_NAME] if row[_NAME] in self._rules else GENERIC
        mark = self._drafts.get(event)
        if mark is None:
            return
        evidence = self.found[event, mark]
        if event not in self._beside:
            evidence.note(self._cause(event, entity))
        elif self._stage is not None:
            try:
                tried = self._stage.entity(row)
                if not _same_fault(tried, entity):
                    evidence.note(self._cause(event, tried))
            except Exception as error:  # noqa: BLE001 - nothing that a draft does may touch what is sent
                evidence.note(f"mapping_failed ({type(error).__name__})")

    def _made(self, make_stage: Callable[[], EntityStage]) -> EntityStage | None:
        try:
            return make_stage()
        except Exception as error:  # noqa: BLE001 - as above
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.problem = f"The drafts beside live rules cannot be tried: {first}"
            return None

    def _cause(self, event: str, entity: Entity) -> str | None:
        if not entity.violations:
            return None
        first = entity.violations[0]
        place = self._origins.place(event, entity.variant, first.pointer)
        line = f" ({place.in_line})" if place is not None else ""
        return f"{first.code} {first.pointer or '/'}{line}"


def _same_fault(draft: Entity, live: Entity) -> bool:
    """Whether the live rule fails on the event as the draft does: then the event is at fault, and proves nothing."""
    return bool(draft.violations) and _faults(draft.violations) <= _faults(live.violations)


def _faults(violations: list[Violation]) -> set[tuple[str, str]]:
    return {(violation.code, violation.pointer) for violation in violations}
