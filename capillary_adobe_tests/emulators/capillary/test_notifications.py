"""The notification service: who gets what, what is sent again and what is lost, over real HTTP."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe_tests.emulators.capillary.conftest import Start
from capillary_adobe_tests.emulators.capillary.webhook import ScriptedWebhook, wait_until


def event(number: int, name: str = "pointsIssued") -> bytes:
    return b'{"eventName": "%s", "eventId": "e%d"}' % (name.encode(), number)


def settled(capillary: RunningCapillary) -> bool:
    counts = capillary.deliveries()
    return counts["PENDING"] + counts["RETRYING"] == 0


def attempts(capillary: RunningCapillary) -> dict[str, list[int | None]]:
    rows = requests.get(f"{capillary.base_url}/control/deliveries", timeout=10).json()
    return {row["event_id"]: [one["http_status"] for one in row["attempts"]] for row in rows}


def test_every_webhook_that_wants_an_event_gets_it_byte_for_byte_with_its_headers(start: Start) -> None:
    capillary = start()
    with ScriptedWebhook() as one, ScriptedWebhook() as other:
        capillary.subscribe(name="one", webHookUrl=one.url, webHookHeaders={"X-Secret": "s", "Content-Type": "text/x"})
        capillary.subscribe(name="other", webHookUrl=other.url, eventNames=["tierUpgraded", "pointsIssued"])
        odd = b'{ "eventName":"pointsIssued",\t"eventId": "odd", "x": 1.50 }'
        bus = b'{"eventId": "bus", "attributes": {"eventName": "tierUpgraded"}}'

        counts = capillary.send([odd, bus, b'{"eventName": "customerAdded"}', b"\xff no JSON"])

        assert counts == {"events": 4, "deliveries": 5, "unwanted": 1}
        wait_until(lambda: settled(capillary))
        assert sorted(one.bodies) == sorted([odd, b"\xff no JSON"])
        assert sorted(other.bodies) == sorted([odd, bus, b"\xff no JSON"])
        assert {(post.headers["x-secret"], post.headers["content-type"]) for post in one.posted} == {("s", "text/x")}
        assert {post.headers["content-type"] for post in other.posted} == {"application/json"}


def test_events_are_handed_in_as_a_list_or_as_lines(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start()
    capillary.subscribe(webHookUrl=webhook.url)
    address = f"{capillary.base_url}/control/events"
    broken = '{"eventName": \n cut'

    listed = requests.post(address, json=[{"eventName": "pointsIssued", "eventId": "1"}, broken], timeout=10)
    lines = requests.post(
        address, data=event(2) + b"\n\n" + event(3), headers={"Content-Type": "application/x-ndjson"}, timeout=10
    )

    assert (listed.status_code, listed.json()["events"], lines.json()["events"]) == (202, 2, 2)
    wait_until(lambda: settled(capillary))
    assert {event(2), event(3), broken.encode()} < set(webhook.bodies)
    assert requests.post(address, data=b"{", timeout=10).status_code == 400


def test_after_400_an_event_is_lost_and_never_sent_again(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.01)
    capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
    webhook.script.extend([400])

    capillary.send([event(1), event(2)])

    wait_until(lambda: settled(capillary))
    assert webhook.bodies == [event(1), event(2)]
    assert capillary.deliveries() == {"PENDING": 0, "RETRYING": 0, "SUCCESS": 1, "FAILED": 1}
    assert attempts(capillary) == {"e1": [400], "e2": [200]}


def test_what_is_retried_keeps_the_queue_waiting_behind_it(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.02)
    capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
    webhook.script.extend([429, 503, 401, 404])

    capillary.send([event(1), event(2)])

    wait_until(lambda: settled(capillary))
    assert webhook.bodies == [event(1)] * 5 + [event(2)]
    assert attempts(capillary) == {"e1": [429, 503, 401, 404, 200], "e2": [200]}
    waits = [after.at - before.at for before, after in pairwise(webhook.posted[:5])]
    # Pauses double from 20 ms, each cut by half at most.
    assert waits[0] < 0.08
    assert waits[3] > 0.08


def test_an_event_is_given_up_in_the_end_and_the_next_has_its_turn(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.01, give_up_seconds=40)
    capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
    webhook.script.extend([503] * 1000)

    began = time.monotonic()
    capillary.send([event(1), event(2)])
    wait_until(lambda: capillary.deliveries()["FAILED"] == 1)
    took = time.monotonic() - began
    webhook.script.clear()

    wait_until(lambda: settled(capillary))
    assert took > 0.4
    assert set(attempts(capillary)["e1"]) == {503}
    assert attempts(capillary)["e2"][-1] == 200


def test_no_more_connections_are_open_than_allowed(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start()
    record = capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=3)
    webhook.holding = True

    capillary.send(event(number) for number in range(20))
    wait_until(lambda: webhook.at_once == 3)
    webhook.holding = False
    webhook.seconds = 0.005

    wait_until(lambda: settled(capillary))
    assert webhook.most_at_once == 3
    assert capillary.most_at_once() == {record["consumerGroupId"]: 3}
    assert len(webhook.bodies) == 20


def test_an_answer_that_does_not_come_in_time_is_none(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.01, answer_seconds=0.1)
    capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
    webhook.holding = True

    capillary.send([event(1)])
    wait_until(lambda: None in attempts(capillary)["e1"])
    webhook.holding = False

    wait_until(lambda: settled(capillary))
    assert set(webhook.bodies) == {event(1)}
    assert len(webhook.bodies) >= 2


def test_a_webhook_that_is_down_gets_its_events_when_it_is_back(start: Start) -> None:
    capillary = start(time_scale=0.02)
    with ScriptedWebhook() as gone:
        url, port = gone.url, int(gone.url.split(":")[2].split("/")[0])
    capillary.subscribe(webHookUrl=url)
    capillary.send([event(1)])
    wait_until(lambda: attempts(capillary)["e1"] != [])
    assert set(attempts(capillary)["e1"]) == {None}

    back = ScriptedWebhook()
    back._server._port = port
    with back:
        wait_until(lambda: settled(capillary))
        assert back.bodies == [event(1)]


@pytest.mark.parametrize(
    ("fault", "times"),
    [({"kind": "duplicate"}, 2), ({"kind": "lose_answer", "times": 2}, 3), ({"kind": "delay", "seconds": 0.05}, 1)],
)
def test_faults_of_the_service(start: Start, webhook: ScriptedWebhook, fault: dict[str, Any], times: int) -> None:
    capillary = start(time_scale=0.01)
    capillary.subscribe(webHookUrl=webhook.url)
    address = f"{capillary.base_url}/control/delivery-faults"
    assert requests.post(address, json=fault, timeout=10).status_code == 201
    began = time.monotonic()

    capillary.send([event(1)])

    wait_until(lambda: settled(capillary) and len(webhook.bodies) == times)
    assert webhook.bodies == [event(1)] * times
    assert time.monotonic() - began >= fault.get("seconds", 0)
    assert capillary.deliveries()["SUCCESS"] == 1
    assert requests.delete(address, timeout=10).json() == {"removed": 1}
    assert requests.post(address, json={"kind": "flood"}, timeout=10).status_code == 400


def test_what_is_open_is_delivered_after_a_restart(tmp_path: Path, webhook: ScriptedWebhook) -> None:
    webhook.script.extend([503] * 3)
    with RunningCapillary(tmp_path, Behaviour(first_pause_seconds=60)) as first:
        first.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
        first.send([event(1), event(2)])
        wait_until(lambda: first.deliveries()["RETRYING"] == 1)
    webhook.script.clear()

    with RunningCapillary(tmp_path) as second:
        wait_until(lambda: settled(second))
        assert webhook.bodies == [event(1), event(1), event(2)]
        assert attempts(second) == {"e1": [503, 200], "e2": [200]}


def test_an_end_of_the_webhook_ends_its_deliveries_at_once(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.01)
    record = capillary.subscribe(webHookUrl=webhook.url, maxAllowedConnections=1)
    webhook.script.extend([503] * 1000)
    capillary.send([event(1), event(2)])
    wait_until(lambda: len(webhook.bodies) > 1)

    capillary._emulation.webhooks.end(record["webHookId"])
    wait_until(lambda: webhook.at_once == 0)
    sent = len(webhook.bodies)

    assert capillary.send([event(3)]) == {"events": 1, "deliveries": 0, "unwanted": 1}
    time.sleep(0.1)  # nothing to wait for: it is the lack of an event that is looked for
    assert len(webhook.bodies) <= sent + 1
    assert event(2) not in webhook.bodies


def test_a_changed_header_heals_what_is_being_retried(start: Start, webhook: ScriptedWebhook) -> None:
    capillary = start(time_scale=0.01)
    record = capillary.subscribe(webHookUrl=webhook.url, webHookHeaders={"Authorization": "old"})
    webhook.script.extend([429] * 2)
    capillary.send([event(1)])
    wait_until(lambda: webhook.bodies != [])

    capillary._emulation.webhooks.change(record["webHookId"], record | {"webHookHeaders": {"Authorization": "new"}})

    wait_until(lambda: settled(capillary))
    assert [post.headers["authorization"] for post in webhook.posted][-1] == "new"
