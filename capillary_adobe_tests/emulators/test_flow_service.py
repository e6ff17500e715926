"""The Flow Service: connections and dataflows, made, found, changed and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from capillary_adobe_tests.emulators.client import CONTENT_TYPE
from capillary_adobe_tests.emulators.registry_client import Registry
from capillary_adobe_tests.emulators.road_client import (
    FLOWS,
    LAKE,
    STREAMING,
    STREAMING_FLOW,
    RoadBuilder,
    building,
    params_of,
    spec,
)

UNKNOWN = "00000000-0000-4000-8000-000000000000"
KINDS: tuple[str, ...] = ("connections", "sourceConnections", "targetConnections", "flows")


class There(RoadBuilder):
    """The client, with one object of each kind that is there already."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.schema_id, _ = registry.made()
        self.other_schema_id, _ = registry.made("Others")
        self.dataset_id = self.dataset(self.schema_id)
        self.base = self.connect("there")
        self.from_base = self.source(self.base, "Source there")
        self.to_dataset = self.target(self.dataset_id, self.schema_id, "Target there")
        self.leading = self.flow(self.from_base, self.to_dataset, "Flow there")

    def body(self, kind: str) -> dict[str, Any]:
        """What makes an object of a kind."""
        auth = {"specName": "Streaming Connection", "params": params_of("new")}
        return {
            "connections": {"name": "New", "connectionSpec": spec(STREAMING), "auth": auth},
            "sourceConnections": {"name": "New", "connectionSpec": spec(STREAMING), "baseConnectionId": self.base},
            "targetConnections": {
                "name": "New",
                "connectionSpec": spec(LAKE),
                "params": {"dataSetId": self.dataset_id},
                "data": {"schema": {"id": self.schema_id, "version": CONTENT_TYPE}},
            },
            "flows": {
                "name": "New",
                "flowSpec": spec(STREAMING_FLOW),
                "sourceConnectionIds": [self.from_base],
                "targetConnectionIds": [self.to_dataset],
            },
        }[kind]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    with building(tmp_path_factory.mktemp("flows")) as builder:
        yield There(builder.registry)


def test_an_object_of_each_kind_is_made_and_found_by_its_id(there: There) -> None:
    for kind in KINDS:
        answer = there.post(kind, **there.body(kind))

        assert answer.status_code == 201
        assert answer.json().keys() == {"id", "etag"}
        id_, etag = answer.json().values()
        assert re.fullmatch(r'"[0-9a-f]{8}-0000-0200-0000-[0-9a-f]{12}"', etag)
        item = there.item(kind, id_)
        assert (item["id"], item["etag"], item["version"], item["name"]) == (id_, etag, etag, "New")
        assert (item["state"], item["sandboxName"], item["imsOrgId"]) == ("enabled", "demo", there.tenant.org_id)
        assert there.delete(kind, id_).status_code == 204
        assert there.get(kind, id_).status_code == 404


def test_a_streaming_connection_opens_an_inlet_here(there: There) -> None:
    params = there.item("connections", there.base)["auth"]["params"]

    assert re.fullmatch("[0-9a-f]{64}", params["inletId"])
    assert params == params_of("there") | {
        "inletId": params["inletId"],
        "inletUrl": f"{there.client.base_url}/collection/{params['inletId']}",
    }
    (listed,) = there.get("connections", property="name==there").json()["items"]
    assert listed["auth"]["params"] == params


def test_the_inlet_is_where_the_client_reaches_the_emulator(there: There) -> None:
    url = there.client.base_url.replace("127.0.0.1", "localhost")
    there.client.base_url, before = url, there.client.base_url
    try:
        assert there.inlet_url(there.base).startswith(f"{url}/collection/")
    finally:
        there.client.base_url = before


def test_a_flow_tells_of_its_connections(there: There) -> None:
    inherited = there.item("flows", there.leading)["inheritedAttributes"]

    assert inherited["sourceConnections"] == [
        {
            "id": there.from_base,
            "connectionSpec": spec(STREAMING),
            "baseConnection": {"id": there.base, "connectionSpec": spec(STREAMING)},
        }
    ]
    assert inherited["targetConnections"] == [{"id": there.to_dataset, "connectionSpec": spec(LAKE)}]


