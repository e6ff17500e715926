"""Set-up itself: the parts in their order, the plan, and carrying it out so that it can be resumed at any point.

Belongs here: order, looking before making, doubt about a creation whose answer was lost, the record. Does not belong here:
what each object is (`schema_parts`, `road_parts`).

Nothing is kept between two runs but the record, and that only saves looking: whatever an interrupted run made is found by
its name. So a run may end anywhere, and the next one makes what is missing and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Named
from dataclasses import replace
from typing import Final

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.platform import Conflict, Platform, Unanswered
from capillary_adobe.adobe.schema_registry import SchemaRegistry
from capillary_adobe.adobe.setup.model import Action, Finding, Part, Plan, SetupError, Step
from capillary_adobe.adobe.setup.refusals import told
from capillary_adobe.adobe.setup.road_parts import DatasetInProfilePart, DatasetPart, InletPart, road
from capillary_adobe.adobe.setup.sandbox import KINDS, SETUP_NAME, Sandbox, Wanted
from capillary_adobe.adobe.setup.schema_parts import (
    DescriptorPart,
    FieldGroupPart,
    NamespacePart,
    SchemaPart,
    UnionPart,
)
from capillary_adobe.schema_in_force import renew
from capillary_adobe.settings import CredentialSettings, SetupSettings
from capillary_adobe.state import EnvironmentRecord, State
from capillary_adobe.xdm.identities import CARD, CARD_SHA256, CUSTOMER, EMAIL, EXTERNAL, EXTERNAL_SHA256, PHONE
from capillary_adobe.xdm.language.additions import identity_fields
from capillary_adobe.xdm.language.mapping_files import Mapping

_NAMESPACES: Final = {
    CUSTOMER: ("Capillary customer id", "Id that Capillary gives a customer; the primary identity of every record."),
    EXTERNAL: ("Capillary external id", "Id that the brand gives a customer in Capillary."),
    CARD: ("Capillary card number", "Number of a loyalty card that belongs to one person."),
    EXTERNAL_SHA256: ("Capillary external id (SHA256)", "SHA-256 of the id that the brand gives a customer."),
    CARD_SHA256: ("Capillary card number (SHA256)", "SHA-256 of the number of a loyalty card."),
}
_ASKED_PROFILE: Final = "profile_enabled"
_ASKED_CARD: Final = "card_namespace"
_YES: Final = "true"
_LOCK: Final = "setup"
_CHANGES: Final = (Action.CREATE, Action.EXTEND)
# Adobe names no time within which a list has what was made; its own tutorials look at once.
_SEARCH_SECONDS: Final = 15.0


class Setup:
    """The set-up of one sandbox by one installation.

    `given` are the ids that the environment sets itself, by field: they are taken as given and checked, never made.
    """

    def __init__(
        self,
        platform: Platform,
        state: State,
        credential: CredentialSettings,
        settings: SetupSettings,
        mapping: Mapping,
        given: Named[str, str],
        wanted: Wanted = Wanted(),  # noqa: B008 - never changed
    ) -> None:
        self._platform = platform
        self._state = state
        self._credential = credential
        self._settings = settings
        self._mapping = mapping
        self._given = given
        self._wanted = wanted
        self._record = EnvironmentRecord(state, credential.org_id, credential.sandbox_name)

    def plan(self) -> Plan:
        """Look at everything; change nothing.

        Raises:
            SetupError: AEP refuses to show something.
            TransientDeliveryError: AEP does not answer.
        """
        tenant_id = self._tenant_id()
        ids: dict[str, str] = {}
        steps: list[Step] = []
        for part in self._parts(tenant_id):
            found = self._look(part, ids)
            _note(ids, part, found)
            steps.append(_step(part, found))
        return Plan(self._credential.org_id, self._credential.sandbox_name, tenant_id, tuple(steps))

    def apply(self, progress: Callable[[str], None]) -> Plan:
        """Make what is missing, in order, and record all of it; the plan as carried out, with every id.

        Nothing is changed if a single step needs a person. `progress` is told of every change as it is made. The schema that
        guards delivery is fetched anew, so that a field that was added counts from the next run on.

        Raises:
            SetupError: a step needs a person, or AEP refuses one.
            TransientDeliveryError: AEP does not answer; the next run goes on.
        """
        with self._state.day_lock(_LOCK):
            plan = self.plan()
            if plan.blocked:
                raise SetupError(
                    "Set-up changes nothing until a person has acted. "
                    + " ".join(f"The {step.kind} {step.name}: {step.detail}" for step in plan.blocked)
                )
            ids: dict[str, str] = {}
            ours = {"tenant_id": plan.tenant_id, SETUP_NAME: self._settings.name}
            steps = [self._carry_out(part, ids, ours, progress) for part in self._parts(plan.tenant_id)]
            self._remember(ours)
            # Whether something was changed or not: an earlier run may have ended behind the change.
            registry, sandbox = SchemaRegistry(self._platform), self._credential.sandbox_name
            renew(self._state, sandbox, plan.tenant_id, ids["events_schema_id"], registry)
            return replace(plan, steps=tuple(steps), carried_out=True)

    def _carry_out(
        self, part: Part, ids: dict[str, str], ours: dict[str, str], progress: Callable[[str], None]
    ) -> Step:
        first = self._look(part, ids)
        with told(self._credential, part.kind, part.name):
            found = self._changed(part, first, ids)
        if found.action is Action.PERSON:
            raise SetupError(f"The {part.kind} {part.name}: {found.detail}")
        _note(ids, part, found)
        if first.action in _CHANGES:
            _note_growth(ids, part)
            done = "created" if first.action is Action.CREATE else "extended"
            progress(f"{done} {part.kind} {part.name} {found.id}".rstrip())
        if found.action is not Action.GIVEN:
            ours |= {part.key: found.id, **found.recorded}
        return _step(part, found, first)

    def _changed(self, part: Part, found: Finding, ids: dict[str, str]) -> Finding:
        """Create or extend it where that is needed, however often its answer is lost; the finding after that."""
        backoff = self._platform.backoff()
        while found.action in _CHANGES:
            try:
                return self._change(part, found, ids)
            except Unanswered as lost:
                # It may have been made all the same: look for it before making it again.
                if not backoff.wait(lost.asked_wait):
                    raise
                found = self._search(part, ids)
            except Conflict:
                found = self._look(part, ids)
                if found.action in _CHANGES:
                    raise
        return found

    def _search(self, part: Part, ids: dict[str, str]) -> Finding:
        """Look for what may have been made, for a while: a list of AEP's may lag behind."""
        budget = self._credential.retry_budget_seconds
        backoff = self._platform.backoff(min(_SEARCH_SECONDS / budget, 0.5) if budget else 0)
        while True:
            found = self._look(part, ids)
            if found.action not in _CHANGES or not backoff.wait():
                return found

    def _change(self, part: Part, found: Finding, ids: dict[str, str]) -> Finding:
        """Create or extend it; the finding after that."""
        if found.action is Action.EXTEND:
            part.extend(found)
            return Finding(Action.EXISTS, found.id)
        id_ = part.make(ids)
        if id_:
            return part.show(id_)
        made = self._look(part, ids)
        if made.action is Action.CREATE:
            raise TransientDeliveryError("AEP has taken it and does not show it yet.")
        return made

    def _look(self, part: Part, ids: dict[str, str]) -> Finding:
        with told(self._credential, part.kind, part.name, looking=True):
            return part.look(ids)

    def _tenant_id(self) -> str:
        with told(self._credential, "tenant id", looking=True):
            tenant_id = SchemaRegistry(self._platform).tenant_id()
        if self._given.get("tenant_id", tenant_id) != tenant_id:
            raise SetupError(
                f"ADOBE_TENANT_ID is not the tenant id of ADOBE_ORG_ID, which is {tenant_id}. Correct it, or take it away."
            )
        return tenant_id

    def _parts(self, tenant_id: str) -> list[Part]:
        """Every object in the order in which one needs the other."""
        recorded = self._record.read()
        sandbox = Sandbox(self._platform, self._settings, self._mapping.rules, self._wanted, self._given, recorded)
        card = self._wanted.card or recorded.get(_ASKED_CARD) == _YES
        # Where it was asked for once it is looked at for ever, and done with the flag alone: it cannot be undone.
        profile = self._wanted.enable_profile or recorded.get(_ASKED_PROFILE) == _YES
        in_use = self._wanted.namespaces
        codes = [CUSTOMER, EXTERNAL, *([CARD] if card or CARD in in_use else [])]
        codes += [code for code in (EXTERNAL_SHA256, CARD_SHA256) if code in in_use]
        parts: list[Part] = [NamespacePart(sandbox, code, *_NAMESPACES[code]) for code in codes]
        # One that is there already may be of any type: the tenant knows what it is for.
        parts += [
            NamespacePart(sandbox, code, code, "Declared in the mapping folder.", frozenset())
            for code in sorted(self._mapping.namespaces - set(codes))
        ]
        # Adobe's own are of several types, and are there in every organisation.
        hashed = sorted(set(in_use) - {*codes, EMAIL, PHONE} - self._mapping.namespaces)
        parts += [NamespacePart(sandbox, code, code, "Hashed contacts of customers.", frozenset()) for code in hashed]
        for kind in KINDS:
            if not self._given.get(f"{kind}_schema_id"):
                parts.append(FieldGroupPart(sandbox, kind, tenant_id))
            parts.append(SchemaPart(sandbox, kind, tenant_id))
        identities = identity_fields(self._mapping.rules, tenant_id)
        parts += [DescriptorPart(sandbox, path, namespace) for path, namespace in sorted(identities.items())]
        if profile:
            parts += [UnionPart(sandbox, kind) for kind in KINDS]
        parts += [DatasetPart(sandbox, kind) for kind in KINDS]
        if profile:
            parts += [DatasetInProfilePart(sandbox, kind) for kind in KINDS]
        return [*parts, InletPart(sandbox), *(part for kind in KINDS for part in road(sandbox, kind))]

    def _remember(self, ours: dict[str, str]) -> None:
        """Record all of it at once: what delivery reads must never be half of one set-up and half of another."""
        asked = {_ASKED_PROFILE: self._wanted.enable_profile, _ASKED_CARD: self._wanted.card}
        known = self._record.read()
        renamed = known.get(SETUP_NAME, self._settings.name) != self._settings.name
        self._record.write({**ours, **{name: _YES for name, wanted in asked.items() if wanted}}, afresh=renamed)


def _note(ids: dict[str, str], part: Part, found: Finding) -> None:
    ids[part.key] = found.id
    if found.action in _CHANGES:
        _note_growth(ids, part)


def _note_growth(ids: dict[str, str], part: Part) -> None:
    """Note that a field group changes: what the schema shows meanwhile lags behind."""
    if isinstance(part, FieldGroupPart):
        ids[part.growing] = _YES


def _step(part: Part, found: Finding, first: Finding | None = None) -> Step:
    told_of = first or found
    return Step(
        part.key, part.kind, part.name, told_of.action, found.id, told_of.detail, found.differences, told_of.added
    )
