"""Datasets in the Catalog: made, found, changed and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capillary_adobe_tests.emulators.client import CONTENT_TYPE
from capillary_adobe_tests.emulators.registry_client import Registry
from capillary_adobe_tests.emulators.road_client import DATASETS, ON, RoadBuilder, building

PATCH = "application/json-patch+json"
PROFILE = {"unifiedProfile": ON, "unifiedIdentity": ON}


def deep(levels: int) -> list[Any]:
    """Lists in lists."""
    whole: list[Any] = []
    for _ in range(levels - 1):
        whole = [whole]
    return whole


def tags(shown: dict[str, Any]) -> dict[str, list[str]]:
    """The tags of a dataset without the one that every dataset has."""
    (table,) = shown["tags"]["adobe/pqs/table"]
    assert table == shown["name"].lower().replace(" ", "_")
    return {tag: words for tag, words in shown["tags"].items() if tag != "adobe/pqs/table"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoadBuilder]:
    with building(tmp_path_factory.mktemp("datasets")) as builder:
        yield builder


@pytest.fixture(scope="module")
def schema_id(there: RoadBuilder) -> str:
    return there.registry.made("Dataset members")[0]


def test_a_dataset_is_made_and_found_by_its_id(there: RoadBuilder, schema_id: str) -> None:
    answer = there.new_dataset(schema_id, "Found by id", description="Some", tags=PROFILE)

    (reference,) = answer.json()
    id_ = reference.removeprefix("@/dataSets/")
    assert answer.status_code == 201
    assert re.fullmatch(r"@/dataSets/[0-9a-f]{24}", reference)
    found = there.registry.call("GET", f"{DATASETS}/{id_}").json()
    assert found.keys() == {id_}
    shown = found[id_]
    assert (shown["name"], shown["description"], tags(shown)) == ("Found by id", "Some", PROFILE)
    assert shown["classification"] == {"dataBehavior": "record", "managedBy": "CUSTOMER"}
    assert shown["schemaRef"] == {"id": schema_id, "contentType": CONTENT_TYPE}
    assert (shown["imsOrg"], shown["sandboxName"], shown["version"]) == (there.tenant.org_id, "demo", "1.0.0")
    assert there.registry.call("GET", f"{DATASETS}/{id_}", params={"properties": "name,state"}).json() == {
        id_: {"name": "Found by id", "state": "ACTIVE"}
    }


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": " "},
        {"description": 1},
        {"schemaRef": None},
        {"schemaRef": {"id": "https://ns.adobe.com/demo/schemas/none", "contentType": CONTENT_TYPE}},
        {"tags": []},
        {"more": deep(300)},
        {"tags": {"unifiedProfile": "enabled:true"}},
        {"created": 1},
    ],
)
def test_a_dataset_that_cannot_be_is_answered_400(there: RoadBuilder, schema_id: str, change: dict[str, Any]) -> None:
    before = there.datasets(limit=100)

    answer = there.new_dataset(schema_id, **({"name": "Bad"} | change))

    assert answer.status_code == 400
    assert answer.json()["title"] == "BadRequestError"
    assert there.datasets(limit=100) == before


@pytest.mark.parametrize(
    "content_type", ["application/json", f"{CONTENT_TYPE[:-1]}2", "application/vnd.adobe.xed-full+json", ""]
)
def test_a_dataset_follows_a_schema_in_its_first_version(there: RoadBuilder, schema_id: str, content_type: str) -> None:
    reference = {"id": schema_id, "contentType": content_type}

    assert there.new_dataset(schema_id, "Bad", schemaRef=reference).status_code == 400


def test_a_dataset_may_follow_any_form_of_a_schema(there: RoadBuilder, schema_id: str) -> None:
    for form in ("xed+json;version=1", "xed-full-notext+json; version=1", "xed-full+json;version=1.0"):
        reference = {"id": schema_id, "contentType": f"application/vnd.adobe.{form}"}
        assert there.new_dataset(schema_id, "Good", schemaRef=reference).status_code == 201


def test_no_number_of_patches_nests_a_dataset_too_deep(there: RoadBuilder, schema_id: str) -> None:
    id_ = there.dataset(schema_id, "Deep", more=deep(90))
    answer = there.change_dataset(id_, [{"op": "add", "path": f"/more{'/0' * 89}/0", "value": deep(90)}], PATCH)

    assert answer.status_code == 400
    assert there.datasets(name="Deep")[id_]["more"] == deep(90)


def test_a_schema_without_content_type_and_a_body_that_is_no_object_are_answered_400(
    there: RoadBuilder, schema_id: str
) -> None:
    assert there.new_dataset("", schemaRef={"id": schema_id}).status_code == 400
    assert there.registry.call("POST", DATASETS, data=b"{").status_code == 400
    assert there.registry.call("POST", DATASETS, data=b"[]").status_code == 400


def test_names_need_not_be_unique_and_are_filters(there: RoadBuilder, schema_id: str) -> None:
    twins = {there.dataset(schema_id, "Twin"), there.dataset(schema_id, "Twin")}
    other = there.dataset(schema_id, "Twinkle")

    assert there.datasets(name="Twin").keys() == twins
    assert there.datasets(property="name==Twin").keys() == twins
    assert there.datasets(property="name~^Twin").keys() == twins | {other}
    assert there.datasets(property=["name~^Twin", f"schemaRef.id=={schema_id}", "name!=Twin"]).keys() == {other}
    assert there.datasets(property="schemaRef.id==none") == {}
    assert there.datasets(name="Twin", properties="name").popitem()[1] == {"name": "Twin"}


def test_datasets_are_listed_in_pages_in_either_order(store: Path) -> None:
    with building(store) as builder:
        schema_id, _ = builder.registry.made()
        made = [builder.dataset(schema_id, f"{number:02}") for number in range(23)]

        assert list(builder.datasets()) == made[::-1][:20]
        assert list(builder.datasets(limit=5, start=20)) == made[2::-1]
        assert list(builder.datasets(limit=100, orderBy="asc:created")) == made
        assert list(builder.datasets(limit=2, orderBy="desc:name")) == made[:-3:-1]


@pytest.mark.parametrize(
    "params",
    [{"limit": 101}, {"limit": 0}, {"start": "x"}, {"property": "name"}, {"property": "name~("}, {"orderBy": "x"}],
)
def test_a_query_that_cannot_be_is_answered_400(there: RoadBuilder, params: dict[str, object]) -> None:
    assert there.registry.call("GET", DATASETS, params=params).status_code == 400


def test_tags_are_changed_by_a_patch(there: RoadBuilder, schema_id: str) -> None:
    id_ = there.dataset(schema_id, "Patched")
    operations = [{"op": "add", "path": f"/tags/{tag}", "value": ON} for tag in PROFILE]

    answer = there.change_dataset(id_, operations, PATCH)

    assert (answer.status_code, answer.json()) == (200, [f"@/dataSets/{id_}"])
    shown = there.datasets(name="Patched")[id_]
    assert (tags(shown), shown["version"]) == (PROFILE, "1.0.1")
    there.change_dataset(id_, [{"op": "remove", "path": "/tags/unifiedIdentity"}], PATCH)
    assert tags(there.datasets(name="Patched")[id_]) == {"unifiedProfile": ON}


def test_an_object_is_merged_in(there: RoadBuilder, schema_id: str) -> None:
    id_ = there.dataset(schema_id, "Merged", description="Before", tags={"team": ["a"]})

    there.change_dataset(id_, {"description": None, "tags": {"unifiedProfile": ON}})

    shown = there.datasets(name="Merged")[id_]
    assert "description" not in shown
    assert tags(shown) == {"team": ["a"], "unifiedProfile": ON}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"schemaRef": {"id": "x", "contentType": CONTENT_TYPE}}, "application/json"),
        ({"name": ""}, "application/json"),
        ([], "application/json"),
        ({}, PATCH),
        ([], PATCH),
        ([{"op": "move", "path": "/tags/a"}], PATCH),
        ([{"op": "replace", "path": "/tags/none", "value": ON}], PATCH),
        ([{"op": "add", "path": "/tags/none/0/deep", "value": ON}], PATCH),
        ([{"op": "add", "path": "/tags/a"}], PATCH),
        ([{"op": "add", "path": "tags", "value": {}}], PATCH),
        ([{"op": "replace", "path": "/created", "value": 1}], PATCH),
    ],
)
def test_a_change_that_cannot_be_is_answered_400(
    there: RoadBuilder, schema_id: str, body: Any, content_type: str
) -> None:
    id_ = there.dataset(schema_id, "Unchanged")
    before = there.datasets(name="Unchanged")[id_]

    assert there.change_dataset(id_, body, content_type).status_code == 400
    assert there.datasets(name="Unchanged")[id_] == before


def test_a_dataset_shows_as_enabled_once_its_schema_is_in_the_union(there: RoadBuilder) -> None:
    schema_id, _ = there.registry.made("Not in the union", union=False)
    id_ = there.dataset(schema_id, "Enabled", tags=PROFILE)

    assert tags(there.datasets(name="Enabled")[id_]) == PROFILE | {"unifiedProfile": ["enabled:false"]}

    there.registry.patch("schemas", schema_id, {"op": "add", "path": "/meta:immutableTags", "value": ["union"]})
    assert tags(there.datasets(name="Enabled")[id_]) == PROFILE


def test_upserts_want_a_dataset_that_is_disabled_first(there: RoadBuilder, schema_id: str) -> None:
    id_ = there.dataset(schema_id, "Upserts", tags=PROFILE)
    upserts = {"tags": {"unifiedProfile": ["enabled:true", "isUpsert:true"]}}

    assert there.change_dataset(id_, upserts).status_code == 400
    there.change_dataset(id_, {"tags": {"unifiedProfile": ["enabled:false"], "unifiedIdentity": ["enabled:false"]}})
    assert there.change_dataset(id_, upserts).status_code == 200


def test_a_deleted_dataset_is_gone(there: RoadBuilder, schema_id: str) -> None:
    id_ = there.dataset(schema_id, "Deleted")

    assert there.registry.call("DELETE", f"{DATASETS}/{id_}").json() == [f"@/dataSets/{id_}"]
    assert there.registry.call("DELETE", f"{DATASETS}/{id_}").status_code == 404
    assert there.change_dataset(id_, {"name": "x"}).status_code == 404
    assert there.registry.call("GET", f"{DATASETS}/{id_}").status_code == 404


def test_another_sandbox_knows_nothing_of_a_dataset_and_its_batches(there: RoadBuilder, schema_id: str) -> None:
    id_, other = there.dataset(schema_id, "Of one sandbox"), Registry(there.client, "prod")
    body = {"datasetId": id_, "inputFormat": {"format": "json"}}
    batch = there.registry.call("POST", "foundation/import/batches", json=body).json()["id"]

    assert other.call("GET", f"{DATASETS}/{id_}").status_code == 404
    assert other.call("GET", DATASETS).json() == {}
    assert other.call("POST", "foundation/import/batches", json=body).status_code == 400
    assert other.call("GET", "foundation/catalog/batches").json() == {}
    assert other.call("GET", f"foundation/catalog/batches/{batch}").status_code == 404
    assert other.call("POST", f"foundation/import/batches/{batch}?action=ABORT", data=b"x").status_code == 404
    assert RoadBuilder(other).new_dataset(schema_id).status_code == 400
    assert there.registry.call("GET", f"foundation/catalog/batches/{batch}").json()[batch]["status"] == "loading"


def test_the_seeded_datasets_are_those_of_the_tenant(seeded: Registry) -> None:
    found = RoadBuilder(seeded).datasets()

    tenant = seeded.tenant
    assert {id_: (shown["name"], shown["schemaRef"]["id"]) for id_, shown in found.items()} == {
        tenant.events_dataset_id: ("events", tenant.events_schema_id),
        tenant.profiles_dataset_id: ("profiles", tenant.profiles_schema_id),
    }
    assert [tags(shown) for shown in found.values()] == [PROFILE, PROFILE]


def test_an_empty_emulator_has_no_dataset(untouched: Registry) -> None:
    assert RoadBuilder(untouched).datasets() == {}
