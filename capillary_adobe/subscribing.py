"""The webhook at Capillary: what it should be, what it is, and the way from one to the other.

Belongs here: the plan and carrying it out. Does not belong here: the calls (`capillary.api.webhooks`), asking and printing
(`cli_subscribe.py`).

* The webhook is known by its name: Capillary lets none be edited, and holds it to be unique.
* What is not wanted otherwise stays: other headers, fields that are not known here.
* A deactivated webhook is gone for good at Capillary. So none is ever deactivated or deleted here, and one that somebody
  deactivated is not taken up again.
* A creation whose answer is lost is looked for by name before it is repeated, so there is never a second webhook.
* Two webhooks for one address would bring every event twice. So none is made beside another one of the same address.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from capillary_adobe.capillary.api.client import (
    CapillaryApi,
    PermanentCapillaryApiError,
    UnansweredCapillaryApiError,
)
from capillary_adobe.capillary.api.webhooks import Record, Webhooks, headers_of
from capillary_adobe.mapping_in_force import InForce, in_force
from capillary_adobe.settings import (
    CapillaryApiSettings,
    CapillarySettings,
    MappingSettings,
    ReceiverSettings,
    SettingsError,
    StorageSettings,
    WebhookSettings,
    load,
    load_all,
)
from capillary_adobe.state import State
from capillary_adobe.xdm.language.rule_model import GENERIC

_JSON = "application/json"
# Nothing says how soon a webhook that was made or changed is in the list as it is.
_PAUSES_SECONDS = (1.0, 2.0)
_CREATIONS = 3
_SECRET = "***"  # noqa: S105 - stands for one


class Action(StrEnum):
    """What a plan comes to."""

    CREATE = "create"
    CHANGE = "change"
    NOTHING = "nothing"
    BLOCKED = "needs a person"


@dataclass(frozen=True)
class Change:
    """One field that is to have another value; both for people, a secret as ***."""

    field: str
    now: str
    then: str


@dataclass(frozen=True)
class Wanted:
    """The webhook as it should be; `secret` is the value of `header`."""

    name: str
    url: str
    events: frozenset[str]
    connections: int
    till: bool
    store: bool
    identifiers: frozenset[str]
    child_orgs: bool
    header: str
    secret: str = field(repr=False)

    def onto(self, record: Record) -> Record:
        """A record with every wanted value, and otherwise as it is."""
        ours = {self.header.lower(), "content-type"}
        others = {name: value for name, value in headers_of(record).items() if name.lower() not in ours}
        return record | {
            "name": self.name,
            "active": True,
            "webHookType": "HTTP",
            "methodType": "POST",
            "webHookUrl": self.url,
            "eventNames": sorted(self.events),
            "webHookHeaders": {**others, "Content-Type": _JSON, self.header: self.secret},
            "maxAllowedConnections": self.connections,
            "tillDetailsEnrichmentEnabled": self.till,
            "storeDetailsEnrichmentEnabled": self.store,
            "customerIdentifiersToBeEnriched": sorted(self.identifiers),
            "listenToChildEvents": self.child_orgs,
        }

    def changes(self, record: Record) -> list[Change]:
        """What differs in a record from what is wanted."""
        found = [
            _change(name, record.get(name), wanted)
            for name, wanted in self.onto({}).items()
            # Only an active one is compared at all.
            if name not in ("name", "active", "webHookHeaders") and not _same(record.get(name), wanted)
        ]
        return found + self._header_changes(headers_of(record))

    def _header_changes(self, headers: dict[str, str]) -> list[Change]:
        secrets = [value for name, value in headers.items() if name.lower() == self.header.lower()]
        types = [value for name, value in headers.items() if name.lower() == "content-type"]
        found = []
        if secrets != [self.secret]:
            found.append(Change(f"header {self.header}", f"{_SECRET} (differs)" if secrets else "missing", _SECRET))
        if [one.partition(";")[0].strip().lower() for one in types] != [_JSON]:
            found.append(Change("header Content-Type", ", ".join(types) or "missing", _JSON))
        return found


@dataclass(frozen=True)
class Plan:
    """The difference between what is wanted and what is there. `why` says what a person must do about a block."""

    action: Action
    wanted: Wanted
    record: Record | None = field(default=None, repr=False)
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without secrets."""
        record = self.record or {}
        return {
            "action": self.action.value,
            "name": self.wanted.name,
            "url": self.wanted.url,
            "header": self.wanted.header,
            "events": sorted(self.wanted.events),
            "webhook_id": record.get("webHookId"),
            "consumer_group_id": record.get("consumerGroupId"),
            "changes": [vars(one) for one in self.changes],
            "notes": list(self.notes),
            "why": self.why,
        }


