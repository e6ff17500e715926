"""The life cycle of mapping rules: which are published or paused, from which files, and what drafts were tested on.

Belongs here: these facts, kept across runs and machines. Does not belong here: what follows from them
(`mapping_in_force.py`) and when a stage may change (`life_cycle.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

import orjson
import sqlalchemy as sa

from capillary_adobe.state.database import State, StateError, metadata
from capillary_adobe.state.objects import WHOLE_DAY

mapping_snapshots = sa.Table(
    "mapping_snapshots",
    metadata,
    sa.Column("snapshot_id", sa.Text, primary_key=True),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
)

rule_stages = sa.Table(
    "rule_stages",
    metadata,
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    # Null for a rule of the package that was never published from a folder.
    sa.Column("snapshot_id", sa.Text),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
)

rule_evidence = sa.Table(
    "rule_evidence",
    metadata,
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("tested", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    # How often each of the first causes occurred.
    sa.Column("causes", sa.JSON, nullable=False),
    sa.Column("tested_ms", sa.BigInteger, nullable=False),
)

Files = Mapping[str, str]
_CAUSES_KEPT = 5


class Stage(StrEnum):
    """Where a rule stands between being written and being what is sent."""

    DRAFT = "draft"
    LIVE = "live"
    PAUSED = "paused"


@dataclass(frozen=True)
class StagedRule:
    """A rule that was published or paused; without `files` it is the package's own."""

    event: str
    fingerprint: str
    stage: Stage
    changed_ms: int
    files: Files | None = None


@dataclass
class Evidence:
    """What a draft was tested on: events, failures, their first causes and their landing days."""

    tested: int = 0
    failed: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    since_ms: int = 0
    failed_on: list[str] = field(default_factory=list)

    def note(self, cause: str | None) -> None:
        """Count one event; with a cause, as a failure."""
        self.tested += 1
        if cause is not None:
            self.failed += 1
            self.blame(cause, 1)

    def blame(self, cause: str, times: int) -> None:
        """Count a cause, the first few of them."""
        if cause in self.causes or len(self.causes) < _CAUSES_KEPT:
            self.causes[cause] += times


