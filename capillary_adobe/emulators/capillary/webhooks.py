"""The webhooks of the organisation: their records, and what may be done to them.

Belongs here: the record's form, the documented refusals, and the file `webhooks.json`. Does not belong here: HTTP
(`webhook_api`) and delivery (`notifications`).

| point | what the emulator does | why |
| --- | --- | --- |
| `maxAllowedConnections` | missing: 300004; not above zero: 51007; fractions are cut off | documented; published samples |
| `eventNames` | missing or empty: 51003; any name is taken | documented; nothing is said of unknown names |
| `name` | unique, dead webhooks included, unless told otherwise | "should be unique" |
| another `name` in an update | ignored | documented; a published sample |
| `noOfRetryAttempts` | always 0 | 0 in every published record, whatever was asked for |
| update | replaces the record: what is left out returns to its default | not documented; a client must not count on more |
| delete, `active: false` | for good: the record stays in the list, and updates of it are refused | documented |
| fields it does not know | kept | not documented; records have grown over the years |

Source: docs.capillarytech.com/reference/add-v3-webhooks and its neighbours.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from capillary_adobe.emulators.capillary.answers import Refused

Record = dict[str, Any]

_DEFAULTS: Record = {
    "webHookType": "HTTP",
    "methodType": "POST",
    "webHookHeaders": {},
    "active": True,
    "slaInSeconds": 3600,
    "listenToChildEvents": False,
    "tillDetailsEnrichmentEnabled": False,
    "storeDetailsEnrichmentEnabled": False,
    "customerIdentifiersToBeEnriched": [],
    "awardedReferenceEnrichmentEnabled": False,
    "availablePointsBalanceEnrichmentEnabled": False,
}
_CAPILLARYS_OWN = ("webHookId", "attribution", "consumerGroupId", "noOfRetryAttempts", "name")
_BY = {"id": 75000001, "code": "demo.till", "description": "", "name": "demo.till", "type": "TILL"}


class Webhooks:
    """All of them, in the order in which they were made; threads may share it."""

    def __init__(self, path: Path, *, unique_names: bool = True) -> None:
        self._path = path
        self._unique_names = unique_names
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}

    def open(self) -> None:
        """Read what is there."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._records = {one["webHookId"]: one for one in orjson.loads(self._path.read_bytes())}

    def all(self) -> list[Record]:
        """Every record, dead ones included."""
        with self._lock:
            return [dict(one) for one in self._records.values()]

    def active(self) -> list[Record]:
        """Those that events are posted to."""
        return [one for one in self.all() if one["active"] and one["webHookType"] == "HTTP"]

    def active_in(self, consumer_group: str) -> Record | None:
        """The active one of a consumer group as it is now."""
        return next((one for one in self.active() if one["consumerGroupId"] == consumer_group), None)

    def knows(self, consumer_group: str) -> bool:
        """Whether there is, or was, one of this consumer group."""
        return any(one["consumerGroupId"] == consumer_group for one in self.all())

    def add(self, asked: Record) -> Record:
        """Make one; a `Refused` says what is wrong with it."""
        fields = _checked(asked)
        name = asked.get("name")
        if not isinstance(name, str) or not name.strip():
            raise Refused(400, 400, "name must not be empty")
        with self._lock:
            if self._unique_names and any(one["name"] == name for one in self._records.values()):
                raise Refused(400, 400, "A webhook of this name exists")
            now = _now()
            attribution = {"createdOn": now, "lastUpdatedOn": now, "lastUpdatedBy": _BY, "createdBy": _BY}
            own = {
                "attribution": attribution,
                "webHookId": secrets.token_hex(12),
                "name": name,
                "noOfRetryAttempts": 0,
                "consumerGroupId": str(uuid.uuid4()),
            }
            return self._keep(own | fields)

    def change(self, webhook_id: str, asked: Record) -> Record:
        """Put other values in place of all that may be changed."""
        fields = _checked(asked)
        with self._lock:
            return self._keep(self._own_of(webhook_id) | fields)

    def end(self, webhook_id: str) -> Record:
        """Deactivate one for good."""
        with self._lock:
            self._own_of(webhook_id)
            return self._keep(self._records[webhook_id] | {"active": False})

    def _own_of(self, webhook_id: str) -> Record:
        known = self._records.get(webhook_id)
        if known is None or not known["active"]:
            raise Refused(400, 400, "webHookId is invalid")
        own = {name: known[name] for name in _CAPILLARYS_OWN}
        return own | {"attribution": known["attribution"] | {"lastUpdatedOn": _now()}}

    def _keep(self, record: Record) -> Record:
        self._records[record["webHookId"]] = record
        beside = self._path.with_suffix(".new")
        beside.write_bytes(orjson.dumps(list(self._records.values()), option=orjson.OPT_INDENT_2))
        beside.replace(self._path)
        return dict(record)


def _checked(asked: Record) -> Record:
    names = asked.get("eventNames")
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise Refused(400, 51003, "eventNames can not be null")
    most = asked.get("maxAllowedConnections")
    if most is None:
        raise Refused(400, 300004, "maxAllowedConnections is missing")
    if isinstance(most, bool) or not isinstance(most, int | float) or int(most) <= 0:
        raise Refused(400, 51007, "maxAllowedConnections must be greater than zero")
    url = asked.get("webHookUrl")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise Refused(400, 400, "webHookUrl is invalid")
    if not isinstance(asked.get("webHookHeaders", {}), dict):
        raise Refused(400, 400, "webHookHeaders is invalid")
    given = {name: value for name, value in asked.items() if name not in _CAPILLARYS_OWN and value is not None}
    return _DEFAULTS | given | {"maxAllowedConnections": int(most)}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
