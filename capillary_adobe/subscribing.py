"""The webhook at Capillary: from what it is to what it should be.

Belongs here: the plan and carrying it out. Does not belong here: what it should be (`wanted_webhook.py`), the calls
(`capillary.api.webhooks`), asking and printing (`cli_subscribe.py`).

* The webhook is known by its name: Capillary lets none be edited, and holds it to be unique.
* What is not wanted otherwise stays: other headers, fields that are not known here.
* A deactivated webhook is gone for good at Capillary. So none is ever deactivated or deleted here, and one that somebody
  deactivated is not taken up again.
* A creation whose answer is lost is looked for by name before it is repeated, so there is never a second webhook.
* Two webhooks for one address would bring every event twice. So none is made beside another one of the same address, and
  of two runs over one state database the second waits for the first.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from capillary_adobe.capillary.api.client import (
    CapillaryApi,
    PermanentCapillaryApiError,
    UnansweredCapillaryApiError,
)
from capillary_adobe.capillary.api.webhooks import Record, Webhooks, headers_of
from capillary_adobe.settings import (
    CapillaryApiSettings,
    CapillarySettings,
    MappingSettings,
    ReceiverSettings,
    StorageSettings,
    WebhookSettings,
    load,
    load_all,
)
from capillary_adobe.state import State
from capillary_adobe.wanted_webhook import Change, Wanted, wanted_webhook

# Nothing says how soon a webhook that was made or changed is in the list as it is.
_PAUSES_SECONDS = (1.0, 2.0)
_CREATIONS = 3
_LOCK: Final = "subscribe"


class Action(StrEnum):
    """What a plan comes to."""

    CREATE = "create"
    CHANGE = "change"
    NOTHING = "nothing"
    BLOCKED = "needs a person"


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

    def __init__(
        self,
        webhooks: Webhooks,
        wanted: Wanted,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`alone` keeps others away while something is changed."""
        self._webhooks = webhooks
        self._wanted = wanted
        self._alone = alone
        self._sleep = sleep

    def plan(self) -> Plan:
        """Look; change nothing.

        Raises:
            CapillaryApiError: Capillary refuses or does not answer.
        """
        plan = self._look()
        path = [_wrong_path(plan.wanted)] if plan.wanted.wrong_path else []
        return replace(plan, notes=(*path, *plan.notes, *self._unknown_events()))

    def apply(self) -> Plan:
        """Look, do what is needed, read back; gives what was done, with the record as it is now.

        Raises:
            PermanentCapillaryApiError: a person is needed first, Capillary refuses, or it keeps other values than those sent.
            TransientCapillaryApiError: Capillary does not answer; run it again.
            StateError: the state database cannot be locked.
        """
        with self._alone():
            return self._apply()

    def _apply(self) -> Plan:
        done = self._look()
        if done.action is Action.BLOCKED:
            raise PermanentCapillaryApiError(done.why)
        if done.action is Action.CREATE:
            self._create()
        elif done.action is Action.CHANGE and done.record is not None:
            self._webhooks.change(self._wanted.onto(done.record))
        now = self._look_until(lambda plan: plan.action is Action.NOTHING)
        if now.action is Action.BLOCKED:
            raise PermanentCapillaryApiError(now.why)
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
        if beside and not _posts_to(record, wanted.url):
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
    webhooks = Webhooks(api or CapillaryApi(load(CapillaryApiSettings)))
    state = State(load(StorageSettings).state_url)
    return Subscription(webhooks, wanted, alone=lambda: state.day_lock(_LOCK))


def _is_there(plan: Plan) -> bool:
    return plan.action in (Action.NOTHING, Action.CHANGE)


def _posts_to(record: Record, url: str) -> bool:
    return bool(record.get("active", True)) and _address(record.get("webHookUrl")) == _address(url)


def _address(url: Any) -> tuple[str | None, str]:
    """Where an address leads, however it is written: host and port, and path."""
    try:
        parts = urlsplit(str(url).strip())
        port = parts.port
    except ValueError:
        return None, str(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.hostname}:{port or usual}", parts.path.rstrip("/")


def _notes(record: Record, wanted: Wanted, beside: Iterable[str]) -> list[str]:
    ours = {wanted.header.lower(), "content-type"}
    others = sorted(name for name in headers_of(record) if name.lower() not in ours)
    notes = [f"It sends these headers, too; they stay: {', '.join(others)}."] if others else []
    doubled = ", ".join(beside)
    if doubled:
        notes.append(f"Another webhook posts to the same address: {doubled}. What both send arrives twice.")
    return notes


def _wrong_path(wanted: Wanted) -> str:
    return (
        f"CAPILLARY_WEBHOOK_URL does not end with RECEIVE_PATH={wanted.receive_path}, and the receiver answers 404 elsewhere: "
        "right only if a proxy changes the path, or takes the events itself."
    )


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