class RuleStages:
    """The register of published and paused rules."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def all(self) -> dict[str, StagedRule]:
        """Every rule that was published or paused, by its event.

        Raises:
            StateError: the database cannot be read, or the files of a rule are gone from it.
        """
        t, s = rule_stages.c, mapping_snapshots.c
        query = sa.select(rule_stages, s.files).select_from(
            rule_stages.outerjoin(mapping_snapshots, t.snapshot_id == s.snapshot_id)
        )
        with self._state.read() as connection:
            rows = connection.execute(query.order_by(t.event)).all()
        return {row.event: _staged(row) for row in rows}

    def put(self, event: str, fingerprint: str, stage: Stage, files: Files | None) -> None:
        """Note a rule as published or paused, with the mapping files it comes from.

        Without files it is the package's own, unless another operator has published one meanwhile: that stays the rule.
        """
        with self._state.begin() as connection:
            snapshot_id = None if files is None else self._keep(connection, files)
            row = {
                "event": event,
                "fingerprint": fingerprint,
                "stage": stage.value,
                "snapshot_id": snapshot_id,
                "changed_ms": self._now_ms(),
            }
            statement = self._state.insert(rule_stages).values(row)
            moved = {name: row[name] for name in ("stage", "changed_ms")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["event"], set_=moved if files is None else row)
            )

    def move(self, event: str, stage: Stage) -> bool:
        """Change the stage of a rule that is noted already; whether there is one."""
        statement = sa.update(rule_stages).where(rule_stages.c.event == event)
        with self._state.begin() as connection:
            done = connection.execute(statement.values(stage=stage.value, changed_ms=self._now_ms()))
            return bool(done.rowcount)

    def remove(self, event: str) -> None:
        """Forget what was noted of an event."""
        with self._state.begin() as connection:
            connection.execute(sa.delete(rule_stages).where(rule_stages.c.event == event))

    def note_folder(self, files: Files) -> None:
        """Keep the texts of a mapping folder that can be used, as the last such; written only where they have changed."""
        if self._last_id() == _name_of(files):
            return
        with self._state.begin() as connection:
            kept = self._keep(connection, files)
            used = sa.select(rule_stages.c.snapshot_id).where(rule_stages.c.snapshot_id.is_not(None))
            stale = sa.and_(mapping_snapshots.c.snapshot_id != kept, mapping_snapshots.c.snapshot_id.not_in(used))
            connection.execute(sa.delete(mapping_snapshots).where(stale))

    def last_folder(self) -> Files | None:
        """The texts of the mapping folder as it could last be used."""
        query = sa.select(mapping_snapshots.c.files).order_by(mapping_snapshots.c.seen_ms.desc()).limit(1)
        with self._state.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def _last_id(self) -> str | None:
        query = sa.select(mapping_snapshots.c.snapshot_id).order_by(mapping_snapshots.c.seen_ms.desc()).limit(1)
        with self._state.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def _keep(self, connection: sa.Connection, files: Files) -> str:
        """Store the texts once for each distinct content."""
        snapshot_id = _name_of(files)
        if not self._state.is_sqlite:
            # Else another process may find the texts unused and remove them before the rule that needs them is committed.
            connection.execute(sa.text(f"LOCK TABLE {mapping_snapshots.name} IN EXCLUSIVE MODE"))
        seen_ms = self._now_ms()
        latest = connection.execute(sa.select(sa.func.max(mapping_snapshots.c.seen_ms))).scalar_one()
        row = {"snapshot_id": snapshot_id, "files": dict(files), "seen_ms": max(seen_ms, (latest or 0) + 1)}
        statement = self._state.insert(mapping_snapshots).values(row)
        again = statement.on_conflict_do_update(index_elements=["snapshot_id"], set_={"seen_ms": row["seen_ms"]})
        connection.execute(again)
        return snapshot_id

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


class RuleEvidence:
    """What drafts were tested on, slice by slice: a slice that is made again replaces what it had told."""

    def __init__(self, state: State, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def record(self, day: str, batch_id: str | None, found: Mapping[tuple[str, str], Evidence]) -> None:
        """Note the evidence of a micro-batch, or of a whole day, by event and fingerprint."""
        t = rule_evidence.c
        tested_ms = int(self._clock() * 1000)
        with self._state.begin() as connection:
            for (event, fingerprint), evidence in found.items():
                mine = sa.and_(t.event == event, t.fingerprint == fingerprint, t.day == day)
                if batch_id is not None:
                    mine = sa.and_(mine, t.batch_id == batch_id)
                connection.execute(sa.delete(rule_evidence).where(mine))
                if evidence.tested:
                    connection.execute(
                        sa.insert(rule_evidence).values(
                            event=event,
                            fingerprint=fingerprint,
                            day=day,
                            batch_id=batch_id or WHOLE_DAY,
                            tested=evidence.tested,
                            failed=evidence.failed,
                            causes=dict(evidence.causes),
                            tested_ms=tested_ms,
                        )
                    )

    def of(self, event: str, fingerprint: str) -> Evidence:
        """All that is known of one draft."""
        return self.all([(event, fingerprint)])[event, fingerprint]

    def all(self, drafts: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Evidence]:
        """All that is known of each draft, by event and fingerprint."""
        found = {draft: Evidence() for draft in drafts}
        t = rule_evidence.c
        wanted = t.event.in_({event for event, _ in found})
        query = sa.select(rule_evidence).where(wanted).order_by(t.day, t.batch_id)
        with self._state.read() as connection:
            for row in connection.execute(query):
                evidence = found.get((row.event, row.fingerprint))
                if evidence is None:
                    continue
                evidence.tested += row.tested
                evidence.failed += row.failed
                if row.failed and row.day not in evidence.failed_on:
                    evidence.failed_on.append(row.day)
                evidence.since_ms = min(evidence.since_ms or row.tested_ms, row.tested_ms)
                for cause, times in row.causes.items():
                    evidence.blame(cause, times)
        return found


def _staged(row: sa.Row[Any]) -> StagedRule:
    if row.snapshot_id is not None and row.files is None:
        raise StateError(
            f"The state database has a published rule of {row.event} and not the mapping files it was published from. Restore "
            "the database from its backup."
        )
    return StagedRule(row.event, row.fingerprint, Stage(row.stage), row.changed_ms, row.files)


def _name_of(files: Files) -> str:
    return sha256(orjson.dumps(dict(files), option=orjson.OPT_SORT_KEYS)).hexdigest()
