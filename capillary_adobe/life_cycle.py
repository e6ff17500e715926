"""The life cycle of a mapping rule: when a draft may go live, and what is held until then.

Belongs here: publishing, pausing and resuming an event's rule, and how things stand, for the command line and the Dagster
job alike. Does not belong here: which rule counts at which stage (`mapping_in_force.py`) and sending.

The days that hold entities of an event are opened before its stage is changed, so that a kill in between loses none, and
once more after that: a run that has read the former stage has written its entities by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from capillary_adobe.adobe.hold import AWAITED, COLUMNS, OUTDATED, Hold
from capillary_adobe.environment import adobe_settings, tenant_settings
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.mapping_in_force import InForce, in_force, mark_of, resolve, with_files
from capillary_adobe.schema_in_force import guard
from capillary_adobe.settings import MappingSettings, SettingsError
from capillary_adobe.state import (
    CachedSchema,
    Evidence,
    MicroBatches,
    Receipts,
    RuleEvidence,
    RuleStages,
    Stage,
    State,
    TenantSchemas,
)
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe.xdm.checking.mapping import check_mapping
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.mapping_files import Mapping, read_folder
from capillary_adobe.xdm.language.rule_model import MappingError

_ERRORS_TOLD = 5
_DAYS_TOLD = 5
Action = Literal["publish", "pause", "resume"]


class LifeCycleError(MappingError):
    """A stage cannot be changed so; the text says why and what to do."""


@dataclass(frozen=True)
class Moved:
    """A changed stage, and how many entities of which days go on because of it."""

    event: str
    stage: str
    fingerprint: str
    entities_by_day: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def words(self) -> str:
        """What an operator is told."""
        if self.stage == Stage.PAUSED:
            return f"{self.event} is paused: its entities are made and held; `capillary-adobe mapping resume` has them sent."
        count = sum(self.entities_by_day.values())
        if not count:
            return f"{self.event} is {self.stage}, rule {self.fingerprint}. Nothing of it was held."
        days = ", ".join(f"{day} ({n})" for day, n in sorted(self.entities_by_day.items()))
        return (
            f"{self.event} is {self.stage}, rule {self.fingerprint}. {count} entities were held, in {days}: landing_sensor "
            "asks for these days anew and sends them."
        )


@dataclass(frozen=True)
class Standing:
    """How one rule stands; `held` counts entities that are made and not sent, `since_ms` is epoch ms or 0."""

    event: str
    stage: str
    fingerprint: str
    tested: int = 0
    failed: int = 0
    held: int = 0
    since_ms: int = 0
    causes: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class LifeCycle:
    """Changes the stages of rules and tells how they stand."""

    def __init__(self, state: State, lake: Lake, settings: MappingSettings) -> None:
        self._state = state
        self._lake = lake
        self._settings = settings
        self._register = RuleStages(state)

    def change(self, event: str, action: Action) -> Moved:
        """Publish, pause or resume the rule of an event.

        Raises:
            LifeCycleError: it cannot be done at this stage.
            MappingError: the mapping folder cannot be used.
        """
        match action:
            case "publish":
                return self.publish(event)
            case "pause":
                return self.pause(event)
            case "resume":
                return self.resume(event)

    def publish(self, event: str) -> Moved:
        """Let the folder's rule of an event be the one that counts, once it was tested on real events without failure.

        Raises:
            LifeCycleError: it is not tested enough, it failed, its check finds errors, or there is nothing to publish.
            MappingError: the mapping folder cannot be used.
        """
        folder = self._usable_folder()
        before = resolve(folder, self._register.all())
        event = _known(event, before, folder)
        if event not in folder.rules:
            return self._withdraw(event, before)
        if before.draft_of(event) is None:
            paused = before.held.get(event) is Stage.PAUSED
            more = f" It is paused: `capillary-adobe mapping resume {event}`." if paused else ""
            raise LifeCycleError(
                f"The mapping folder has no draft of {event}: its rule there is the one that counts.{more}"
            )
        mark = mark_of(folder, event)
        self._demand_sound(event, folder, before)
        self._demand_evidence(event, RuleEvidence(self._state).of(event, mark))
        by_day = self._set_going(event, before, lambda: self._register.put(event, mark, Stage.LIVE, folder.files))
        return Moved(event, Stage.LIVE.value, mark, by_day)

    def pause(self, event: str) -> Moved:
        """Hold the entities of an event from now on; they are made as before.

        Raises:
            LifeCycleError: the event is unknown, a draft, or paused already.
            MappingError: the mapping in force cannot be used.
        """
        before = in_force(self._state, self._settings)
        event = _known(event, before, before.folder)
        stage = before.held.get(event)
        if stage is Stage.DRAFT:
            raise LifeCycleError(f"The rule of {event} is a draft: nothing of it is sent. There is nothing to pause.")
        if stage is Stage.PAUSED:
            raise LifeCycleError(f"{event} is paused already.")
        mark = before.made_by(event)[0] or ""
        if not self._register.move(event, Stage.PAUSED):
            self._register.put(event, mark, Stage.PAUSED, None)
        return Moved(event, Stage.PAUSED.value, mark)

    def resume(self, event: str) -> Moved:
        """Send the entities of a paused event again, those that were held too.

        Raises:
            LifeCycleError: the event is not paused.
            MappingError: the mapping in force cannot be used.
        """
        before = in_force(self._state, self._settings)
        event = _known(event, before, before.folder)
        if before.held.get(event) is not Stage.PAUSED:
            raise LifeCycleError(f"{event} is not paused.")
        by_day = self._set_going(event, before, lambda: self._register.move(event, Stage.LIVE))
        return Moved(event, Stage.LIVE.value, before.made_by(event)[0] or "", by_day)

    def standings(self) -> tuple[list[Standing], tuple[str, ...]]:
        """How every rule stands, drafts beside what counts; and what of the tenant's mapping could not be used.

        Raises:
            MappingError: the mapping in force cannot be used.
        """
        force = in_force(self._state, self._settings)
        tried = RuleEvidence(self._state).all(force.tried.items())
        held = held_entities(self._lake, self._state, force.hold)
        found: list[Standing] = []
        for event in sorted({*force.rules, *force.drafts}):
            if event not in force.rules:
                # The generic rule delivers it.
                found.append(_of_draft(event, force.tried[event], tried[event, force.tried[event]], 0))
                continue
            count = sum(n for (name, _), n in held.items() if force.key_of(name) == event)
            stage = force.held.get(event, Stage.LIVE)
            mark = force.fingerprints[event]
            if stage is Stage.DRAFT:
                found.append(_of_draft(event, mark, tried[event, mark], count))
                continue
            staged = force.stages.get(event)
            found.append(Standing(event, stage.value, mark, held=count, since_ms=staged.changed_ms if staged else 0))
            if event in force.drafts:
                mark = force.tried[event]
                found.append(_of_draft(event, mark, tried[event, mark], 0))
        # An event without a rule of its own can be paused too.
        for event in sorted(set(force.held) - set(force.rules)):
            count = sum(n for (name, _), n in held.items() if name == event)
            found.append(
                Standing(event, force.held[event].value, "", held=count, since_ms=force.stages[event].changed_ms)
            )
        return found, force.problems

    def _usable_folder(self) -> Mapping:
        if self._settings.path is None:
            raise LifeCycleError(
                "MAPPING_PATH is not set, so there is no draft to publish. Set it to your mapping folder."
            )
        return with_files(read_folder(self._settings.path))

    def _demand_evidence(self, event: str, evidence: Evidence) -> None:
        needed = self._settings.publish_after_events
        if evidence.failed:
            causes = "; ".join(f"{cause}: {n}" for cause, n in evidence.causes.most_common())
            raise LifeCycleError(
                f"The draft of {event} failed on {evidence.failed} of {evidence.tested} real events ({causes}). Mend it: a "
                "changed draft is tested anew. If AEP's schema was at fault and is mended, materialize `xdm_events` of "
                f"{_few(evidence.failed_on)}, which tests it again."
            )
        if evidence.tested < needed:
            raise LifeCycleError(
                f"The draft of {event} was tested on {evidence.tested} real events, and needs {needed} "
                "(MAPPING_PUBLISH_AFTER_EVENTS). It is tested on what lands; to have it tested on a past day, materialize "
                "`xdm_events` of that day."
            )

    def _demand_sound(self, event: str, folder: Mapping, before: InForce) -> None:
        """Refuse a rule in which the check of the mapping finds an error, or that cannot stand beside what is sent."""
        tenant_id = tenant_settings(self._state).tenant_id
        extended_schema("events", tenant_id, {**before.sent_rules, event: folder.rules[event]})
        schema = guard(folder.rules, tenant_id, self._schema_of_aep()).schema
        alone = replace(folder, rules={event: folder.rules[event]})
        errors = [str(found) for found in check_mapping(alone, schema, tenant_id) if found.severity == "error"]
        if errors:
            more = f"\nand {len(errors) - _ERRORS_TOLD} more" if len(errors) > _ERRORS_TOLD else ""
            told = "\n".join(errors[:_ERRORS_TOLD])
            raise LifeCycleError(f"The check finds errors in the draft of {event}:\n{told}{more}")

    def _schema_of_aep(self) -> CachedSchema | None:
        """The tenant's schema as it was last fetched; nobody waits for AEP here."""
        try:
            settings = adobe_settings(self._state)
        except SettingsError:
            return None
        return TenantSchemas(self._state, settings.sandbox_name).read(settings.events_schema_id)

    def _withdraw(self, event: str, before: InForce) -> Moved:
        """The folder has the event no more, and the package neither: its type becomes an unknown one."""
        if event not in before.stages:
            raise LifeCycleError(f"The mapping folder has no rule of {event}, so there is nothing to publish.")
        if before.held:
            counted = held_entities(self._lake, self._state, before.hold, lambda name: name == event)
            if counted:
                raise LifeCycleError(
                    f"{sum(counted.values())} entities of {event} are held. Resume it and let them be sent before its rule is "
                    "taken away."
                )
        self._register.remove(event)
        return Moved(event, "withdrawn", before.fingerprints.get(event, ""))

    def _set_going(self, event: str, before: InForce, change: Callable[[], object]) -> dict[str, int]:
        """Change a stage and have the days made anew in which entities of the event were held; how many in each."""
        known = self._held_by_day(event, before)
        self._open(known)
        change()
        by_day = self._held_by_day(event, before)
        # Also a day that was known, where its run has ended before the change.
        self._open(set(by_day) - MicroBatches(self._state).open_days())
        return by_day

    def _held_by_day(self, event: str, before: InForce) -> dict[str, int]:
        held = held_entities(self._lake, self._state, before.hold, lambda name: event in (name, before.key_of(name)))
        by_day: Counter[str] = Counter()
        for (_, day), count in held.items():
            by_day[day] += count
        return dict(by_day)

    def _open(self, days: Iterable[str]) -> None:
        register = MicroBatches(self._state)
        today = datetime.now(UTC).date().isoformat()
        for day in sorted(days):
            # New live events wait for none of the older days; those of today wait for its whole day in any lane.
            register.open_day(day, 0, "live" if day >= today else "history")


