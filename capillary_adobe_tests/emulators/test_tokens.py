"""The token endpoint, and what the inlet makes of tokens."""

from __future__ import annotations

import time

import pytest
import requests

from capillary_adobe_tests.emulators.client import SCOPES, Client, StartEmulator, event


def test_a_token_is_granted_as_documented(client: Client) -> None:
    answer = client.ask_token()

    assert answer.status_code == 200
    token = answer.json()
    assert token.keys() == {"access_token", "token_type", "expires_in"}
    assert (token["token_type"], token["expires_in"]) == ("bearer", 86399)


def test_parameters_may_go_in_the_query(client: Client) -> None:
    parameters = {
        "grant_type": "client_credentials",
        "client_id": client.tenant.client_id,
        "client_secret": client.tenant.client_secret,
        "scope": SCOPES,
    }

    answer = requests.post(f"{client.base_url}/ims/token/v3", params=parameters, timeout=10)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"client_id": "someone-else"}, "invalid_client", "invalid client_id parameter"),
        ({"client_id": None}, "invalid_client", "invalid client_id parameter"),
        ({"client_secret": "wrong"}, "invalid_client", "invalid client_secret parameter"),
        ({"client_secret": None}, "invalid_client", "invalid client_secret parameter"),
        ({"client_secret": "falsch-mit-ü"}, "invalid_client", "invalid client_secret parameter"),
        ({"scope": "openid,everything"}, "invalid_scope", "invalid scope parameter"),
        ({"scope": "openid AdobeID"}, "invalid_scope", "invalid scope parameter"),
        ({"scope": None}, "invalid_scope", "invalid scope parameter"),
        ({"grant_type": "password"}, "unsupported_grant_type", "invalid grant_type parameter"),
        ({"grant_type": None}, "unsupported_grant_type", "invalid grant_type parameter"),
    ],
)
def test_each_wrong_parameter_has_its_error(
    client: Client, changes: dict[str, str | None], error: str, description: str
) -> None:
    answer = client.ask_token(**changes)

    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_a_form_of_another_content_type_is_not_read(client: Client) -> None:
    form = f"grant_type=client_credentials&client_id={client.tenant.client_id}"

    answer = requests.post(
        f"{client.base_url}/ims/token/v3", data=form, headers={"Content-Type": "text/plain"}, timeout=10
    )

    assert answer.json()["error"] == "unsupported_grant_type"


def test_tokens_differ_and_each_is_good_for_many_requests(alone: Client) -> None:
    first, alone.token = alone.token, alone.ask_token().json()["access_token"]

    assert alone.token != first
    for token in (first, alone.token, first):
        alone.token = token
        assert alone.send_one(event(alone.tenant)).status_code == 200
    assert alone.summary()["tokens"] == {"200": 2}


def test_a_token_ends_after_its_time(start: StartEmulator) -> None:
    client = start(token_seconds=1)
    assert client.ask_token().json()["expires_in"] == 1
    client.token = client.ask_token().json()["access_token"]
    granted = time.monotonic()
    assert client.send_one(event(client.tenant)).status_code == 200

    while (status := client.send_one(event(client.tenant)).status_code) == 200:
        assert time.monotonic() < granted + 30, "the token never ended"

    assert status == 403
    assert time.monotonic() - granted >= 0.99
    client.token = client.ask_token().json()["access_token"]
    assert client.send_one(event(client.tenant)).status_code == 200


def test_a_token_outlives_a_restart(start: StartEmulator) -> None:
    before, after = start(), start()
    after.token = before.token

    assert after.send_one(event(after.tenant)).status_code == 200


@pytest.mark.parametrize("endpoint", ["", "batch/"])
@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer "])
def test_a_missing_token_is_answered_401(client: Client, endpoint: str, value: str | None) -> None:
    answer = client.post(endpoint + client.tenant.inlet_id, b"{}", client.headers(Authorization=value))

    assert answer.status_code == 401
    assert answer.json() == {
        "type": "https://ns.adobe.com/adobecloud/problem/data-collection-service-authorization",
        "status": "401",
        "title": "Authorization",
        "report": {"message": f"[{client.tenant.inlet_id}] Ims service token is empty"},
    }


@pytest.mark.parametrize("endpoint", ["", "batch/"])
@pytest.mark.parametrize(
    "value", ["Bearer nonsense", "Bearer a.b.c", "Bearer \xff\xfe", "Basic {token}", "Bearer {token}x"]
)
def test_a_token_that_does_not_count_is_answered_403(client: Client, endpoint: str, value: str) -> None:
    headers = client.headers(Authorization=value.replace("{token}", client.token))

    answer = client.post(endpoint + client.tenant.inlet_id, b"{}", headers)

    assert answer.status_code == 403
    assert answer.json()["status"] == "403"
