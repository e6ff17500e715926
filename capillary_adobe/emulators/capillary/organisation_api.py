"""The organisation's API over HTTP: its entities, tills and programs.

Belongs here: the addresses, and pages. Does not belong here: the records (`holdings`).
Sources: docs.capillarytech.com/reference/get-organization-entities, /get-till-details and /get-loyalty-programs.

A page of entities has 500, in the order of their ids, and begins with `start_id` itself; whether it does is not documented.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from capillary_adobe.emulators.capillary.access import Access
from capillary_adobe.emulators.capillary.answers import Answers, Refused
from capillary_adobe.emulators.capillary.behaviour import Behaviour
from capillary_adobe.emulators.capillary.holdings import Holdings, Kind
from capillary_adobe.emulators.capillary.older import older_entity

PAGE: Final = 500
_KINDS: dict[str, Kind] = {"STORE": "stores", "TILL": "tills"}


class OrganisationApi:
    """`/v1.1/organization` and `/v2/organization`."""

    def __init__(self, holdings: Holdings, access: Access, answers: Answers, behaviour: Behaviour) -> None:
        self._holdings = holdings
        self._access = access
        self._answers = answers
        self._lists_tills = behaviour.lists_tills

    def routes(self) -> list[Route]:
        """All of them."""
        guarded = self._access.guarded
        return [
            Route("/v1.1/organization/entities", guarded(self.entities, "Organization"), methods=["GET"]),
            Route("/v2/organization/till/{till_id}", guarded(self.till, "Organization"), methods=["GET"]),
            Route("/v2/organization/programs", guarded(self.programs, "Organization"), methods=["GET"]),
        ]

    async def entities(self, request: Request) -> Response:
        """`GET /v1.1/organization/entities`."""
        wanted = request.query_params.get("type", "").upper()
        if wanted not in _KINDS or (wanted == "TILL" and not self._lists_tills):
            raise Refused(400, 400, "type is invalid")
        start = request.query_params.get("start_id", "0")
        first = int(start) if start.isascii() and start.isdecimal() else 0
        after = [one for one in self._holdings.all(_KINDS[wanted]) if one["id"] >= first]
        listed = [older_entity(one, wanted) for one in after[:PAGE]]
        return self._answers.older("organization", "entities", listed)

    async def till(self, request: Request) -> Response:
        """`GET /v2/organization/till/{id}`."""
        till_id = request.path_params["till_id"]
        record = self._holdings.one("tills", int(till_id)) if till_id.isdecimal() else None
        if record is None:
            raise Refused(400, 400, "Till is not found")
        return self._answers.data(record)

    async def programs(self, _request: Request) -> Response:
        """`GET /v2/organization/programs`."""
        return self._answers.data(self._holdings.all("programs"))