class Subscription:
    """The webhook of this installation."""

    def __init__(self, webhooks: Webhooks, wanted: Wanted, sleep: Callable[[float], None] = time.sleep) -> None:
        self._webhooks = webhooks
        self._wanted = wanted
        self._sleep = sleep

    def plan(self) -> Plan:
        """Look; change nothing.

        Raises:
            CapillaryApiError: Capillary refuses or does not answer.
        """
        plan = self._look()
        unknown = self._unknown_events()
        return Plan(plan.action, plan.wanted, plan.record, plan.changes, (*plan.notes, *unknown), plan.why)

    def apply(self) -> Plan:
        """Look, do what is needed, read back; gives what was done, with the record as it is now.

        Raises:
            PermanentCapillaryApiError: a person is needed first, Capillary refuses, or it keeps other values than those sent.
            TransientCapillaryApiError: Capillary does not answer; run it again.
        """
        done = self._look()
        if done.action is Action.BLOCKED:
            raise PermanentCapillaryApiError(done.why)
        if done.action is Action.CREATE:
            self._create()
        elif done.action is Action.CHANGE and done.record is not None:
            self._webhooks.change(self._wanted.onto(done.record))
        now = self._look_until(lambda plan: plan.action is Action.NOTHING)
        if now.action is not Action.NOTHING:
            fields = ", ".join(change.field for change in now.changes) or "the webhook itself"
            raise PermanentCapillaryApiError(
                f"Capillary answered as if all were well, and keeps another value of: {fields}. Compare the webhook in "
                "Capillary's Dev Console; if it is as it should be, set the variable of that field to the value that Capillary "
                "keeps."
            )
        return Plan(done.action, done.wanted, now.record, done.changes, now.notes)

    def _create(self) -> None:
        for tried in range(1, _CREATIONS + 1):
            try:
                self._webhooks.create(self._wanted.onto({}))
            except UnansweredCapillaryApiError:
                if _is_there(self._look_until(_is_there)):
                    return
                if tried == _CREATIONS:
                    raise
            except PermanentCapillaryApiError:
                # Refused because the name is taken: by our own creation that took effect late, or by somebody just now.
                if not _is_there(self._look()):
                    raise
                return
            else:
                return

    def _look_until(self, enough: Callable[[Plan], bool]) -> Plan:
        plan = self._look()
        for pause in _PAUSES_SECONDS:
            if enough(plan):
                break
            self._sleep(pause)
            plan = self._look()
        return plan

    def _look(self) -> Plan:
        wanted = self._wanted
        records = self._webhooks.all()
        named = [one for one in records if one.get("name") == wanted.name]
        ours = [one for one in named if one.get("active", True)]
        beside = [str(one.get("name")) for one in records if one not in named and _posts_to(one, wanted.url)]
        if len(ours) > 1:
            return Plan(Action.BLOCKED, wanted, why=_several(wanted.name))
        if not ours:
            why = _same_address(beside) if beside else _deactivated(wanted.name) if named else ""
            return Plan(Action.BLOCKED if why else Action.CREATE, wanted, why=why)
        record = ours[0]
        if beside and record.get("webHookUrl") != wanted.url:
            return Plan(Action.BLOCKED, wanted, record, why=_same_address(beside))
        changes = tuple(wanted.changes(record))
        notes = tuple(_notes(record, wanted, beside))
        return Plan(Action.CHANGE if changes else Action.NOTHING, wanted, record, changes, notes)

    def _unknown_events(self) -> list[str]:
        known = self._webhooks.event_names()
        unknown = sorted(self._wanted.events - known) if known is not None else []
        if known is None or not unknown:
            return []
        near = {name: difflib.get_close_matches(name, known, n=1) for name in unknown}
        told = ", ".join(f"{name} (did you mean {near[name][0]}?)" if near[name] else name for name in unknown)
        return [
            f"Capillary names no active event type {told}. It names: {', '.join(sorted(known))}. "
            "Set CAPILLARY_WEBHOOK_EVENTS if it refuses the others."
        ]


def open_subscription(api: CapillaryApi | None = None) -> Subscription:
    """The subscription that the environment describes.

    Raises:
        SettingsError: variables are missing or malformed; all are named.
        MappingError: the mapping cannot be used.
        StateError: the state database cannot be read.
    """
    load_all(
        CapillaryApiSettings, CapillarySettings, WebhookSettings, ReceiverSettings, MappingSettings, StorageSettings
    )
    wanted = wanted_webhook(load(WebhookSettings), load(ReceiverSettings))
    return Subscription(Webhooks(api or CapillaryApi(load(CapillaryApiSettings))), wanted)


