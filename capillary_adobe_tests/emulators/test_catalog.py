"""What the Catalog tells of batches and datasets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, lines

StartPlatform = Callable[..., Platform]


def test_unknown_ids_are_answered_404(platform: Platform) -> None:
    assert platform.get("catalog/batches/none").status_code == 404
    assert platform.get("catalog/dataSets/none").status_code == 404


def test_a_dataset_is_keyed_by_its_id(platform: Platform) -> None:
    found = platform.get(f"catalog/dataSets/{platform.profiles}").json()

    assert found.keys() == {platform.profiles}
    assert found[platform.profiles]["schemaRef"]["id"] == platform.tenant.profiles_schema_id


def test_batches_are_listed_in_pages_in_either_order(swift: StartPlatform) -> None:
    platform = swift()
    batches = [platform.begin() for _ in range(25)]
    created = {batch: platform.batch(batch)["created"] for batch in batches}
    in_order = sorted(batches, key=lambda batch: (created[batch], batch))

    def listed(**params: object) -> list[str]:
        return list(platform.get("catalog/batches", **params).json())

    assert listed() == in_order[::-1][:20]
    assert listed(limit=100, orderBy="desc:created") == in_order[::-1]
    assert listed(limit=100, orderBy="asc:created") == in_order
    assert listed(limit=10, start=20, orderBy="asc:created") == in_order[20:]
    assert listed(start=25) == []


@pytest.mark.parametrize(
    "params", [{"limit": 101}, {"limit": 0}, {"limit": "x"}, {"start": -1}, {"createdAfter": "x"}, {"orderBy": "x"}]
)
def test_a_query_that_cannot_be_is_answered_400(platform: Platform, params: dict[str, object]) -> None:
    assert platform.get("catalog/batches", **params).status_code == 400


def test_each_filter_holds_and_all_hold_together(swift: StartPlatform) -> None:
    platform = swift()
    events, profiles = platform.begin(externalId="mine"), platform.begin(datasetId=platform.profiles)
    platform.act(profiles, "ABORT")
    eventually(lambda: platform.batch(platform.begin())["created"] > platform.batch(profiles)["created"])
    created = platform.batch(events)["created"]

    def listed(**params: object) -> set[str]:
        return set(platform.get("catalog/batches", **params).json()) & {events, profiles}

    assert listed() == {events, profiles}
    assert listed(dataSet=platform.events) == {events}
    assert listed(status="aborted") == {profiles}
    assert listed(status="Aborted") == set()
    assert listed(externalId="mine") == {events}
    assert listed(externalId=profiles) == {profiles}
    assert events not in listed(createdAfter=created)
    assert events in listed(createdAfter=created - 1)
    assert events not in listed(createdBefore=created)
    assert events in listed(createdBefore=created + 1)
    assert listed(dataSet=platform.events, status="aborted") == set()


def test_a_status_is_found_by_its_own_word_only(swift: StartPlatform) -> None:
    platform = swift(synonyms=True)
    batch, _ = platform.ingest(b"")

    assert platform.failed_batches() == {}
    assert platform.failed_batches(status="failure").keys() == {batch}


def test_the_properties_asked_for_are_the_only_ones(platform: Platform) -> None:
    batch = platform.begin()

    found = platform.get("catalog/batches", properties="status,created", externalId=batch).json()

    assert found[batch].keys() == {"status", "created"}


def test_a_batch_tells_when_it_began_and_ended(swift: StartPlatform) -> None:
    platform = swift()

    _, batch = platform.ingest(lines(good()))

    assert batch["created"] <= batch["started"] <= batch["completed"] == batch["updated"]
