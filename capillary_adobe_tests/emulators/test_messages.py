"""What the inlet checks of each message, and how it answers for many."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from capillary_adobe.emulators.aep import Tenant
from capillary_adobe_tests.emulators.client import Client, StartEmulator, event, profile

NO_HEADER = "The 'header' field is mandatory. Provide a valid 'header' value and try again."
WRONG_ORG = "Message has an absent or wrong ims org in the header"
UNKNOWN_FORMAT = "Message has unknown xdm format"
UNKNOWN_DATASET = "Message has an absent or unknown dataset in the header"
OTHER_SCHEMA = "Message schema does not match the schema of the dataset"
UNKNOWN_FLOW = "Message has an unknown flow in the header"
NO_ENTITY = "Payload body is missing xdmEntity"

Path = tuple[str, ...]
ABSENT = object()
HEADER_REF: Path = ("header", "schemaRef")
BODY_REF: Path = ("body", "xdmMeta", "schemaRef")
TENANT = Tenant.demo()


def changed(message: dict[str, Any], *changes: tuple[Path, object]) -> dict[str, Any]:
    """A copy of the message with values replaced, or taken away where the value is ABSENT."""
    result = copy.deepcopy(message)
    for (*parents, last), value in changes:
        holder = result
        for name in parents:
            holder = holder[name]
        if value is ABSENT:
            del holder[last]
        else:
            holder[last] = value
    return result


REFUSED: list[tuple[str, tuple[tuple[Path, object], ...], str]] = [
    ("no header", ((("header",), ABSENT),), NO_HEADER),
    ("header is text", ((("header",), "x"),), NO_HEADER),
    ("other organisation", ((("header", "imsOrgId"), "1@AdobeOrg"),), WRONG_ORG),
    ("no body", ((("body",), ABSENT),), UNKNOWN_FORMAT),
    ("body is text", ((("body",), "x"),), UNKNOWN_FORMAT),
    ("no schema in header", ((HEADER_REF, ABSENT),), UNKNOWN_FORMAT),
    ("no schema id in header", (((*HEADER_REF, "id"), ABSENT),), UNKNOWN_FORMAT),
    ("no content type in header", (((*HEADER_REF, "contentType"), ABSENT),), UNKNOWN_FORMAT),
    ("no xdmMeta", ((("body", "xdmMeta"), ABSENT),), UNKNOWN_FORMAT),
    ("no schema in xdmMeta", ((BODY_REF, ABSENT),), UNKNOWN_FORMAT),
    ("schemas differ", (((*BODY_REF, "id"), TENANT.profiles_schema_id),), UNKNOWN_FORMAT),
    ("content types differ", (((*BODY_REF, "contentType"), "application/json"),), UNKNOWN_FORMAT),
    ("unknown schema", (((*HEADER_REF, "id"), "https://x"), ((*BODY_REF, "id"), "https://x")), UNKNOWN_FORMAT),
    (
        "unknown content type",
        (((*HEADER_REF, "contentType"), "text/plain"), ((*BODY_REF, "contentType"), "text/plain")),
        UNKNOWN_FORMAT,
    ),
    ("no dataset", ((("header", "datasetId"), ABSENT),), UNKNOWN_DATASET),
    ("unknown dataset", ((("header", "datasetId"), "0" * 24),), UNKNOWN_DATASET),
    ("dataset is a list", ((("header", "datasetId"), []),), UNKNOWN_DATASET),
    ("dataset of another schema", ((("header", "datasetId"), TENANT.profiles_dataset_id),), OTHER_SCHEMA),
    ("unknown flow", ((("header", "flowId"), "0"),), UNKNOWN_FLOW),
    ("flow of another dataset", ((("header", "flowId"), TENANT.profiles_flow_id),), UNKNOWN_FLOW),
    ("no entity", ((("body", "xdmEntity"), ABSENT),), NO_ENTITY),
    ("entity is a list", ((("body", "xdmEntity"), []),), NO_ENTITY),
    ("event without _id", ((("body", "xdmEntity", "_id"), ABSENT),), "Payload xdmEntity is missing _id"),
    ("event with a number as _id", ((("body", "xdmEntity", "_id"), 7),), "Payload xdmEntity is missing _id"),
    ("event with an empty _id", ((("body", "xdmEntity", "_id"), ""),), "Payload xdmEntity is missing _id"),
    (
        "event without timestamp",
        ((("body", "xdmEntity", "timestamp"), ABSENT),),
        "Payload xdmEntity is missing timestamp",
    ),
]


@pytest.mark.parametrize(("changes", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_faulty_message_is_refused_alone_or_among_others(
    client: Client, changes: tuple[tuple[Path, object], ...], text: str
) -> None:
    good = event(client.tenant, "good")
    faulty = changed(event(client.tenant, "faulty"), *changes)
    full_text = text if text == NO_HEADER else f"inletId: [{TENANT.inlet_id}] imsOrgId: [{TENANT.org_id}] {text}"

    alone = client.send_one(faulty)
    among = client.send_many(faulty, good)

    assert alone.status_code == 400
    assert alone.json() == {
        "type": "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet",
        "status": 400,
        "title": "Invalid XDM Message Format",
        "report": {"message": full_text},
    }
    assert among.status_code == 207
    assert among.json()["responses"][0] == {"statusCode": 400, "message": full_text}
    assert [entity["_id"] for entity in client.newly_accepted()] == ["good"]
    assert client.newly("rejected_messages") == 2


@pytest.mark.parametrize("message", [None, 1, "text", [], {}])
def test_what_is_no_message_is_refused(client: Client, message: object) -> None:
    assert client.send_one(message if message is not None else []).status_code == 400
    assert client.send_many(message).json()["responses"] == [{"statusCode": 400, "message": NO_HEADER}]


def test_an_entity_nested_too_deeply_is_refused_and_its_neighbour_kept(client: Client) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    faulty = changed(event(client.tenant, "deep"), (("body", "xdmEntity", "deep"), deep))

    answer = client.send_many(faulty, event(client.tenant, "good"))

    assert [item.get("statusCode") for item in answer.json()["responses"]] == [400, None]
    assert [entity["_id"] for entity in client.newly_accepted()] == ["good"]


@pytest.mark.parametrize("field", ["imsOrgId", "flowId"])
def test_what_the_service_fills_in_may_be_absent(client: Client, field: str) -> None:
    assert client.send_one(changed(event(client.tenant), (("header", field), ABSENT))).status_code == 200


def test_version_1_0_is_version_1(client: Client) -> None:
    content_type = "application/vnd.adobe.xed-full+json;version=1.0"
    message = changed(
        event(client.tenant), ((*HEADER_REF, "contentType"), content_type), ((*BODY_REF, "contentType"), content_type)
    )

    assert client.send_one(message).status_code == 200


def test_a_profile_needs_neither_id_nor_timestamp(client: Client) -> None:
    assert client.send_one(profile(client.tenant)).status_code == 200
    assert client.send_many(profile(client.tenant)).json()["responses"][0].keys() == {"xactionId"}


def test_a_single_message_is_answered_as_documented(client: Client) -> None:
    first, second = (client.send_one(event(client.tenant)).json() for _ in range(2))

    assert first.keys() == {"inletId", "xactionId", "receivedTimeMs"}
    assert first["inletId"] == client.tenant.inlet_id
    assert isinstance(first["receivedTimeMs"], int)
    assert first["xactionId"] != second["xactionId"]


def tutorial_item(batch_id: str, index: int, text: str | None) -> dict[str, Any]:
    return {"xactionId": f"{batch_id}:{index}"} if text is None else {"statusCode": 400, "message": text}


def spec_item(batch_id: str, index: int, text: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {"xactionId": f"{batch_id}:{index}"}
    return item if text is None else item | {"statusCode": 400, "message": text}


@pytest.mark.parametrize(("shape", "item"), [("tutorial", tutorial_item), ("spec", spec_item)])
def test_the_shapes_with_the_batch_id_in_each_item(
    start: StartEmulator, shape: str, item: Callable[[str, int, str | None], dict[str, Any]]
) -> None:
    client = start(answer_shape=shape)

    answer = client.send_many(event(client.tenant, "a"), {}, event(client.tenant, "b"), {}).json()

    assert answer["inletId"] == client.tenant.inlet_id
    expected = [item(answer["batchId"], index, text) for index, text in enumerate([None, NO_HEADER, None, NO_HEADER])]
    assert answer["responses"] == expected


def test_the_shape_of_the_sink_counts_items_after_a_dash(start: StartEmulator) -> None:
    client = start(answer_shape="sink")

    items = client.send_many({}, event(client.tenant), {}).json()["responses"]

    ids = [re.fullmatch(r"([0-9a-f-]{36})-(\d+)", item["xactionId"]) for item in items]
    assert [match[2] for match in ids if match] == ["0", "1", "2"]
    assert len({match[1] for match in ids if match}) == 1
    failure = {"status": 400, "message": NO_HEADER}
    assert [{**item, "xactionId": ""} for item in items] == [
        {"xactionId": ""} | failure,
        {"xactionId": ""},
        {"xactionId": ""} | failure,
    ]