def wanted_webhook(settings: WebhookSettings, receiver: ReceiverSettings) -> Wanted:
    """The webhook that the settings describe.

    Raises:
        SettingsError: its address or secret is missing, or no event is named.
        MappingError: the mapping cannot be used.
        StateError: the state database cannot be read.
    """
    missing = [
        f"{name} is missing. Set it in the environment or in .env: {meaning}"
        for name, value, meaning in (
            ("CAPILLARY_WEBHOOK_URL", settings.url, "the address of the receiver as Capillary reaches it."),
            ("RECEIVE_SECRET", receiver.secret, "the value of the header by which the receiver knows Capillary."),
        )
        if value is None
    ]
    if settings.url is None or receiver.secret is None:
        raise SettingsError("\n".join(missing))
    events = _listed(settings.events) if settings.events is not None else events_in_use()
    if not events:
        raise SettingsError("CAPILLARY_WEBHOOK_EVENTS names no event. Name at least one, or leave it out for all.")
    return Wanted(
        name=settings.name,
        url=settings.url,
        events=frozenset(events),
        connections=settings.connections,
        till=settings.till,
        store=settings.store,
        identifiers=frozenset(_listed(settings.identifiers)),
        child_orgs=settings.child_orgs,
        header=receiver.header,
        secret=receiver.secret.get_secret_value(),
    )


def events_in_use() -> list[str]:
    """The events that the mapping in force makes anything of.

    Drafts are among them, since they are tried on real events, and paused ones, which are delivered later.

    Raises:
        MappingError: the mapping cannot be used.
        StateError: the state database cannot be read.
    """
    mapping = in_force(State(load(StorageSettings).state_url), load(MappingSettings))
    return sorted({event for event in mapping.rules if event != GENERIC} | _delivered_generically(mapping))


def _delivered_generically(mapping: InForce) -> set[str]:
    if not load(CapillarySettings).deliver_other_events:
        return set()
    return {one.name for one in mapping.catalogue if not one.instead_of_a_person}


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _same(now: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return set(map(str, now or [])) == set(wanted)
    # Older records lack flags that came later.
    return bool(now) == wanted if isinstance(wanted, bool) else now == wanted


def _change(name: str, now: Any, wanted: Any) -> Change:
    """A change for people; of two lists only what differs, so that an event that goes is seen among forty that stay."""
    if isinstance(now, list) and isinstance(wanted, list) and now:
        there = set(map(str, now))
        gone, new = (", ".join(sorted(one)) for one in (there - set(wanted), set(wanted) - there))
        return Change(name, f"also {gone}" if gone else "nothing more", f"also {new}" if new else "nothing more")
    return Change(name, _shown(now), _shown(wanted))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(sorted(map(str, value))) or "none"
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


def _is_there(plan: Plan) -> bool:
    return plan.action in (Action.NOTHING, Action.CHANGE)


def _posts_to(record: Record, url: str) -> bool:
    return bool(record.get("active", True)) and record.get("webHookUrl") == url


def _notes(record: Record, wanted: Wanted, beside: Iterable[str]) -> list[str]:
    ours = {wanted.header.lower(), "content-type"}
    others = sorted(name for name in headers_of(record) if name.lower() not in ours)
    notes = [f"It sends these headers, too; they stay: {', '.join(others)}."] if others else []
    doubled = ", ".join(beside)
    if doubled:
        notes.append(f"Another webhook posts to the same address: {doubled}. What both send arrives twice.")
    return notes


def _same_address(beside: Iterable[str]) -> str:
    return (
        f"Another webhook posts to this address already: {', '.join(beside)}. A second one would bring every event twice. "
        "Set CAPILLARY_WEBHOOK_NAME to its name to keep that one, or give CAPILLARY_WEBHOOK_URL another path."
    )


def _deactivated(name: str) -> str:
    return (
        f"The webhook {name} was deactivated, which at Capillary is for good, and its name stays taken. Choose another "
        "CAPILLARY_WEBHOOK_NAME."
    )


def _several(name: str) -> str:
    return (
        f"Several active webhooks have the name {name}. Deactivate all but one of them in Capillary's Dev Console, or choose "
        "another CAPILLARY_WEBHOOK_NAME."
    )