# For each kind: what is changed in a good body (None takes it away), and the code of the answer.
BAD: list[tuple[str, dict[str, Any], str]] = [
    *((kind, {"name": None}, "1100-400") for kind in KINDS),
    *((kind, {"id": UNKNOWN}, "1100-400") for kind in KINDS),
    ("connections", {"connectionSpec": spec(LAKE)}, "1413-400"),
    ("connections", {"connectionSpec": None}, "1413-400"),
    ("connections", {"connectionSpec": spec(STREAMING) | {"version": "2.0"}}, "1413-400"),
    ("connections", {"auth": None}, "1100-400"),
    ("connections", {"auth": {"specName": "Basic", "params": params_of("x")}}, "1415-400"),
    ("connections", {"auth": {"specName": "Streaming Connection", "params": {"dataType": "xdm"}}}, "1100-400"),
    ("connections", {"auth": {"specName": "Streaming Connection", "params": params_of("there")}}, "1100-400"),
    (
        "connections",
        {"auth": {"specName": "Streaming Connection", "params": params_of("x") | {"dataType": "raw"}}},
        "1100-400",
    ),
    ("sourceConnections", {"baseConnectionId": UNKNOWN}, "1100-400"),
    ("sourceConnections", {"baseConnectionId": None}, "1100-400"),
    ("sourceConnections", {"connectionSpec": spec(LAKE)}, "1413-400"),
    ("targetConnections", {"params": {"dataSetId": "0" * 24}}, "1100-400"),
    ("targetConnections", {"params": None}, "1100-400"),
    ("targetConnections", {"connectionSpec": spec(STREAMING)}, "1413-400"),
    ("targetConnections", {"data": {"schema": {"id": "https://x", "version": CONTENT_TYPE}}}, "1100-400"),
    ("targetConnections", {"data": {"schema": {"id": "https://x", "version": "1"}}}, "1100-400"),
    ("flows", {"flowSpec": spec(UNKNOWN)}, "1413-400"),
    ("flows", {"flowSpec": None}, "1413-400"),
    ("flows", {"flowSpec": spec(STREAMING_FLOW) | {"version": "2.0"}}, "1413-400"),
    ("flows", {"sourceConnectionIds": "x"}, "1100-400"),
    ("flows", {"sourceConnectionIds": []}, "1100-400"),
    ("flows", {"sourceConnectionIds": [UNKNOWN]}, "1100-400"),
    ("flows", {"targetConnectionIds": [UNKNOWN]}, "1100-400"),
    ("flows", {"targetConnectionIds": None}, "1100-400"),
    ("flows", {"transformations": [{"name": "Mapping", "params": {"mappingId": "1"}}]}, "1100-400"),
    ("flows", {"state": "enabled"}, "1410-400"),
]


@pytest.mark.parametrize(("kind", "change", "code"), BAD)
def test_what_cannot_be_made_is_answered_as_documented(
    there: There, kind: str, change: dict[str, Any], code: str
) -> None:
    before = there.ids(kind)
    whole = there.body(kind) | change

    answer = there.post(kind, **{name: value for name, value in whole.items() if value is not None})

    assert answer.status_code == 400
    error = answer.json()
    assert error["type"] == f"https://ns.adobe.com/aep/errors/FLOW-{code}"
    assert (error["title"], error["status"]) == ("Invalid request", 400)
    assert error["report"]["detailed-message"] == error["errorMessage"]
    assert there.ids(kind) == before


def test_a_dataset_s_own_schema_need_not_be_named(there: There) -> None:
    body = there.body("targetConnections") | {"data": {"format": "parquet_xdm"}}
    made = there.post("targetConnections", **body)

    assert made.status_code == 201
    assert there.delete("targetConnections", made.json()["id"]).status_code == 204


def test_a_body_must_be_there_and_be_an_object(there: There) -> None:
    codes = [
        there.registry.call("POST", f"{FLOWS}/flows", data=data).json()["type"].rpartition("FLOW-")[2]
        for data in (b"", b"{", b"[]")
    ]

    assert codes == ["1405-400", "1100-400", "1100-400"]