def held_entities(
    lake: Lake, state: State, hold: Hold, wanted: Callable[[str], bool] = lambda _: True
) -> dict[tuple[str, str], int]:
    """How many entities wait for an operator, by event and landing day."""
    found: Counter[tuple[str, str]] = Counter()
    if not hold.stages:
        return {}
    for day in lake.days(XDM_EVENTS):
        part = Slice(day)
        if not any(any(_waits(hold, batch, wanted)) for batch in lake.read(XDM_EVENTS, part, list(COLUMNS))):
            continue
        receipts = Receipts(state).of_day(day)
        for batch in lake.read(XDM_EVENTS, part, ["id", *COLUMNS]):
            states = receipts.known(batch.column("id").to_pylist())
            names = batch.column("event_name").to_pylist()
            for name, known, waits in zip(names, states, _waits(hold, batch, wanted), strict=True):
                if waits and (known is None or not known.settled):
                    found[name, day] += 1
    return dict(found)


def _waits(hold: Hold, batch: Any, wanted: Callable[[str], bool]) -> list[bool]:
    names = batch.column("event_name").to_pylist()
    reasons = hold.reasons(batch)
    by_itself = (None, OUTDATED, *AWAITED)
    return [why not in by_itself and wanted(name) for name, why in zip(names, reasons, strict=True)]


def _few(days: list[str]) -> str:
    more = f" and {len(days) - _DAYS_TOLD} more days" if len(days) > _DAYS_TOLD else ""
    return ", ".join(days[:_DAYS_TOLD]) + more


def _of_draft(event: str, mark: str, evidence: Evidence, held: int) -> Standing:
    return Standing(
        event,
        Stage.DRAFT.value,
        mark,
        evidence.tested,
        evidence.failed,
        held,
        evidence.since_ms,
        dict(evidence.causes),
    )


def _known(event: str, force: InForce, folder: Mapping) -> str:
    """The event in the catalogue's spelling.

    Raises:
        LifeCycleError: there is no such event.
    """
    for names in (force.rules, folder.rules):
        if event in names:
            return event
    found = force.catalogue.find(event) or folder.catalogue.find(event)
    if found is None:
        close = close_to(event, [*force.catalogue.names(), *folder.catalogue.names()])
        raise LifeCycleError(f"There is no event type {event}.{close} `capillary-adobe mapping stages` lists them.")
    return found.name
