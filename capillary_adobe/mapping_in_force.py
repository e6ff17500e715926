"""The mapping in force: which rule makes the entities of each event, what only tries itself, and what is held back.

Belongs here: what follows from the shipped mapping, the tenant's folder and the stages of rules. Does not belong here:
reading mapping files (`xdm.language`), changing a stage (`life_cycle.py`) and trying drafts (`xdm.trying`).

| the event's rule in the folder | published before | entities are made by | sent | tries itself beside |
| --- | --- | --- | --- | --- |
| the shipped one | no | the shipped rule | yes | |
| another than the shipped one | no | the shipped rule | yes | the folder's |
| for an event without a shipped rule | no | the folder's | no, held as a draft | |
| the same, while the generic rule delivers the event | no | the generic rule | yes | the folder's |
| the one published | yes | that | yes | |
| another than the published one | yes | the published one | yes | the folder's |

What is paused is made in the same way and held. A folder that cannot be used changes nothing of what is sent: published
rules come from the state database, drafts from the folder as it could last be used.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import orjson

from capillary_adobe.adobe.hold import Hold
from capillary_adobe.capillary.catalogue import Catalogue, EventType, shipped_catalogue
from capillary_adobe.settings import CapillarySettings, MappingSettings, load
from capillary_adobe.state import Files, RuleStages, Stage, StagedRule, State
from capillary_adobe.xdm.language.additions import additions, identity_fields
from capillary_adobe.xdm.language.mapping_files import Mapping, fingerprint, read_folder, shipped, with_tenant
from capillary_adobe.xdm.language.rule_model import GENERIC, MappingError, Rules, Variant

_ANY_TENANT = "any"
# The rule beside its fingerprint, so that no other can come to have its id.
_FINGERPRINTS: dict[int, tuple[tuple[Variant, ...], str]] = {}
_MOST_FINGERPRINTS = 1000


@dataclass(frozen=True)
class InForce:
    """The mapping of one moment.

    `fingerprints` are those of `rules`; `problems` tell what of the tenant's mapping could not be used.
    """

    rules: Rules
    catalogue: Catalogue
    drafts: Table[str, tuple[Variant, ...]]
    """Drafts of events whose entities a live or paused rule makes."""
    held: Table[str, Stage]
    folder: Mapping
    """The shipped mapping under the tenant's folder as it stands, drafts and all."""
    fingerprints: Table[str, str]
    stages: Table[str, StagedRule]
    problems: tuple[str, ...] = ()

    @property
    def hold(self) -> Hold:
        """What delivery must leave out."""
        live = {event: mark for event, mark in self.fingerprints.items() if self.held.get(event) is not Stage.DRAFT}
        return Hold(self.held, live, frozenset(self.stages))

    @property
    def sent_rules(self) -> Rules:
        """The rules without those that are drafts only."""
        return {event: rule for event, rule in self.rules.items() if self.held.get(event) is not Stage.DRAFT}

    def made_by(self, event: str) -> tuple[str | None, bool]:
        """The fingerprint of the rule that makes an event's entities, and whether it is a draft."""
        key = self.key_of(event)
        return self.fingerprints.get(key), self.held.get(key) is Stage.DRAFT

    def key_of(self, event: str) -> str:
        """The entry of the mapping that an event goes by: its own, else the generic one."""
        return event if event in self.rules else GENERIC

    def draft_of(self, event: str) -> tuple[Variant, ...] | None:
        """The rule of an event that is written and not published."""
        return self.rules[event] if self.held.get(event) is Stage.DRAFT else self.drafts.get(event)

    @property
    def tried(self) -> dict[str, str]:
        """The fingerprint of every draft, by event."""
        waiting = {event: self.fingerprints[event] for event, stage in self.held.items() if stage is Stage.DRAFT}
        return waiting | {event: mark_of(self.folder, event) for event in self.drafts}


def in_force(state: State, settings: MappingSettings) -> InForce:
    """The mapping in force now.

    Raises:
        MappingError: an event has a published rule that this version cannot read, and nothing else to be made by.
        StateError: the state database cannot be read.
    """
    register = RuleStages(state)
    folder, problems = _folder(register, settings.path)
    return resolve(folder, register.all(), problems, drafts=settings.path is not None)


