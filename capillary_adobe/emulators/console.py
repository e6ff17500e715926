"""What the emulator shows of itself: a page for people, two JSON documents for tests and scripts.

Belongs here: `/`, `/summary.json` and `/accepted.json`. Does not belong here: anything that AEP itself offers; no
client of AEP may use these addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from capillary_adobe.emulators.accepted import AcceptedEntities
from capillary_adobe.emulators.collection import Collection
from capillary_adobe.emulators.gateway import Gateway
from capillary_adobe.emulators.ims import IdentityService
from capillary_adobe.emulators.targets import Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.violations import CATEGORIES
from capillary_adobe.emulators.wire import json_response

DEFAULT_PAGE = 1000
LARGEST_PAGE = 10_000

_FIGURES = ("accepted", "distinct", "duplicates", "rejected_messages", "failed_later")

_PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


class Console:
    """The three addresses."""

    def __init__(
        self,
        tenant: Tenant,
        accepted: AcceptedEntities,
        collection: Collection,
        ims: IdentityService,
        gateway: Gateway,
        targets: Targets,
        violations: Callable[[], Counter[str]],
    ) -> None:
        self._targets = targets
        self._violations = violations
        self._tenant = tenant
        self._accepted = accepted
        self._collection = collection
        self._ims = ims
        self._gateway = gateway

    async def page(self, _request: Request) -> Response:
        """`GET /`."""
        summary = self._summary()
        by_event_type = sorted(summary["by_event_type"].items(), key=lambda item: (-item[1], item[0]))
        by_dataset = [
            (self._targets.get(dataset_id).name or "unknown", dataset_id, *count.values())
            for dataset_id, count in summary["by_dataset"].items()
        ]
        requests = [("collection", *item) for item in sorted(summary["requests"].items())]
        tokens = [("token", *item) for item in sorted(summary["tokens"].items())]
        platform = [("platform", *item) for item in sorted(summary["platform"].items())]
        latest = [(glance.event_type, glance.timestamp, glance.entity_id) for glance in self._accepted.latest()]
        values = {name: summary[name] for name in _FIGURES} | {"in_lake": summary["in_lake"]["records"]}
        return HTMLResponse(
            _PAGE.substitute(
                values,
                organisation=escape(self._tenant.org_id),
                sandbox=escape(self._tenant.sandbox_name),
                by_event_type=_rows(by_event_type),
                by_dataset=_rows(by_dataset),
                requests=_rows(requests + tokens + platform),
                latest=_rows(latest),
            )
        )

    async def summary(self, _request: Request) -> Response:
        """`GET /summary.json`. Accepted messages are counted over restarts, answers since the start."""
        return json_response(200, self._summary())

    async def accepted(self, request: Request) -> Response:
        """`GET /accepted.json?offset=&limit=`: an array of what was kept, oldest first."""
        offset = _whole_number(request, "offset", 0)
        limit = _whole_number(request, "limit", DEFAULT_PAGE)
        if offset is None or limit is None or limit > LARGEST_PAGE:
            return json_response(400, {"error": f"offset and limit are whole numbers, limit at most {LARGEST_PAGE}"})
        lines = self._accepted.lines(offset, limit)
        return Response(b"[" + b",".join(lines) + b"]", media_type="application/json")

    def _summary(self) -> dict[str, Any]:
        violations = self._violations()
        return self._accepted.figures() | {
            "violations": {category: violations[category] for category in CATEGORIES},
            "requests": _by_status(self._collection.answers),
            "rejected_messages": self._collection.rejected_messages,
            "tokens": _by_status(self._ims.answers),
            "platform": _by_status(self._gateway.answers),
        }


def _by_status(answers: Counter[int]) -> dict[str, int]:
    return {str(status): count for status, count in answers.items()}


def _whole_number(request: Request, name: str, default: int) -> int | None:
    text = request.query_params.get(name, str(default))
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None


def _rows(rows: Iterable[Iterable[object]]) -> str:
    return "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)


def _cell(value: object) -> str:
    return f"<td>{'' if value is None else escape(str(value))}</td>"
