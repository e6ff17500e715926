"""Adobe's Python SDK against the emulator: datasets and the road to them.

Belongs here: calls a user of the SDK makes, and that they get what the SDK expects. Does not belong here: the rules of
the services, which have tests of their own beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from aepp.catalog import Catalog
from aepp.configs import ConnectObject
from aepp.flowservice import FlowService

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.registry_client import Registry
from capillary_adobe_tests.emulators.road_client import LAKE, STREAMING, STREAMING_FLOW, Road, RoadBuilder, member
from capillary_adobe_tests.emulators.sdk import connected


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path_factory.mktemp("sdk-flows"), empty=True) as running:
        yield running


@pytest.fixture
def connection(emulator: RunningEmulator) -> Iterator[ConnectObject]:
    with connected(emulator) as made:
        yield made


@pytest.fixture
def catalog(connection: ConnectObject) -> Any:  # what it returns is not what its annotations say
    return Catalog(config=connection)


@pytest.fixture
def flows(connection: ConnectObject) -> Any:
    return FlowService(config=connection)


@pytest.fixture(scope="module")
def builder(emulator: RunningEmulator) -> Iterator[RoadBuilder]:
    with requests.Session() as session:
        yield RoadBuilder(Registry(Client(emulator, session)))


@pytest.fixture(scope="module")
def schema_id(builder: RoadBuilder) -> str:
    return builder.registry.made("SDK members")[0]


def id_of(references: list[str]) -> str:
    (reference,) = references
    return reference.removeprefix("@/dataSets/")


def test_it_makes_finds_enables_and_deletes_a_dataset(catalog: Any, schema_id: str) -> None:
    id_ = id_of(catalog.createDataSet(name="SDK dataset", schemaId=schema_id, identityEnabled=True))

    assert catalog.getDataSet(id_)[id_]["schemaRef"]["id"] == schema_id
    assert id_ in catalog.getDataSets()
    assert list(catalog.getDataSets(name="SDK dataset")) == [id_]
    assert list(catalog.getDataSets(property="name~^SDK data")) == [id_]
    assert catalog.enableDatasetProfile(id_) == [f"@/dataSets/{id_}"]
    assert catalog.getDataSet(id_)[id_]["tags"]["unifiedProfile"] == ["enabled:true"]
    catalog.deleteDataSet(id_)
    assert id_ not in catalog.getDataSets()


def test_it_builds_a_road_that_takes_messages(catalog: Any, flows: Any, builder: RoadBuilder, schema_id: str) -> None:
    dataset = id_of(catalog.createDataSet(name="SDK road", schemaId=schema_id, profileEnabled=True))
    base = flows.createConnectionStreaming(
        name="SDK base", sourceId="sdk", paramName="sdk", authenticationRequired=True
    )
    source = flows.createSourceConnectionStreaming(base["id"], "SDK source", format="json")
    target = flows.createTargetConnectionDataLake(name="SDK target", datasetId=dataset, schemaId=schema_id)
    flow = flows.createFlow(STREAMING_FLOW, "SDK flow", source["id"], target["id"])

    params = flows.getConnection(base["id"])["auth"]["params"]
    assert params["authenticationRequired"] is True
    road = Road(params["inletUrl"], schema_id, dataset, flow["id"])
    assert builder.send(road, member()).status_code == 200
    assert builder.counts()["in_lake"]["by_dataset"][dataset]["records"] == 1

    assert [item["id"] for item in flows.getConnections(property="name==SDK base")] == [base["id"]]
    assert [item["id"] for item in flows.getSourceConnections()] == [source["id"]]
    assert [item["id"] for item in flows.getTargetConnections()] == [target["id"]]
    assert flows.getSourceConnection(source["id"])["baseConnectionId"] == base["id"]
    assert flows.getTargetConnection(target["id"])["params"]["dataSetId"] == dataset
    assert [item["id"] for item in flows.getFlows(filterTargetIds=[target["id"]])] == [flow["id"]]
    assert [item["id"] for item in flows.getFlows(onlySources=True)] == [flow["id"]]
    assert flows.getFlow(flow["id"])["name"] == "SDK flow"


def test_it_changes_and_deletes_what_it_made(flows: Any) -> None:
    base = flows.createConnectionStreaming(name="SDK second", sourceId="sdk-second", paramName="second")
    source = flows.createSourceConnectionStreaming(base["id"], "SDK changed", format="json")
    rename = [{"op": "replace", "path": "/name", "value": "SDK renamed"}]

    flows.patchConnection(base["id"], rename)
    changed = flows.updateSourceConnection(source["id"], source["etag"], rename)
    stale = flows.updateSourceConnection(source["id"], source["etag"], rename)

    assert flows.getConnection(base["id"])["name"] == "SDK renamed"
    assert changed["etag"] == flows.getSourceConnection(source["id"])["etag"]
    assert stale["status"] == 412
    for delete, id_ in ((flows.deleteSourceConnection, source["id"]), (flows.deleteConnection, base["id"])):
        delete(id_)
    assert flows.getConnections(property=f"id=={base['id']}") == []


def test_it_pages_through_lists_and_finds_specifications(flows: Any) -> None:
    made = [
        flows.createConnectionStreaming(name=f"SDK page {number}", sourceId=f"page-{number}", paramName="page")["id"]
        for number in range(5)
    ]

    assert [item["id"] for item in flows.getConnections(limit=2, property="name~^SDK page")] == made
    assert flows.getConnectionSpecsMap() == {"Streaming Connection": STREAMING, "datalake": LAKE}
    assert flows.getFlowSpec(STREAMING_FLOW)["id"] == STREAMING_FLOW
    assert flows.getConnectionSpec(STREAMING)["items"][0]["id"] == STREAMING
    for id_ in made:
        flows.deleteConnection(id_)
