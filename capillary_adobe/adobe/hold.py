"""Entities that are made and not sent: their rule is a draft, or paused, or no longer the one that made them, or a look-up
at Capillary is awaited.

Belongs here: which rows of `xdm_events` wait and why, in words. Does not belong here: the stages of rules
(`mapping_in_force.py`) and sending (`delivery.py`).

A row remembers the rule that made it, so that an entity of a draft is never sent as if the published rule had made it,
whatever was published between its making and its delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from capillary_adobe.state import Stage

Entities = Callable[[list[str]], Iterable[pa.RecordBatch]]
"""Reads the entities of a slice anew at each call: the wanted ones of the columns of `xdm_events`."""

COLUMNS = ("event_name", "rule", "draft", "waits_for")
HELD = "held: "
"""How the words of every entity that waits for an operator begin."""

OUTDATED = f"{HELD}another rule is published than the one that made it; the next run of the day makes it anew."
ORPHANED = f"{HELD}made by a draft that the mapping folder no longer has; materialize the day from raw_events on."
_AWAITS = (
    "awaits the look-up of its {what} at Capillary, for CAPILLARY_LOOKUP_HOLD_MINUTES at most; then it is sent without."
)
AWAITED = frozenset(_AWAITS.format(what=what) for what in ("customer", "transaction"))
"""The words of entities that wait for Capillary and not for an operator; their micro-batch is asked for again by itself."""

_WORDS = {
    Stage.DRAFT: f"{HELD}its rule is a draft; `capillary-adobe mapping publish` has it sent.",
    Stage.PAUSED: f"{HELD}its rule is paused; `capillary-adobe mapping resume` has it sent.",
}


@dataclass(frozen=True)
class Hold:
    """What is held back: by event (`*` for events without a rule of their own) and by the rule that made an entity.

    `live` has the fingerprint of every rule whose entities may be sent; it is compared for the events in `changed`, whose
    rule an operator has published or paused.
    """

    stages: Mapping[str, Stage] = field(default_factory=dict)
    live: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()

    def why(
        self,
        event: str,
        rule: str | None,
        draft: bool | None,  # noqa: FBT001 - a row's columns
        waits_for: str | None = None,
    ) -> str | None:
        """Why an entity waits, by its row's columns; None for one that may be sent."""
        told = self._rule_waits(event, rule, draft)
        return _AWAITS.format(what=waits_for) if told is None and waits_for else told

    def _rule_waits(self, event: str, rule: str | None, draft: bool | None) -> str | None:  # noqa: FBT001 - a row's columns
        key = event if event in self.live or event in self.stages else "*"
        stage = self.stages.get(key)
        if stage is not None:
            return _WORDS[stage]
        if draft:
            return OUTDATED if event in self.live else ORPHANED
        return OUTDATED if key in self.changed and rule != self.live.get(key) else None

    def reasons(self, batch: pa.RecordBatch) -> list[str | None]:
        """For each row of a batch with `COLUMNS`, why it waits."""
        rows = zip(*(batch.column(name).to_pylist() for name in COLUMNS), strict=True)
        known: dict[tuple[str, str | None, bool | None, str | None], str | None] = {}
        found: list[str | None] = []
        for row in rows:
            if row not in known:
                known[row] = self.why(*row)
            found.append(known[row])
        return found

    def passing(self, read: Entities) -> Entities:
        """The same entities without those that wait."""
        return lambda columns: self._chosen(read, columns, waiting=False)

    def waiting(self, read: Entities) -> Entities:
        """Those entities that wait."""
        return lambda columns: self._chosen(read, columns, waiting=True)

    def _chosen(self, read: Entities, columns: list[str], *, waiting: bool) -> Iterator[pa.RecordBatch]:
        wanted = [*columns, *(name for name in COLUMNS if name not in columns)]
        for batch in read(wanted):
            reasons = self.reasons(batch)
            places = [place for place, reason in enumerate(reasons) if (reason is not None) is waiting]
            whole = len(places) == batch.num_rows
            yield (batch if whole else batch.take(pa.array(places, pa.int64()))).select(columns)


NOTHING_HELD = Hold()


def nothing(_columns: list[str]) -> Iterable[pa.RecordBatch]:
    """No entities."""
    return ()