def test_what_is_not_there_is_answered_404(there: There) -> None:
    for kind in (*KINDS, "connectionSpecs", "flowSpecs"):
        error = there.get(kind, UNKNOWN).json()
        assert error["type"] == "https://ns.adobe.com/aep/errors/FLOW-1439-404"
        assert (error["title"], error["report"]["id"], error["report"]["type"]) == ("Resource not found", UNKNOWN, kind)
    for kind in KINDS:
        assert there.delete(kind, UNKNOWN).status_code == 404
        assert there.patch(kind, UNKNOWN, "x").status_code == 404


def test_lists_are_filtered_by_any_property(there: There) -> None:
    for property_ in (f"baseConnectionId=={there.base}", "name==Source there", f"id=={UNKNOWN},{there.from_base}"):
        assert there.ids("sourceConnections", property=property_) == [there.from_base]
    for property_ in (f"params.dataSetId=={there.dataset_id}", f"connectionSpec.id=={LAKE}", "data.schema.version~xed"):
        assert there.ids("targetConnections", property=property_) == [there.to_dataset]
    for property_ in (
        f"sourceConnectionIds[]=={there.from_base}",
        f"targetConnectionIds[]=={there.to_dataset}",
        "inheritedAttributes.properties.isSourceFlow==true",
        "createdAt>1670880253121",
        f"flowSpec.id!={UNKNOWN}",
    ):
        assert there.ids("flows", property=property_) == [there.leading]
    assert there.ids("flows", property=["name==Flow there", f"id=={UNKNOWN}"]) == []
    assert there.ids("connections", property="createdAt<=1670880253121") == []
    assert there.ids("connections", property="nothing.like.it==1") == []


def test_a_list_can_be_counted_instead(there: There) -> None:
    assert there.get("flows", count="true").json()["count"] == 1
    assert there.get("flows", count="true", property="name==none").json()["count"] == 0
    error = there.get("flows", count="true", limit=5).json()
    assert error["type"].endswith("FLOW-1401-400")
    assert there.get("flows", count="false", limit=5).status_code == 200


def test_a_list_is_read_page_by_page_in_any_order(there: There) -> None:
    names = [f"Page {number}" for number in (3, 1, 2)]
    made = dict(zip(names, [there.source(there.base, name) for name in names], strict=True))
    wanted: dict[str, Any] = {"property": "name~^Page", "limit": 2}

    def pages(**params: Any) -> list[list[str]]:
        found, params = [], wanted | params
        while True:
            page = there.get("sourceConnections", **params).json()
            found.append([item["name"] for item in page["items"]])
            href = page["_links"].get("next", {}).get("href")
            if href is None:
                return found
            params["continuationToken"] = re.fullmatch(r"/sourceConnections\?continuationToken=(\w+)", href)[1]  # pyright: ignore[reportOptionalSubscript]

    assert pages() == [["Page 3", "Page 1"], ["Page 2"]]
    assert pages(orderby="name") == [["Page 1", "Page 2"], ["Page 3"]]
    assert pages(orderby="-name") == [["Page 3", "Page 2"], ["Page 1"]]
    for id_ in made.values():
        there.delete("sourceConnections", id_)


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": "x"}, {"continuationToken": "?"}, {"property": "name"}, {"orderby": "none"}]
)
def test_a_query_that_cannot_be_is_answered_400(there: There, params: dict[str, Any]) -> None:
    assert there.get("flows", **params).status_code == 400


def test_a_change_needs_the_version_it_is_of(there: There) -> None:
    made = there.post("flows", **there.body("flows")).json()
    rename = {"op": "Replace", "path": "/name", "value": "Renamed"}

    missing = there.patch("flows", made["id"], None, rename)
    unquoted = there.patch("flows", made["id"], made["etag"].strip('"'), rename)
    answer = there.patch("flows", made["id"], made["etag"], rename)
    stale = there.patch("flows", made["id"], made["etag"], rename)

    assert (missing.status_code, missing.json()["title"]) == (400, "Header is missing")
    assert unquoted.status_code == 412
    assert answer.status_code == 200
    item = there.item("flows", made["id"])
    assert (item["name"], answer.json()) == ("Renamed", {"id": made["id"], "etag": item["etag"]})
    assert item["etag"] != made["etag"]
    assert (stale.status_code, stale.json()["title"]) == (412, "Version not matching")
    message = f"Supplied version=[{made['etag']}] does not match the current version on entity=[{item['etag']}]"
    assert stale.json()["errorMessage"] == message
    there.delete("flows", made["id"])


