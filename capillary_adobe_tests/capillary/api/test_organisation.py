"""Stores, tills and programs: every page is read, every form is understood, and what is no list is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from capillary_adobe.capillary.api.client import CapillaryApi, TransientCapillaryApiError
from capillary_adobe.capillary.api.entities import read_program, read_store, read_till
from capillary_adobe.capillary.api.organisation import PAGE, OrganisationApi, Program, Store, Tier, Till
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.settings import CapillaryApiSettings
from capillary_adobe_tests.capillary.api.people import store, till
from capillary_adobe_tests.capillary.api.server import ScriptedApi


def organisation(running: RunningCapillary) -> OrganisationApi:
    settings = CapillaryApiSettings(
        url=running.base_url,
        key=running.organisation.key,
        secret=running.organisation.secret,  # pyright: ignore[reportArgumentType] - pydantic wraps it
        retry_seconds=1,
    )
    return OrganisationApi(CapillaryApi(settings, AccessToken(settings)))


@pytest.fixture
def scripted() -> Iterator[ScriptedApi]:
    with ScriptedApi() as one:
        yield one


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 3])
def test_every_page_of_stores_is_read_once(tmp_path: Path, count: int) -> None:
    with RunningCapillary(tmp_path / "capillary") as running:
        running.put("stores", *(store(10 + 3 * number) for number in range(count)))
        found = organisation(running).stores()
    assert [one.id for one in found] == [10 + 3 * number for number in range(count)]
    assert all(one == Store(one.id, f"s{one.id}", f"Store {one.id}", f"X{one.id}", "INR") for one in found)


def test_a_list_that_begins_behind_the_id_is_read_as_well(scripted: ScriptedApi) -> None:
    def page(first: int, count: int) -> JSONResponse:
        entities = [{"id": str(number), "is_active": "false"} for number in range(first, first + count)]
        return JSONResponse({"response": {"status": {"success": "true"}, "organization": {"entity": entities}}})

    scripted.script += [page(1, PAGE), page(PAGE + 1, 2)]
    found = OrganisationApi(scripted.client()).stores()
    assert [one.id for one in found] == list(range(1, PAGE + 3))
    assert not any(one.active for one in found)
    # A list that shows the same page for ever ends, too.
    scripted.script += [page(1, PAGE), page(1, PAGE)]
    assert len(OrganisationApi(scripted.client()).stores()) == PAGE


def test_tills_are_listed_or_asked_for_one_by_one(tmp_path: Path) -> None:
    with RunningCapillary(tmp_path / "listing") as running:
        running.put("tills", till(5, 2), till(6))
        assert organisation(running).tills() == [Till(5, "t5", "Till 5", 2), Till(6, "t6", "Till 6")]
    with RunningCapillary(tmp_path / "not", Behaviour(lists_tills=False)) as running:
        running.put("tills", till(5, 2))
        asking = organisation(running)
        assert asking.tills() is None
        assert asking.till(5) == Till(5, "t5", "Till 5", 2)
        assert asking.till(7) is None


def test_programs_with_and_without_tiers(tmp_path: Path) -> None:
    tiers = [{"tierNumber": 1, "tierName": "Seed"}, {"tierNumber": 2, "tierName": " "}]
    with RunningCapillary(tmp_path / "capillary") as running:
        running.put("programs", {"id": 7, "name": "Circle", "isDefault": True, "tiers": tiers}, {"id": 8, "name": "B"})
        found = organisation(running).programs()
    assert found == [Program(7, "Circle", True, None, (Tier(7, 1, "Seed"),)), Program(8, "B")]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"id": "4", "name": "x", "currency": "SGD", "is_active": 0}, Store(4, None, "x", None, "SGD", active=False)),
        (
            {"id": 4, "address": {"city": "Pune"}, "base_currency": {"code": "INR"}},
            Store(4, None, None, None, "INR", "Pune"),
        ),
        ({"name": "x"}, None),
        ("text", None),
    ],
)
def test_forms_of_a_store(given: Any, read: Store | None) -> None:
    assert read_store(given) == read


def test_forms_of_tills_and_programs() -> None:
    assert read_till({"id": 1, "store_id": "9", "isActive": "false"}) == Till(1, None, None, 9, active=False)
    assert read_till({"id": 1, "store_id": "none"}) == Till(1, None, None)
    assert read_till(None) is None
    assert read_program({"programId": 3, "title": "T", "pointsToCurrency": "0.5"}) == Program(3, "T", None, 0.5)
    assert read_program([]) is None


@pytest.mark.parametrize("body", [{"response": {"status": {"success": "true"}}}, {"data": {"id": 1}}, [1]])
def test_what_is_no_list_is_told(scripted: ScriptedApi, body: Any) -> None:
    scripted.script += [JSONResponse(body), JSONResponse({"data": {"a": 1}})]
    asking = OrganisationApi(scripted.client())
    with pytest.raises(TransientCapillaryApiError, match="stores is no list"):
        asking.stores()
    with pytest.raises(TransientCapillaryApiError, match="programs is no list"):
        asking.programs()
