"""Customers, transactions, stores, tills and programs of the emulator: put in by hand, shown by the API with its quirks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.emulators.capillary.calls import Calls
from capillary_adobe_tests.emulators.capillary.conftest import Client, Start

KINDS = ("customers", "transactions", "stores", "tills", "programs")


def older(client: Client, path: str, **params: Any) -> dict[str, Any]:
    answer = client.session.get(client.base_url + path, params=params, timeout=10)
    return answer.json()["response"] | {"http": answer.status_code}


@pytest.mark.parametrize("kind", KINDS)
def test_records_are_put_in_and_replaced_by_their_ids(start: Start, kind: str) -> None:
    address = f"{start().base_url}/control/{kind}"
    assert requests.post(address, json=[{"id": 2}, {"id": 1, "name": "a"}], timeout=10).json() == {"taken": 2}
    assert requests.post(address, json={"id": 1, "name": "b"}, timeout=10).status_code == 201
    assert requests.get(address, timeout=10).json() == [{"id": 1, "name": "b"}, {"id": 2}]
    for wrong in ({"name": "no id"}, {"id": "1"}, {"id": True}, "text", [1]):
        refused = requests.post(address, json=wrong, timeout=10)
        assert (refused.status_code, "whole number" in refused.json()["error"]) == (400, True)


def test_a_customer_is_found_by_an_identifier(start: Start) -> None:
    capillary = start()
    identifiers = [{"type": "externalId", "value": "X1"}]
    capillary.put("customers", {"id": 5, "profiles": [{"identifiers": identifiers}]})
    client = Client(capillary)
    path = "/v2/customers/lookup/customerDetails"
    for name, value in (("externalId", "X1"), ("id", "5")):
        params = {"source": "INSTORE", "identifierName": name, "identifierValue": value}
        assert client.session.get(client.base_url + path, params=params, timeout=10).json()["id"] == 5
    for params, code in (
        ({"source": "INSTORE", "identifierName": "externalId", "identifierValue": "X2"}, 8015),
        ({"identifierName": "externalId", "identifierValue": "X1"}, 8012),
        ({"source": "WECHAT", "identifierName": "externalId", "identifierValue": "X1"}, 8045),
    ):
        assert client.code("GET", path, **params) == code


@pytest.mark.parametrize(
    ("ids", "status", "items"),
    [("1", ("true", "200"), ["1000"]), ("1,2", ("true", "201"), ["1000", "1012"]), ("2", ("false", "500"), ["1012"])],
)
def test_the_older_envelope_tells_how_many_succeeded(
    start: Start, ids: str, status: tuple[str, str], items: list[str]
) -> None:
    capillary = start()
    capillary.put("customers", {"id": 1, "profiles": []})
    told = older(Client(capillary), "/v1.1/customer/get", id=ids)
    assert told["http"] == 200
    assert (told["status"]["success"], told["status"]["code"]) == status
    assert [one["item_status"]["code"] for one in told["customers"]["customer"]] == items


def test_the_older_api_refuses_in_its_own_envelope(start: Start) -> None:
    client = Client(start(denied=frozenset({"Customer"})))
    told = older(client, "/v1.1/customer/get", id="1")
    assert (told["http"], told["status"]["code"]) == (403, "4000")
    del client.session.headers["X-CAP-API-OAUTH-TOKEN"]
    assert older(client, "/v1.1/customer/get", id="1")["http"] == 401


def test_entities_come_in_pages_from_an_id_on(start: Start) -> None:
    capillary = start()
    capillary.put("stores", *({"id": number} for number in range(1, 502)))
    client = Client(capillary)

    def ids(**params: Any) -> list[int]:
        told = older(client, "/v1.1/organization/entities", type="STORE", **params)
        return [int(one["id"]) for one in told["organization"]["entities"]["entity"]]

    assert ids() == list(range(1, 501))
    assert ids(start_id=500) == [500, 501]
    assert older(client, "/v1.1/organization/entities", type="CONCEPT")["http"] == 400


def test_calls_are_counted_as_a_limit_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    for moment in (59.0, 60.0, 61.0, 118.9, 120.5):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        calls.came()
    assert calls.rates() == (5, 4, 3)
    monkeypatch.undo()
    with RunningCapillary(tmp_path) as running:
        running.faults.add(kind="status", status=500, path="/v3/webHooks")
        Client(running).session.get(f"{running.base_url}/v3/webHooks", timeout=10)
        # The token, and the call that failed.
        assert requests.get(f"{running.base_url}/control/calls", timeout=10).json()["calls"] == 2
