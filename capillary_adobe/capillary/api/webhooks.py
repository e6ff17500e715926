"""The webhooks of the organisation at Capillary: their records, made, changed and read.

Belongs here: the addresses and the form of a record. Does not belong here: which webhook there should be
(`subscribing.py`).
Source: docs.capillarytech.com/reference/add-v3-webhooks, /get-v3-webhooks, /update-v3-webhook.

Nothing here deactivates or deletes: at Capillary both are for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capillary_adobe.capillary.api.client import (
    CapillaryApi,
    CapillaryApiError,
    TransientCapillaryApiError,
    content,
)

Record = dict[str, Any]

_PATH = "/v3/webHooks"
# What Capillary writes into a record by itself and takes from nobody.
_CAPILLARYS_OWN = ("webHookId", "attribution")


class Webhooks:
    """All webhooks of the organisation."""

    def __init__(self, api: CapillaryApi) -> None:
        self._api = api

    def all(self) -> list[Record]:
        """Every record, those of deactivated webhooks included.

        Raises:
            CapillaryApiError: Capillary refuses or does not answer, or what it answers is no list.
        """
        listed = content(self._api.get(_PATH))
        if listed is None:
            return []
        if type(listed) is not list or not all(type(one) is dict for one in listed):
            raise TransientCapillaryApiError(
                "Capillary's answer to the question for its webhooks is no list. Check that CAPILLARY_API_URL is the cluster "
                "of your organisation and that no proxy answers in its place."
            )
        return listed

    def create(self, record: Record) -> None:
        """Make one.

        Raises:
            UnansweredCapillaryApiError: it may be there and may not; look by its name before repeating.
            CapillaryApiError: it was not made.
        """
        self._api.call("POST", _PATH, json=record, repeat_unanswered=False, hide=_secrets(record))

    def change(self, record: Record) -> None:
        """Put a record in place of the one with its `webHookId`; what it leaves out is left to Capillary.

        Raises:
            CapillaryApiError: it was not changed.
        """
        body = {name: value for name, value in record.items() if name not in _CAPILLARYS_OWN}
        self._api.call("PUT", f"{_PATH}/{record['webHookId']}", json=body, hide=_secrets(record))

    def event_names(self) -> frozenset[str] | None:
        """The names of the event types that the organisation knows and uses; None where Capillary does not tell."""
        try:
            listed = content(self._api.get(f"{_PATH}/eventMetaData"))
        except CapillaryApiError:
            # The call is documented in the oldest pages only; nothing may hang on it.
            return None
        types = [one for one in listed if type(one) is dict] if type(listed) is list else []
        names = frozenset(str(one["eventName"]) for one in types if one.get("eventName") and one.get("active", True))
        return names or None


def headers_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The headers that a webhook sends: an object in every published record, an array in the published types."""
    headers = record.get("webHookHeaders")
    if type(headers) is dict:
        return {str(name): str(value) for name, value in headers.items()}
    pairs = headers if type(headers) is list else []
    named = [(one.get("key", one.get("name")), one.get("value")) for one in pairs if type(one) is dict]
    return {str(name): str(value) for name, value in named if name}


def _secrets(record: Mapping[str, Any]) -> list[str]:
    return [value for value in headers_of(record).values() if value]
