"""Data Hygiene: work orders by which AEP deletes the records of identities.

Belongs here: the form of a work order, posting it once, and what AEP says of it. Does not belong here: who is deleted
(`state.erasures`) and a person's approval (`erasure_orders.py`).
Sources: data-hygiene.yaml of github.com/AdobeDocs/experience-platform-apis and
experienceleague.adobe.com/docs/experience-platform/data-lifecycle/api/workorder.html.

Record delete serves data cleansing. A person's legal request goes to AEP's Privacy Service.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.platform import Platform, json_of, segment

MOST_IDENTITIES: Final = 100_000
"""Identities that AEP takes in one work order."""

_PATH: Final = "/data/core/hygiene/workorder"
_OVER: Final = frozenset({"completed", "failed"})


class OrderAtAep(NamedTuple):
    """A work order as AEP knows it; `status` is AEP's word."""

    aep_id: str
    status: str


def work_order(
    name: str, description: str, namespace: str, ids: list[str], dataset_id: str, action: str
) -> dict[str, Any]:
    """The body of a work order that deletes the records of these primary identities."""
    return {
        "displayName": name,
        "description": description,
        "action": action,
        "datasetId": dataset_id,
        "namespacesIdentities": [{"namespace": {"code": namespace}, "IDs": ids}],
    }


def is_over(status: str) -> bool:
    """Whether AEP does nothing more for a work order."""
    return status.strip().lower() in _OVER


class Hygiene:
    """The work orders of one sandbox."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def post(self, body: dict[str, Any]) -> OrderAtAep:
        """Post a work order, unless AEP has one of its name already: the answer to an earlier try may have been lost.

        Raises:
            DeliveryError: AEP refuses it, or gives no answer; then it can be posted again.
        """
        found = self._find(body["displayName"])
        if found is not None:
            return found
        return _order(json_of(self._platform.call("POST", _PATH, json=body, repeat_unanswered=False)))

    def look(self, aep_id: str) -> OrderAtAep:
        """What AEP says of a work order.

        Raises:
            DeliveryError: AEP does not know it, or gives no answer.
        """
        return _order(json_of(self._platform.call("GET", f"{_PATH}/{segment(aep_id)}")))

    def _find(self, name: str) -> OrderAtAep | None:
        body = json_of(self._platform.call("GET", _PATH, params={"displayName": name}))
        listed = body.get("results") if isinstance(body, dict) else None
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and one.get("displayName") == name:
                return _order(one)
        return None


def _order(body: Any) -> OrderAtAep:
    if isinstance(body, dict) and isinstance(body.get("workorderId"), str) and isinstance(body.get("status"), str):
        return OrderAtAep(body["workorderId"], body["status"])
    raise TransientDeliveryError(
        "AEP's Data Hygiene answers without workorderId and status. Check that ADOBE_PLATFORM_URL is Adobe's, and try again."
    )
