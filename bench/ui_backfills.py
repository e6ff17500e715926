"""Backfills as the UI launches and shows them, through the GraphQL API of a running webserver.

Belongs here: the order, and the question how far it is. Does not belong here: which days, and what is made of the answer
(`backfill.py`, `history_backfill.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from capillary_adobe.defs.road import ROAD

_LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
    ... on PartitionBackfill { status error { message }
        assetBackfillData { assetBackfillStatuses { ... on AssetPartitionsStatusCounts { numPartitionsTargeted
            numPartitionsMaterialized numPartitionsFailed } } } } } }"""
_OVER = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED"}
_LOOK_SECONDS = 2.0


class UiBackfills:
    """The webserver's GraphQL, as the UI uses it for backfills."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"
        self._next_look = 0.0
        self._over = False

    def launch(self, days: Sequence[str], title: str, tags: Mapping[str, str] | None = None) -> str:
        """Select the assets of the road and these partitions, and press the button; the backfill's id."""
        selection = [{"path": [name]} for name in ROAD]
        params = {
            "assetSelection": selection,
            "partitionNames": list(days),
            "title": title,
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        }
        answer = self._ask(_LAUNCH, {"params": params})["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise RuntimeError(f"The backfill was not launched: {answer}")
        return answer["backfillId"]

    def is_over(self, backfill_id: str) -> bool:
        if time.monotonic() >= self._next_look:
            self._over = self.status(backfill_id)[0] in _OVER
            self._next_look = time.monotonic() + _LOOK_SECONDS
        return self._over

    def status(self, backfill_id: str) -> tuple[str, Any]:
        """The status, and the partitions of each asset by what became of them."""
        found = self._ask(_STATUS, {"id": backfill_id})["partitionBackfillOrError"]
        if "status" not in found:
            raise RuntimeError(f"The backfill is not found: {found}")
        counts = (found.get("assetBackfillData") or {}).get("assetBackfillStatuses", [])
        return found["status"], found["error"] or [list(one.values()) for one in counts if one]

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(self._url, json={"query": query, "variables": variables}, timeout=120)
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            raise RuntimeError(f"GraphQL: {body['errors'][0]['message']}")
        return body["data"]
