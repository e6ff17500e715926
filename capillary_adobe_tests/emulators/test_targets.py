"""Inlets and datasets as the objects of the sandboxes describe them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from capillary_adobe.emulators.aep import RunningEmulator, Tenant
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, good_profile, lines
from capillary_adobe_tests.emulators.registry_client import Registry
from capillary_adobe_tests.emulators.road_client import Road, RoadBuilder, building, member


def reason(answer: requests.Response) -> str:
    """Why a message was refused, without the names of inlet and organisation."""
    return answer.json()["report"]["message"].rpartition("] ")[2]


def test_a_road_that_was_just_built_takes_messages(store: Path) -> None:
    with building(store) as builder:
        schema_id, _ = builder.registry.made()
        road = builder.road(schema_id)

        assert builder.send(road, member()).status_code == 200
        assert builder.send(road, member("c-2"), flowId=None).status_code == 200

        counts = builder.counts()
        assert counts["in_lake"]["by_dataset"] == {road.dataset_id: {"records": 2, "distinct": 0}}
        assert counts["failed_later"] == 0
        assert road.inlet_url.rpartition("/")[2] in builder.send(road, member()).text


def test_before_a_set_up_there_is_no_inlet(untouched: Registry) -> None:
    tenant = untouched.tenant
    road = Road(f"{untouched.client.base_url}/collection/{tenant.inlet_id}", tenant.events_schema_id, "", "")

    assert RoadBuilder(untouched).send(road, good()).status_code == 404


def test_a_dataset_takes_messages_only_by_a_dataflow_of_the_inlet(store: Path) -> None:
    with building(store) as builder:
        schema_id, _ = builder.registry.made()
        first, second = builder.road(schema_id, "first"), builder.road(schema_id, "second")
        alone = replace(first, dataset_id=builder.dataset(schema_id, "Alone"))
        crossed = replace(first, dataset_id=second.dataset_id, flow_id=second.flow_id)

        no_flow = "Message has a dataset in the header that no dataflow of the inlet leads to"
        assert reason(builder.send(alone, member(), flowId=None)) == no_flow
        assert reason(builder.send(crossed, member())) == no_flow
        assert (
            reason(builder.send(first, member(), flowId=second.flow_id)) == "Message has an unknown flow in the header"
        )
        assert builder.client.summary()["accepted"] == 0

        builder.flow(builder.ids("sourceConnections")[0], builder.target(alone.dataset_id, schema_id), "Late")
        assert builder.send(alone, member(), flowId=None).status_code == 200


def test_a_flow_that_is_deleted_leads_nowhere(store: Path) -> None:
    with building(store) as builder:
        road = builder.road(builder.registry.made()[0])
        assert builder.send(road, member()).status_code == 200

        builder.delete("flows", road.flow_id)

        assert builder.send(road, member()).status_code == 400


def test_messages_that_came_by_a_second_flow_fail_under_its_name(store: Path) -> None:
    with building(store) as builder:
        road = builder.road(builder.registry.made()[0])
        second = builder.flow(builder.ids("sourceConnections")[0], builder.ids("targetConnections")[0], "Second")

        assert builder.send(road, {"no": "member"}, flowId=second).status_code == 200

        platform = Platform(builder.client)
        (batch,) = eventually(lambda: platform.failed_batches(dataSet=road.dataset_id))
        (record,) = platform.failed_records(batch)
        assert f'"flowId":"{second}"' in record["header"]


def test_a_dataset_s_schema_counts_not_another_of_the_sandbox(store: Path) -> None:
    with building(store) as builder:
        road = builder.road(builder.registry.made()[0])
        other, _ = builder.registry.made("Others")

        wrong = replace(road, schema_id=other)
        nowhere = replace(road, schema_id="https://ns.adobe.com/demo/schemas/none")

        assert reason(builder.send(wrong, member())) == "Message schema does not match the schema of the dataset"
        assert reason(builder.send(nowhere, member())) == "Message has unknown xdm format"


@pytest.mark.parametrize(("required", "statuses"), [(True, [401, 403, 200]), (False, [200, 200, 200])])
def test_an_inlet_wants_a_token_if_it_was_made_so(store: Path, required: bool, statuses: list[int]) -> None:
    with building(store) as builder:
        road = builder.road(builder.registry.made()[0], authenticationRequired=required)
        token, found = builder.client.token, []
        for shown in ("", "nonsense", token):
            builder.client.token = shown
            found.append(builder.send(road, member()).status_code)

        assert found == statuses


def test_each_sandbox_has_its_own_road(store: Path) -> None:
    with building(store) as builder:
        other = RoadBuilder(Registry(builder.client, "prod"))
        here, there = (one.road(one.registry.made()[0]) for one in (builder, other))

        assert builder.send(here, member()).status_code == builder.send(there, member()).status_code == 200
        mixed = replace(here, schema_id=there.schema_id, dataset_id=there.dataset_id, flow_id=there.flow_id)
        assert builder.send(mixed, member()).status_code == 400
        assert builder.counts()["in_lake"]["by_dataset"].keys() == {here.dataset_id, there.dataset_id}


def test_the_road_is_there_after_a_restart_with_its_messages(store: Path) -> None:
    with building(store) as before:
        road = before.road(before.registry.made()[0])
        before.send(road, member())
        before.counts()

    with building(store) as after:
        moved = replace(road, inlet_url=after.inlet_url(after.ids("connections")[0]))
        assert moved.inlet_url.startswith(after.client.base_url)
        assert after.send(moved, member("c-2")).status_code == 200
        assert after.counts()["in_lake"]["records"] == 2
        assert "Members" in after.client.get("/").text


def test_a_batch_goes_to_a_dataset_that_was_just_made(store: Path) -> None:
    with building(store) as builder:
        platform = Platform(builder.client)
        dataset = builder.dataset(builder.registry.made()[0])

        _, taken = platform.ingest(lines(member()), datasetId=dataset)
        _, refused = platform.ingest(lines(member(), {"no": "member"}), datasetId=dataset)

        assert (taken["status"], refused["status"]) == ("success", "failed")


def test_what_waits_for_a_dataset_that_is_deleted_fails(store: Path) -> None:
    with building(store, validation_seconds=3600) as before:
        road = before.road(before.registry.made()[0])
        before.send(road, member())
        before.registry.call("DELETE", f"foundation/catalog/dataSets/{road.dataset_id}")

    with building(store) as after:
        counts = after.counts()
        assert counts["failed_later"] == 1
        assert counts["violations"]["unclassified"] == 1


def test_the_seeded_road_is_that_of_the_tenant(seeded: Registry) -> None:
    builder, tenant = RoadBuilder(seeded), seeded.tenant

    assert set(builder.ids("flows")) == {tenant.events_flow_id, tenant.profiles_flow_id}
    (connection,) = builder.ids("connections")
    assert builder.inlet_url(connection) == f"{seeded.client.base_url}/collection/{tenant.inlet_id}"
    road = Road(builder.inlet_url(connection), tenant.events_schema_id, tenant.events_dataset_id, tenant.events_flow_id)
    assert builder.send(road, good()).status_code == 200


def test_the_environment_names_the_seeded_road_anew(store: Path, tenant: Tenant) -> None:
    other = replace(
        tenant, inlet_id="a" * 64, events_dataset_id="b" * 24, profiles_flow_id="c", profiles_schema_id="https://x/y"
    )
    with RunningEmulator(store):
        pass

    with RunningEmulator(store, tenant=other) as emulator, requests.Session() as session:
        platform = Platform(Client(emulator, session))
        assert platform.stream(good()).json()["responses"][0].keys() == {"xactionId"}
        answer = platform.stream(good_profile(), dataset=other.profiles_dataset_id)
        assert answer.json()["responses"][0].keys() == {"xactionId"}
        assert platform.validated()["in_lake"]["by_dataset"].keys() == {"b" * 24, other.profiles_dataset_id}
