"""A plain client of the AEP emulator, and the messages it sends.

Belongs here: what several test files need to speak to a running emulator. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from capillary_adobe.emulators.aep import RunningEmulator, Tenant

CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"
SCOPES = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"


def event(tenant: Tenant, entity_id: str = "e-1", event_type: str = "loyalty.pointsIssued") -> dict[str, Any]:
    """A message with an ExperienceEvent."""
    entity = {"_id": entity_id, "timestamp": "2026-04-23T17:30:41.201Z", "eventType": event_type}
    return _message(tenant, tenant.events_schema_id, tenant.events_dataset_id, tenant.events_flow_id, entity)


def profile(tenant: Tenant, customer: str = "c-1") -> dict[str, Any]:
    """A message with a Profile record, which has neither `_id` nor timestamp."""
    entity = {"identityMap": {"capillaryCustomerId": [{"id": customer, "primary": True}]}}
    return _message(tenant, tenant.profiles_schema_id, tenant.profiles_dataset_id, tenant.profiles_flow_id, entity)


def _message(tenant: Tenant, schema_id: str, dataset_id: str, flow_id: str, entity: dict[str, Any]) -> dict[str, Any]:
    return {
        "header": {
            "schemaRef": {"id": schema_id, "contentType": CONTENT_TYPE},
            "imsOrgId": tenant.org_id,
            "datasetId": dataset_id,
            "flowId": flow_id,
        },
        "body": {"xdmMeta": {"schemaRef": {"id": schema_id, "contentType": CONTENT_TYPE}}, "xdmEntity": entity},
    }


class Client:
    """Speaks to one emulator; the token is fetched once and sent unless a call brings its own headers."""

    def __init__(self, emulator: RunningEmulator, session: requests.Session) -> None:
        self.tenant = emulator.tenant
        self.base_url = emulator.base_url
        self._session = session
        self.token = self.ask_token().json()["access_token"]
        self._before = self.summary()

    def ask_token(self, **changes: str | None) -> requests.Response:
        """Ask for a token; a change to None leaves the parameter out."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.tenant.client_id,
            "client_secret": self.tenant.client_secret,
            "scope": SCOPES,
        }
        kept = {name: value for name, value in (form | changes).items() if value is not None}
        return self._session.post(f"{self.base_url}/ims/token/v3", data=kept)

    def headers(self, **changes: str | None) -> dict[str, str]:
        """The headers of a collection call; `_` in a name stands for `-`, None leaves the header out."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        changed = headers | {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in changed.items() if value is not None}

    def post(
        self, path: str, body: bytes, headers: dict[str, str] | None = None, params: dict[str, str] | None = None
    ) -> requests.Response:
        """Post bytes to a path below /collection/."""
        return self._session.post(
            f"{self.base_url}/collection/{path}",
            data=body,
            headers=self.headers() if headers is None else headers,
            params=params,
        )

    def send_one(self, message: Any) -> requests.Response:
        """Post one message."""
        return self._session.post(
            f"{self.base_url}/collection/{self.tenant.inlet_id}", json=message, headers=self.headers()
        )

    def send_many(self, *messages: Any, timeout: float | None = None) -> requests.Response:
        """Post messages as one batch."""
        url = f"{self.base_url}/collection/batch/{self.tenant.inlet_id}"
        return self._session.post(url, json={"messages": list(messages)}, headers=self.headers(), timeout=timeout)

    def get(self, path: str, **params: object) -> requests.Response:
        """Read one of the emulator's own addresses."""
        return self._session.get(f"{self.base_url}{path}", params={name: str(value) for name, value in params.items()})

    def summary(self) -> dict[str, Any]:
        """The emulator's own counts."""
        return self.get("/summary.json").json()

    def newly(self, count: str) -> int:
        """By how much a count has grown since this client began; others may have used the emulator before."""
        return self.summary()[count] - self._before[count]

    def newly_accepted(self) -> list[dict[str, Any]]:
        """The entities accepted since this client began."""
        return [line["entity"] for line in self.accepted(offset=self._before["accepted"])]

    def accepted(self, **params: object) -> list[dict[str, Any]]:
        """What the emulator kept."""
        return self.get("/accepted.json", **params).json()


StartEmulator = Callable[..., Client]
"""Starts an emulator whose behaviour the keywords describe, and gives its client."""
