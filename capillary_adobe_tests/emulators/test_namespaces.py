"""The namespaces of the Identity Service."""

from __future__ import annotations

from typing import Any

import pytest

from capillary_adobe_tests.emulators.registry_client import Registry

PATH = "core/idnamespace/identities"


def test_adobes_own_namespaces_are_there(untouched: Registry) -> None:
    found = {item["code"]: item for item in untouched.call("GET", PATH).json()}

    assert (found["Email"]["id"], found["Phone"]["id"], found["ECID"]["id"]) == (6, 7, 4)
    assert not any(item["custom"] for item in found.values())
    assert found["Email"]["status"] == "ACTIVE"


def test_the_demo_has_its_own(seeded: Registry) -> None:
    custom = {item["code"] for item in seeded.call("GET", PATH).json() if item["custom"]}

    assert {"capillaryCustomerId", "capillaryExternalId"} <= custom


def test_a_namespace_is_made_and_answered_200(registry: Registry) -> None:
    answer = registry.new_namespace("member", description="Who they are")
    made = answer.json()

    assert answer.status_code == 200
    assert (made["code"], made["idType"], made["custom"], made["status"]) == ("member", "CROSS_DEVICE", True, "ACTIVE")
    assert registry.call("GET", f"{PATH}/{made['id']}").json() == made
    assert made in registry.call("GET", PATH).json()
    assert registry.new_namespace("other").json()["id"] != made["id"]


@pytest.mark.parametrize("code", ["member", "MEMBER", "Email"])
def test_a_code_is_taken_once(registry: Registry, code: str) -> None:
    registry.new_namespace("member")
    answer = registry.new_namespace(code)

    assert answer.status_code == 409
    assert answer.json()["title"] == "NAMESPACE_CODE_CONFLICT"
    assert answer.json()["report"] == {"code": "INTEGRATION_CODE_EXISTS"}


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "my member"},
        {"code": "my-member"},
        {"code": ""},
        {"code": None},
        {"name": ""},
        {"idType": "Person"},
        {"idType": None},
    ],
)
def test_a_bad_namespace_is_refused(untouched: Registry, changes: dict[str, Any]) -> None:
    answer = untouched.new_namespace(**({"code": "member"} | changes))

    assert answer.status_code == 400
    assert answer.json()["report"] == {"code": "INVALID_REQUEST_PARAMS"}
    assert not any(item["custom"] for item in untouched.call("GET", PATH).json())


def test_a_body_that_is_no_object_is_refused(untouched: Registry) -> None:
    assert [untouched.call("POST", PATH, data=data).status_code for data in (b"", b"[]", b"{")] == [400] * 3


def test_a_namespace_may_get_other_words_only(registry: Registry) -> None:
    made = registry.new_namespace().json()
    path = f"{PATH}/{made['id']}"
    body = {name: made[name] for name in ("name", "code", "idType")}
    renamed = registry.call("PUT", path, json=body | {"name": "Better"})

    assert (renamed.status_code, renamed.json()[0]["name"]) == (200, "Better")
    assert registry.call("PUT", path, json=body | {"code": "another"}).status_code == 400
    assert registry.call("PUT", f"{PATH}/6", json=body).status_code == 404
    assert registry.call("GET", path).json()["name"] == "Better"


@pytest.mark.parametrize("id_", ["99999", "member"])
def test_a_namespace_that_is_not_there(untouched: Registry, id_: str) -> None:
    answer = untouched.call("GET", f"{PATH}/{id_}")

    assert answer.status_code == 404
    assert answer.json()["error"] == "NAMESPACE_NOT_FOUND"


def test_the_gateway_keeps_the_two_prefixes_apart(untouched: Registry) -> None:
    paths = ("foundation/idnamespace/identities", "core/schemaregistry/stats", "core/nowhere", "nowhere")

    assert [untouched.call("GET", path).status_code for path in paths] == [404] * 4