def resolve(
    folder: Mapping, stages: Table[str, StagedRule], problems: tuple[str, ...] = (), *, drafts: bool = True
) -> InForce:
    """What follows from a folder and the stages of rules; without `drafts`, only what is published counts beside the
    shipped mapping.

    An event type of the tenant's own has no other rule before its first one is live, not even the generic one.

    Raises:
        MappingError: as `in_force` does.
    """
    base = shipped()
    rules: Rules = dict(base.rules)
    catalogue = folder.catalogue
    held: dict[str, Stage] = {}
    misfits: dict[str, str] = {}
    for event, staged in stages.items():
        try:
            published = base if staged.files is None else with_files(staged.files)
        except MappingError as error:
            misfits[event] = _does_not_fit(event, error)
            rules.pop(event, None)
            continue
        if event in published.rules:
            rules[event] = published.rules[event]
            event_type = published.catalogue.find(event)
            catalogue = catalogue if event_type is None else catalogue.with_events([event_type])
        if staged.stage is Stage.PAUSED:
            held[event] = Stage.PAUSED
    marks = {event: _mark(variants, catalogue.find(event)) for event, variants in rules.items()}
    shadows: Rules = {}
    generic = load(CapillarySettings).deliver_other_events
    for event, variants in folder.rules.items():
        if event not in rules and generic and event not in misfits and shipped_catalogue().find(event):
            shadows[event] = variants
        elif event not in rules:
            rules[event], marks[event], held[event] = variants, mark_of(folder, event), Stage.DRAFT
        elif drafts and mark_of(folder, event) != marks[event]:
            shadows[event] = variants
    if set(misfits) - set(rules):
        raise MappingError(*(words for event, words in misfits.items() if event not in rules))
    return InForce(rules, catalogue, shadows, held, folder, marks, stages, (*problems, *misfits.values()))


def mark_of(mapping: Mapping, event: str) -> str:
    """The fingerprint of an event's rule in a mapping; for a tenant's own event type, of its declaration too."""
    return _mark(mapping.rules[event], mapping.catalogue.find(event))


def with_files(files: Files) -> Mapping:
    """The shipped mapping under a tenant's files.

    Raises:
        MappingError: the files cannot be used.
    """
    return _with_files(orjson.dumps(dict(files), option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=16)
def _with_files(files: bytes) -> Mapping:
    mapping = with_tenant(orjson.loads(files))
    # What cannot be one schema would stop the run that judges by it.
    additions(mapping.rules)
    identity_fields(mapping.rules, _ANY_TENANT)
    return mapping


def _mark(variants: tuple[Variant, ...], event_type: EventType | None) -> str:
    rule = _fingerprint(variants)
    if event_type is None or shipped_catalogue().find(event_type.name) == event_type:
        return rule
    return sha256(f"{rule} {event_type!r}".encode()).hexdigest()[: len(rule)]


def _fingerprint(variants: tuple[Variant, ...]) -> str:
    """The fingerprint of a rule, worked out once for each rule that was read: it takes a millisecond."""
    known = _FINGERPRINTS.get(id(variants))
    if known is None or known[0] is not variants:
        if len(_FINGERPRINTS) >= _MOST_FINGERPRINTS:
            _FINGERPRINTS.clear()
        known = _FINGERPRINTS[id(variants)] = (variants, fingerprint(variants))
    return known[1]


def _folder(register: RuleStages, path: str | None) -> tuple[Mapping, tuple[str, ...]]:
    """The mapping under the folder, or as it could last be used."""
    if path is None:
        return shipped(), ()
    try:
        files = read_folder(path)
        mapping = with_files(files)
    except MappingError as error:
        last = register.last_folder()
        words = f"The mapping folder cannot be used, so its last usable state counts: {error}"
        try:
            return (shipped() if last is None else with_files(last)), (words,)
        except MappingError:
            return shipped(), (words,)
    register.note_folder(files)
    return mapping, ()


def _does_not_fit(event: str, error: MappingError) -> str:
    first = str(error).splitlines()[0]
    return (
        f"The published rule of {event} does not fit this version of the package ({first}). Mend the mapping folder for this "
        f"version and publish {event} again, or go back to the version it was published with."
    )
