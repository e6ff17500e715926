"""The organisation at Capillary: its stores, tills and programs.

Belongs here: the addresses and the pages. Does not belong here: reading one store, till or program (`entities.py`), and
keeping them (`state.references`).
Sources: docs.capillarytech.com/reference/get-organization-entities, /get-till-details and /get-loyalty-programs.

The list of entities has 500 on a page, and a page begins at `start_id`. That stores may be asked for is documented; tills are
asked for in the same way, and one by one where that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from capillary_adobe.capillary.api.answers import content
from capillary_adobe.capillary.api.client import CapillaryApi, PermanentCapillaryApiError, TransientCapillaryApiError
from capillary_adobe.capillary.api.entities import (
    Program,
    Store,
    Tier,
    Till,
    id_of,
    read_program,
    read_store,
    read_till,
)

__all__ = ["PAGE", "OrganisationApi", "Program", "Store", "Tier", "Till"]

PAGE: Final = 500
"""Entities on one page of the list."""

_ENTITIES = "/v1.1/organization/entities"
_PROGRAMS = "/v2/organization/programs"
# A list that never ends is none.
_MOST_PAGES = 2_000


class OrganisationApi:
    """What belongs to the organisation as a whole."""

    def __init__(self, api: CapillaryApi) -> None:
        self._api = api

    def stores(self) -> list[Store]:
        """Every store, closed ones included: events of the past name them.

        Raises:
            CapillaryApiError: Capillary refuses or does not answer, or what it answers is no list.
        """
        return [found for one in self._entities("STORE") if (found := read_store(one)) is not None]

    def tills(self) -> list[Till] | None:
        """Every till; None where Capillary does not list them for this client.

        Raises:
            TransientCapillaryApiError: Capillary does not answer, or what it answers is no list.
        """
        try:
            return [found for one in self._entities("TILL") if (found := read_till(one)) is not None]
        except PermanentCapillaryApiError:
            return None

    def till(self, till_id: int) -> Till | None:
        """One till, None where there is none of this id.

        Raises:
            CapillaryApiError: Capillary refuses the client or does not answer.
        """
        answer = self._api.ask(f"/v2/organization/till/{till_id}")
        if answer.refusal is not None and answer.status not in (200, 400, 404):
            raise answer.refusal
        return None if answer.refusal is not None else read_till(content(answer.body))

    def programs(self) -> list[Program]:
        """Every loyalty program.

        Raises:
            CapillaryApiError: Capillary refuses or does not answer, or what it answers is no list.
        """
        listed = content(self._api.get(_PROGRAMS))
        if type(listed) is dict:
            listed = next((listed[name] for name in ("programs", "program") if name in listed), listed)
        if type(listed) is not list:
            raise _no_list("programs")
        return [found for one in listed if (found := read_program(one)) is not None]

    def look_at_stores(self) -> None:
        """Ask for one page of stores, to see whether the client may.

        Raises:
            CapillaryApiError: it may not, or Capillary does not answer.
        """
        self._page("STORE", 0)

    def _entities(self, kind: str) -> Iterator[Mapping[str, Any]]:
        after = 0
        for _page in range(_MOST_PAGES):
            entities = self._page(kind, after)
            ids = [found for one in entities if (found := id_of(one)) is not None]
            # Whether the entity of `start_id` is itself on the page is not documented.
            yield from (one for one in entities if (id_of(one) or 0) > after)
            if len(entities) < PAGE or max(ids, default=0) <= after:
                return
            after = max(ids)

    def _page(self, kind: str, after: int) -> list[Mapping[str, Any]]:
        body = self._api.get(_ENTITIES, {"format": "json", "type": kind, "start_id": after})
        listed = _listed(body.get("response") if type(body) is dict else None)
        if listed is None:
            raise _no_list("stores")
        return listed


def _listed(response: Any) -> list[Mapping[str, Any]] | None:
    """The entities of an answer, which lie in one to three objects; a single one need not be a list."""
    found = response
    for name in ("organization", "entities", "entity"):
        if type(found) is dict and name in found:
            found = found[name]
    if found is response:
        return None
    if type(found) is dict and "id" in found:
        return [found]
    return [one for one in found if type(one) is dict] if type(found) is list else []


def _no_list(what: str) -> TransientCapillaryApiError:
    return TransientCapillaryApiError(
        f"Capillary's answer to the question for its {what} is no list. Check that CAPILLARY_API_URL is the cluster of your "
        "organisation and that no proxy answers in its place."
    )