@pytest.mark.parametrize(
    ("kind", "operation", "code"),
    [
        ("connections", {"op": "replace", "path": "/connectionSpec/id", "value": LAKE}, "1414-400"),
        ("connections", {"op": "replace", "path": "/auth/params/inletId", "value": "0" * 64}, "1100-400"),
        ("connections", {"op": "replace", "path": "/auth/params/dataType", "value": "raw"}, "1100-400"),
        ("connections", {"op": "replace", "path": "/name", "value": ""}, "1100-400"),
        ("sourceConnections", {"op": "replace", "path": "/baseConnectionId", "value": UNKNOWN}, "1100-400"),
        ("targetConnections", {"op": "replace", "path": "/params/dataSetId", "value": "0"}, "1100-400"),
        ("flows", {"op": "replace", "path": "/sourceConnectionIds", "value": []}, "1100-400"),
        ("flows", {"op": "replace", "path": "/state", "value": "disabled"}, "1100-400"),
        ("flows", {"op": "remove", "path": "/description"}, "1434-400"),
        ("flows", {"op": "move", "path": "/name"}, "1434-400"),
    ],
)
def test_a_change_that_cannot_be_is_answered_400(there: There, kind: str, operation: dict[str, Any], code: str) -> None:
    id_ = dict(zip(KINDS, (there.base, there.from_base, there.to_dataset, there.leading), strict=True))[kind]
    before = there.item(kind, id_)

    answer = there.patch(kind, id_, before["etag"], operation)

    assert answer.status_code == 400
    assert answer.json()["type"].endswith(f"FLOW-{code}")
    assert there.item(kind, id_) == before


def test_a_changed_connection_keeps_its_inlet(there: There) -> None:
    made = there.post("connections", **there.body("connections")).json()
    inlet = there.inlet_url(made["id"])

    params = params_of("newer") | {"authenticationRequired": False}
    there.patch("connections", made["id"], made["etag"], {"op": "replace", "path": "/auth/params", "value": params})

    found = there.item("connections", made["id"])["auth"]["params"]
    assert (found["inletUrl"], found["sourceId"], found["authenticationRequired"]) == (inlet, "newer", False)
    there.delete("connections", made["id"])


def test_what_a_flow_needs_cannot_be_deleted(there: There) -> None:
    needed = {"connections": there.base, "sourceConnections": there.from_base, "targetConnections": there.to_dataset}
    for kind, id_ in needed.items():
        answer = there.delete(kind, id_)
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("FLOW-1418-400")
        assert there.item(kind, id_)["id"] == id_


def test_the_specifications_can_be_looked_up(there: There) -> None:
    assert {item["id"] for item in there.get("connectionSpecs").json()["items"]} == {STREAMING, LAKE}
    assert there.ids("flowSpecs", property=f"id=={STREAMING_FLOW}") == [STREAMING_FLOW]
    flow_spec = there.item("flowSpecs", STREAMING_FLOW)
    assert (flow_spec["sourceConnectionSpecIds"], flow_spec["targetConnectionSpecIds"]) == ([STREAMING], [LAKE])
    (auth,) = there.item("connectionSpecs", STREAMING)["authSpec"]
    assert auth["name"] == "Streaming Connection"


def test_another_sandbox_knows_nothing_of_them(there: There) -> None:
    other = RoadBuilder(Registry(there.client, "prod"))

    for kind in KINDS:
        assert other.ids(kind) == []
        assert other.post(kind, **there.body(kind)).status_code == (201 if kind == "connections" else 400)
    assert other.get("flows", there.leading).status_code == 404
    assert other.delete("flows", there.leading).status_code == 404
