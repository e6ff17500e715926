"""The webhook as it should be: by the settings and the mapping, and how a record of Capillary's differs from it.

Belongs here: that comparison, for programs and for people. Does not belong here: what is done about a difference
(`subscribing.py`) and the calls (`capillary.api.webhooks`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from capillary_adobe.capillary.api.webhooks import Record, headers_of
from capillary_adobe.mapping_in_force import InForce, in_force
from capillary_adobe.settings import (
    CapillarySettings,
    MappingSettings,
    ReceiverSettings,
    SettingsError,
    StorageSettings,
    WebhookSettings,
    load,
)
from capillary_adobe.state import State
from capillary_adobe.xdm.language.rule_model import GENERIC

_JSON = "application/json"
_SECRET = "***"  # noqa: S105 - stands for one


@dataclass(frozen=True)
class Change:
    """One field that is to have another value; both for people, a secret as ***."""

    field: str
    now: str
    then: str


@dataclass(frozen=True)
class Wanted:
    """The webhook as it should be; `secret` is the value of `header`, `receive_path` where the receiver takes events."""

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
    receive_path: str

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

    @property
    def wrong_path(self) -> bool:
        """Whether the receiver would answer 404 under this address, unless a proxy changes the path on the way."""
        return not urlsplit(self.url).path.endswith(self.receive_path)

    def _header_changes(self, headers: dict[str, str]) -> list[Change]:
        secrets = [value for name, value in headers.items() if name.lower() == self.header.lower()]
        types = [value for name, value in headers.items() if name.lower() == "content-type"]
        found = []
        if secrets != [self.secret]:
            found.append(Change(f"header {self.header}", f"{_SECRET} (differs)" if secrets else "missing", _SECRET))
        if [one.partition(";")[0].strip().lower() for one in types] != [_JSON]:
            found.append(Change("header Content-Type", ", ".join(types) or "missing", _JSON))
        return found


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
        receive_path=receiver.path,
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
    if name == "webHookUrl":
        return Change(name, _without_secrets(now), _shown(wanted))
    return Change(name, _shown(now), _shown(wanted))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(sorted(map(str, value))) or "none"
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


def _without_secrets(url: Any) -> str:
    """An address of somebody else's making, which may carry a key."""
    if type(url) is not str or not url:
        return _shown(url)
    bare, asked, _ = url.partition("?")
    scheme, _, rest = bare.rpartition("://")
    host = rest.rpartition("@")[2]
    return f"{scheme}://{host}{f'?{_SECRET}' if asked else ''}"
