"""The webhook and event log APIs of the emulator, held against what is published of Capillary's."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe_tests.emulators.capillary.conftest import Client, Start
from capillary_adobe_tests.emulators.capillary.webhook import ScriptedWebhook, wait_until

# The request of docs.capillarytech.com/reference/add-v3-webhooks, cut.
RECORD: dict[str, Any] = {
    "active": True,
    "customerIdentifiersToBeEnriched": [],
    "eventNames": ["pointsIssued", "customerAdded"],
    "maxAllowedConnections": 10,
    "methodType": "POST",
    "name": "All_Events_v3",
    "slaInSeconds": 150,
    "webHookHeaders": {"Authorization": "Basic abc", "Content-Type": "application/json"},
    "webHookType": "HTTP",
    "webHookUrl": "http://127.0.0.1:9/events",
}
PUBLISHED = {
    "attribution",
    "webHookId",
    "noOfRetryAttempts",
    "consumerGroupId",
    "listenToChildEvents",
    "tillDetailsEnrichmentEnabled",
    "storeDetailsEnrichmentEnabled",
    "awardedReferenceEnrichmentEnabled",
    "availablePointsBalanceEnrichmentEnabled",
    *RECORD,
}


def test_a_webhook_is_made_listed_and_changed(start: Start) -> None:
    client = Client(start())

    made = client.data("POST", "/v3/webHooks", RECORD | {"maxAllowedConnections": 10.99, "noOfRetryAttempts": 7})

    assert set(made) == PUBLISHED
    assert {name: made[name] for name in RECORD} == RECORD
    assert made["noOfRetryAttempts"] == 0
    assert client.data("GET", "/v3/webHooks") == [made]

    path = f"/v3/webHooks/{made['webHookId']}"
    asked = RECORD | {"name": "other", "eventNames": ["tierUpgraded"], "laterField": 1}
    changed = client.data("PUT", path, asked)

    assert changed["name"] == "All_Events_v3"
    assert (changed["eventNames"], changed["laterField"]) == (["tierUpgraded"], 1)
    assert changed["consumerGroupId"] == made["consumerGroupId"]
    del asked["webHookHeaders"]
    assert client.data("PUT", path, asked)["webHookHeaders"] == {}


def test_a_webhook_that_ends_is_gone_for_good(start: Start) -> None:
    client = Client(start())
    one, other = (client.data("POST", "/v3/webHooks", RECORD | {"name": name})["webHookId"] for name in "ab")

    assert client.data("DELETE", f"/v3/webHooks/{one}")["active"] is False
    assert client.data("PUT", f"/v3/webHooks/{other}", RECORD | {"active": False})["active"] is False

    for dead in (one, other, "unknown"):
        assert client.code("PUT", f"/v3/webHooks/{dead}", RECORD) == 400
        assert client.code("DELETE", f"/v3/webHooks/{dead}") == 400
    assert [one["active"] for one in client.data("GET", "/v3/webHooks")] == [False, False]
    assert client.code("POST", "/v3/webHooks", RECORD | {"name": "a"}) == 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"eventNames": None}, 51003),
        ({"eventNames": []}, 51003),
        ({"maxAllowedConnections": 0}, 51007),
        ({"maxAllowedConnections": -1}, 51007),
        ({"maxAllowedConnections": None}, 300004),
        ({"webHookUrl": "ftp://x"}, 400),
        ({"name": " "}, 400),
        ({"webHookHeaders": []}, 400),
    ],
)
def test_documented_refusals(start: Start, change: dict[str, Any], code: int) -> None:
    client = Client(start())
    assert client.code("POST", "/v3/webHooks", RECORD | change) == code
    assert client.data("GET", "/v3/webHooks") == []


def test_errors_may_come_with_200(start: Start) -> None:
    client = Client(start(errors_with_200=True))
    answer = client.call("POST", "/v3/webHooks", RECORD | {"eventNames": []})
    assert (answer.status_code, answer.json()["errors"][0]["code"], answer.json()["data"]) == (200, 51003, None)


def test_nobody_is_let_in_without_a_token_in_force(start: Start) -> None:
    capillary = start(token_seconds=1)
    client = Client(capillary)
    token = client.session.headers["X-CAP-API-OAUTH-TOKEN"]
    assert client.data("GET", "/v3/webHooks") == []

    client.session.headers["X-CAP-API-OAUTH-TOKEN"] = "another"
    assert client.call("GET", "/v3/webHooks").status_code == 401
    client.session.headers["X-CAP-API-OAUTH-TOKEN"] = token
    wait_until(lambda: client.call("GET", "/v3/webHooks").status_code == 401, 3)
    wrong = {"key": capillary.organisation.key, "secret": "wrong"}
    address = f"{capillary.base_url}/v3/oauth/token/generate"
    assert requests.post(address, json=wrong, timeout=10).status_code == 401
    assert requests.post(address, data=b"no JSON", timeout=10).status_code == 401


def test_more_requests_than_allowed_are_refused(start: Start) -> None:
    client = Client(start(requests_per_minute=3))
    assert [client.call("GET", "/v3/webHooks").status_code for _ in range(5)] == [200] * 3 + [429] * 2


def test_the_log_tells_every_delivery(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.01)
    client = Client(capillary)
    group = client.data("POST", "/v3/webHooks", RECORD | {"webHookUrl": webhook.url, "maxAllowedConnections": 1})[
        "consumerGroupId"
    ]
    webhook.script.extend([200, 400, 200])
    identifiers = {"customerIdentifiers": {"customerId": 7}}
    bodies = [
        {"eventName": "pointsIssued", "eventId": f"e{number}", "refId": "1_2", "apiRequestId": "r", "data": identifiers}
        for number in range(2)
    ]
    requests.post(
        f"{capillary.base_url}/control/events",
        json=[*bodies, {"eventName": "customerAdded", "eventId": "c"}],
        timeout=10,
    )
    wait_until(lambda: capillary.deliveries()["SUCCESS"] == 2)

    logs = f"/v3/events/consumer-groups/{group}/logs"
    rows = client.data("GET", logs)

    assert [(row["eventId"], row["status"]) for row in rows] == [("c", "SUCCESS"), ("e1", "FAILED"), ("e0", "SUCCESS")]
    first = rows[2]
    assert (first["refId"], first["requestId"], first["consumerGroupId"]) == ("1_2", "r", group)
    assert first["consumerResponse"]["webhookHttpStatus"] == 200.0
    times = [first[f"event{when}Timestamp"] for when in ("Ingestion", "Start", "End")]
    assert times == sorted(times)
    assert all(one.endswith("+0530") for one in times)
    moment = int(datetime.fromisoformat(times[0]).timestamp() * 1000)

    assert len(client.data("GET", logs, eventType="pointsIssued")) == 2
    assert [row["eventId"] for row in client.data("GET", logs, eventSearchKey="7", sortBy="eventType:asc")] == [
        "e0",
        "e1",
    ]
    assert client.data("GET", logs, endDate=moment - 1) == []
    assert len(client.data("GET", logs, startDate=moment)) == 3
    page = client.call("GET", logs, limit=2, offset=2).json()
    assert (len(page["data"]), page["pagination"]) == (1, {"limit": 2, "offset": 2, "total": 3})
    for wrong in ({"limit": "x"}, {"limit": "0"}, {"sortBy": "body"}, {"startDate": "2026-01-01"}):
        assert client.code("GET", logs, **wrong) == 400

    figures = client.data("GET", logs.replace("logs", "metrics"), startDate=moment)
    told = {name: figures[f"{name}Events"] for name in ("total", "delivered", "failed", "retrying", "pending")}
    assert told == {"total": 3, "delivered": 2, "failed": 1, "retrying": 0, "pending": 0}

    assert [row["eventId"] for row in client.data("GET", "/v3/webHooks/eventLog/requestId/r")] == ["e1", "e0"]
    assert len(client.data("GET", "/v3/webHooks/eventLog/refId/1_2")) == 2
    assert client.data("GET", "/v3/webHooks/eventLog/c") == rows[0]
    assert client.code("GET", "/v3/webHooks/eventLog/none") == 404
    assert client.code("GET", "/v3/events/consumer-groups/none/logs") == 400


def test_webhooks_and_log_outlive_a_restart_and_tokens_do_not(tmp_path: Path, webhook: ScriptedWebhook) -> None:
    with RunningCapillary(tmp_path) as first:
        client = Client(first)
        made = client.data("POST", "/v3/webHooks", RECORD | {"webHookUrl": webhook.url})
        first.send([b'{"eventName": "pointsIssued", "eventId": "e"}'])
        wait_until(lambda: first.deliveries()["SUCCESS"] == 1)
        token = client.session.headers["X-CAP-API-OAUTH-TOKEN"]

    with RunningCapillary(tmp_path) as second:
        client = Client(second)
        assert client.data("GET", "/v3/webHooks") == [made]
        assert client.data("GET", "/v3/webHooks/eventLog/e")["status"] == "SUCCESS"
        client.session.headers["X-CAP-API-OAUTH-TOKEN"] = token
        assert client.call("GET", "/v3/webHooks").status_code == 401


def test_the_log_stays_bounded(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(log_rows=50)
    capillary.subscribe(webHookUrl=webhook.url, eventNames=["pointsIssued"], maxAllowedConnections=8)
    for _ in range(3):
        capillary.send([b'{"eventName": "pointsIssued"}'] * 500)
        wait_until(lambda: capillary.deliveries()["PENDING"] + capillary.deliveries()["RETRYING"] == 0, 30)
    capillary.send([b'{"eventName": "pointsIssued"}'] * 500)
    wait_until(lambda: capillary.deliveries()["PENDING"] + capillary.deliveries()["RETRYING"] == 0, 30)
    assert capillary.deliveries()["SUCCESS"] < 1000


def test_the_control_page_names_its_addresses_and_faults(start: Start) -> None:
    capillary = start()
    page = requests.get(f"{capillary.base_url}/control", timeout=10).json()
    assert len(page["addresses"]) == 13
    assert set(page["faults of the notification service"]) == {"delay", "lose_answer", "duplicate"}
    address = f"{capillary.base_url}/control/faults"
    requests.post(address, json={"kind": "status", "status": 503, "path": "/v3/webHooks"}, timeout=10)
    client = Client(capillary)
    assert client.session.get(f"{capillary.base_url}/v3/webHooks", timeout=10).status_code == 503
    assert client.data("GET", "/v3/webHooks") == []
    assert [one["fired"] for one in requests.get(address, timeout=10).json()] == [1]
