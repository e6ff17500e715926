"""Lists of the Schema Registry: conditions, order and pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from capillary_adobe_tests.emulators.registry_client import DESCRIPTORS, EVENTS, LIST, PROFILES, TEXT, Registry, set_up


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with set_up(tmp_path_factory.mktemp("lists")) as registry:
        for title in ("Delta", "Alpha", "Charlie", "Bravo"):
            schema_id, _ = registry.made(title, {title: TEXT}, union=title in ("Alpha", "Bravo"))
            registry.describe(schema_id, f"/_demo/{title}")
        yield registry


@pytest.mark.parametrize(
    ("condition", "titles"),
    [
        ("title==Alpha", ["Alpha"]),
        ("title==alpha", []),
        ("title!=Alpha", ["Bravo", "Charlie", "Delta"]),
        ("title~^[AB]", ["Alpha", "Bravo"]),
        ("meta:immutableTags==union", ["Alpha", "Bravo"]),
        ("meta:immutableTags", ["Alpha", "Bravo"]),
        (f"meta:class=={PROFILES}", ["Alpha", "Bravo", "Charlie", "Delta"]),
        (f"meta:class=={EVENTS}", []),
        (f"meta:extends=={PROFILES}", ["Alpha", "Bravo", "Charlie", "Delta"]),
    ],
)
def test_a_condition_chooses(filled: Registry, condition: str, titles: list[str]) -> None:
    assert [item["title"] for item in filled.list(property=condition)] == titles


def test_all_conditions_have_to_hold(filled: Registry) -> None:
    found = filled.list(property=["meta:immutableTags==union", f"meta:class=={PROFILES}", "title!=Alpha"])

    assert [item["title"] for item in found] == ["Bravo"]


@pytest.mark.parametrize(
    ("order", "titles"),
    [
        ("title", ["Alpha", "Bravo", "Charlie", "Delta"]),
        ("-title", ["Delta", "Charlie", "Bravo", "Alpha"]),
        ("version,-title", ["Delta", "Charlie", "Bravo", "Alpha"]),
    ],
)
def test_an_order_is_kept(filled: Registry, order: str, titles: list[str]) -> None:
    assert [item["title"] for item in filled.list(orderby=order)] == titles


@pytest.mark.parametrize("order", ["title", "-title"])
def test_pages_follow_one_another(filled: Registry, order: str) -> None:
    pages, params = [], {"orderby": order, "limit": "3"}
    while True:
        page = filled.registry("GET", "tenant/schemas", LIST, params=params).json()
        pages.append([item["title"] for item in page["results"]])
        assert page["_page"]["count"] == len(page["results"])
        assert (page["_links"]["next"]["href"] is None) == (page["_page"]["next"] is None)
        if page["_page"]["next"] is None:
            break
        params = params | {"start": page["_page"]["next"]}

    assert [len(page) for page in pages] == [3, 1]
    assert sorted(title for page in pages for title in page) == ["Alpha", "Bravo", "Charlie", "Delta"]


def test_a_page_goes_on_until_the_value_it_is_ordered_by_changes(filled: Registry) -> None:
    page = filled.registry("GET", "tenant/schemas", LIST, params={"orderby": "version", "limit": "1"}).json()

    assert page["_page"] == {"orderby": "version", "next": None, "count": 4}


def test_a_link_leads_to_the_next_page(filled: Registry) -> None:
    params = {"limit": "2", "property": "title!=Alpha"}
    page = filled.registry("GET", "tenant/schemas", LIST, params=params).json()
    following = filled.registry("GET", page["_links"]["next"]["href"].lstrip("/"), LIST).json()

    assert [item["title"] for item in following["results"]] == ["Delta"]


@pytest.mark.parametrize("params", [{"limit": "x"}, {"limit": "-1"}, {"property": "title~("}, {"property": "title<x"}])
def test_a_bad_parameter_is_refused(filled: Registry, params: dict[str, str]) -> None:
    assert filled.registry("GET", "tenant/schemas", LIST, params=params).status_code == 400


def test_the_older_word_for_field_groups_lists_the_same(filled: Registry) -> None:
    assert filled.list("mixins") == filled.list("fieldgroups")
    assert len(filled.list("mixins")) == 4
    assert [item["$id"] for item in filled.list("classes", "global")] == [EVENTS, PROFILES]
    assert filled.list("schemas", "global") == filled.list("classes") == []


def test_descriptors_are_chosen_by_their_schema(filled: Registry) -> None:
    ids = {item["title"]: item["$id"] for item in filled.list()}
    params = {"property": f"xdm:sourceSchema=={ids['Bravo']}"}
    found = filled.registry("GET", "tenant/descriptors", DESCRIPTORS, params=params).json()

    assert [item["xdm:sourceProperty"] for item in found["xdm:descriptorIdentity"]] == ["/_demo/Bravo"]
