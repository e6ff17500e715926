"""What the gateway wants of every call, whatever service it is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from capillary_adobe_tests.emulators.platform_client import Platform

PATHS = pytest.mark.parametrize("path", ["import/batches", "catalog/batches", "export/batches/x/failed", "nowhere"])
StartPlatform = Callable[..., Platform]


@PATHS
@pytest.mark.parametrize(
    ("header", "value", "status", "code"),
    [
        ("Authorization", None, 403, "403010"),
        ("Authorization", "Bearer nonsense", 401, "401013"),
        ("Authorization", "Basic x", 401, "401013"),
        ("x_api_key", None, 403, "403000"),
        ("x_api_key", "other", 403, "403003"),
        ("x_gw_ims_org_id", None, 400, "400003"),
        ("x_gw_ims_org_id", "1@AdobeOrg", 403, "403025"),
    ],
)
def test_a_call_without_its_headers_is_turned_away(
    platform: Platform, path: str, header: str, value: str | None, status: int, code: str
) -> None:
    answer = platform.call("POST", path, platform.headers(**{header: value}), data=b"x" * 100_000)

    assert answer.status_code == status
    assert answer.json().keys() == {"error_code", "message"}
    assert answer.json()["error_code"] == code


@pytest.mark.parametrize("content_type", [None, "text/plain"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "foundation/catalog/dataSets"),
        ("PATCH", "foundation/catalog/dataSets/x"),
        ("POST", "foundation/flowservice/connections"),
        ("PATCH", "foundation/flowservice/flows/x"),
        ("POST", "foundation/schemaregistry/tenant/schemas"),
        ("POST", "core/idnamespace/identities"),
    ],
)
def test_a_body_that_is_not_said_to_be_json_is_answered_400(
    platform: Platform, method: str, path: str, content_type: str | None
) -> None:
    url, headers = f"{platform.client.base_url}/data/{path}", platform.headers(Content_Type=content_type)

    answer = platform.call(method, url, headers, data=b"{}")

    assert answer.status_code == 400
    assert answer.json() == {
        "type": "/placeholder/type/uri",
        "status": 400,
        "title": "BadRequestError",
        "detail": "A valid content-type must be specified",
    }


def test_the_sandbox_may_be_left_out_but_has_to_exist(platform: Platform) -> None:
    statuses = {
        name: platform.call("GET", "catalog/batches", platform.headers(x_sandbox_name=name)).status_code
        for name in (None, platform.tenant.sandbox_name, "elsewhere")
    }

    assert list(statuses.values()) == [200, 200, 403]


def test_a_path_that_is_not_there_and_one_that_is_too_long(platform: Platform) -> None:
    assert platform.get("nowhere").status_code == 404
    assert platform.get("catalog/batches", externalId="x" * 2000).status_code == 414


def test_answers_are_counted_by_status(swift: StartPlatform) -> None:
    platform = swift()
    platform.get("catalog/batches")
    platform.get("catalog/batches")
    platform.get("catalog/batches/none")
    platform.call("GET", "catalog/batches", {})

    assert platform.client.summary()["platform"] == {"200": 2, "404": 1, "403": 1}
    assert ">platform<" in platform.client.get("/").text


def test_an_expired_token_is_answered_401(swift: StartPlatform) -> None:
    platform = swift(token_seconds=0)

    assert platform.get("catalog/batches").json()["error_code"] == "401013"


def test_batches_over_the_rate_are_answered_429(swift: StartPlatform) -> None:
    platform = swift(batches_per_minute=2)

    answers = [platform.create() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].json() == {"error_code": "429050", "message": "Too many requests"}
