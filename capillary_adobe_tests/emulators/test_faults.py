"""Faults on request, by HTTP and from the same process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe_tests.emulators.client import Client, event
from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, lines

StartPlatform = Callable[..., Platform]
CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


@pytest.fixture
def emulator(store: Path) -> Iterator[RunningEmulator]:
    with RunningEmulator(store, behaviour=Behaviour(batch_seconds=0, validation_seconds=0.05)) as running:
        yield running


@pytest.fixture
def there(emulator: RunningEmulator) -> Iterator[Client]:
    with requests.Session() as session:
        yield Client(emulator, session)


def fault(client: Client, **fields: Any) -> requests.Response:
    return requests.post(f"{client.base_url}/control/faults", json=fields, timeout=10)


def send(client: Client, *ids: str) -> requests.Response:
    return client.send_many(*(event(client.tenant, entity_id) for entity_id in ids))


def kept(client: Client) -> list[str]:
    return [line["entity"]["_id"] for line in client.accepted()]


def test_a_status_for_some_requests(there: Client) -> None:
    added = fault(
        there, kind="status", status=503, headers={"Retry-After": "7"}, body={"a": 1}, path="/collection/batch", skip=1,
        times=2,
    )  # fmt: skip
    answers = [send(there, str(number)) for number in range(4)]

    assert added.status_code == 201
    assert [answer.status_code for answer in answers] == [207, 503, 503, 207]
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[1].json() == {"a": 1}
    assert there.send_one(event(there.tenant, "single")).status_code == 200
    assert kept(there) == ["0", "3", "single"]
    assert there.summary()["requests"] == {"207": 2, "503": 2, "200": 1}
    (listed,) = there.get("/control/faults").json()
    assert (listed["kind"], listed["met"], listed["fired"]) == ("status", 4, 2)


def test_a_fault_for_ever_until_it_is_removed(there: Client) -> None:
    fault(there, kind="status", status=500, body="broken", times=None)
    assert [there.ask_token().status_code, send(there, "1").status_code] == [500, 500]
    assert Platform(there).get("catalog/batches").text == "broken"
    assert there.summary()["tokens"] == {"200": 1, "500": 1}

    assert requests.delete(f"{there.base_url}/control/faults", timeout=10).json() == {"removed": 1}

    assert send(there, "1").status_code == 207
    assert there.get("/control/faults").json() == []


def test_a_fault_of_one_method(there: Client) -> None:
    platform = Platform(there)
    fault(there, kind="status", status=502, path="/data/foundation/import", method="PUT")

    batch = platform.begin()

    assert platform.put(batch, "a", b"x").status_code == 502
    assert platform.put(batch, "a", b"x").status_code == 201


def test_a_share_is_the_same_for_the_same_seed(emulator: RunningEmulator, there: Client) -> None:
    def statuses() -> list[int]:
        emulator.faults.clear()
        emulator.faults.add(kind="status", status=503, share=0.5, seed=4, times=None, path="/collection")
        return [send(there, "1").status_code for _ in range(20)]

    assert (first := statuses()) == statuses()
    assert set(first) == {207, 503}


def test_a_delay_adds_to_another_fault(emulator: RunningEmulator, there: Client) -> None:
    emulator.faults.add(kind="delay", seconds=0.2, path="/collection")
    emulator.faults.add(kind="status", status=503, path="/collection")
    began = time.monotonic()

    assert send(there, "1").status_code == 503

    assert time.monotonic() - began >= 0.2


def test_a_client_that_does_not_wait_has_sent_all_the_same(emulator: RunningEmulator, there: Client) -> None:
    emulator.faults.add(kind="delay", seconds=2, path="/collection")

    with pytest.raises(requests.Timeout):
        there.send_many(event(there.tenant, "1"), timeout=0.1)

    assert kept(there) == ["1"]


def test_a_connection_cut_before_anything_is_processed(
    emulator: RunningEmulator, there: Client, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.faults.add(kind="reset_before", path="/collection")

    with caplog.at_level(logging.ERROR), pytest.raises(CUT):
        send(there, "1")

    assert kept(there) == []
    assert send(there, "2").status_code == 207
    assert [record.getMessage() for record in caplog.records] == []


def test_a_connection_cut_after_everything_is_processed(
    emulator: RunningEmulator, there: Client, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Platform(there)
    emulator.faults.add(kind="reset_after", path="/collection")
    emulator.faults.add(kind="reset_after", path="/data/foundation/import", method="POST")

    with caplog.at_level(logging.ERROR):
        with pytest.raises(CUT):
            send(there, "1")
        with pytest.raises(CUT):
            platform.create(externalId="lost")

    assert kept(there) == ["1"]
    assert len(platform.get("catalog/batches", externalId="lost").json()) == 1
    assert [record.getMessage() for record in caplog.records] == []


def test_a_cut_during_a_large_upload(
    emulator: RunningEmulator, there: Client, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Platform(there)
    batch = platform.begin()
    emulator.faults.add(kind="reset_before", method="PUT")

    with caplog.at_level(logging.ERROR):
        with pytest.raises(CUT):
            platform.put(batch, "a", b"x" * 20_000_000)
        assert platform.put(batch, "a", b"x" * 20_000_000).status_code == 201

    assert [record.getMessage() for record in caplog.records] == []


def test_a_body_that_trickles(emulator: RunningEmulator, there: Client) -> None:
    emulator.faults.add(kind="slow_body", seconds=0.3, path="/collection")
    began = time.monotonic()

    answer = send(there, "1", "2")

    assert time.monotonic() - began >= 0.3
    assert len(answer.json()["responses"]) == 2


def test_a_partial_answer_at_given_places(emulator: RunningEmulator, there: Client) -> None:
    emulator.faults.add(kind="partial", places=[0, 2, 9], status=429)

    items = send(there, "a", "b", "c", "d").json()["responses"]

    assert [item.get("statusCode") for item in items] == [429, None, 429, None]
    assert kept(there) == ["b", "d"]
    assert there.summary()["rejected_messages"] == 2


def test_a_partial_answer_for_a_share_of_the_messages(emulator: RunningEmulator, there: Client) -> None:
    emulator.faults.add(kind="partial", share_of_messages=0.5)
    there.send_one(event(there.tenant, "none of its business"))

    items = send(there, *map(str, range(100))).json()["responses"]

    refused = [item for item in items if "statusCode" in item]
    assert {item["statusCode"] for item in refused} == {503}
    assert 20 < len(refused) < 80
    assert len(kept(there)) == 1 + 100 - len(refused)


@pytest.mark.parametrize(("places", "missing"), [(None, {0}), ([1, 2], {1, 2})])
def test_an_answer_with_fewer_items(
    emulator: RunningEmulator, there: Client, places: list[int] | None, missing: set[int]
) -> None:
    emulator.faults.add(kind="short_items", places=places)

    items = send(there, "a", "b", "c").json()["responses"]

    assert {int(item["xactionId"].rpartition(":")[2]) for item in items} == {0, 1, 2} - missing
    assert kept(there) == ["a", "b", "c"]


def test_a_page_in_place_of_an_answer(emulator: RunningEmulator, there: Client) -> None:
    emulator.faults.add(kind="html", path="/collection")

    answer = send(there, "1")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert kept(there) == []


def test_a_revoked_token(emulator: RunningEmulator, there: Client) -> None:
    platform = Platform(there)
    emulator.faults.add(kind="revoke_token", path="/collection")
    there.ask_token()

    assert send(there, "1").status_code == 403
    assert send(there, "1").status_code == 403
    assert platform.get("catalog/batches").status_code == 401
    there.token = there.ask_token().json()["access_token"]
    assert send(there, "1").status_code == 207


@pytest.mark.parametrize("word", ["failed", "stalled", "abandoned", "retrying"])
def test_a_batch_ends_as_it_was_told_to(emulator: RunningEmulator, there: Client, word: str) -> None:
    platform = Platform(there)
    errors = [{"code": "CONNECTOR-2001-500", "description": "no"}]
    emulator.faults.add(kind="batch_status", final=word, errors=errors)
    batch = platform.begin()
    platform.put(batch, "a", lines(good("1")))
    platform.act(batch, "COMPLETE")

    eventually(lambda: platform.batch(batch)["status"] == word)

    assert platform.batch(batch)["errors"] == errors
    assert kept(there) == []
    _, second = platform.ingest(lines(good("1")))
    assert second["status"] == "success"


def test_only_a_completion_uses_up_the_end_of_a_batch(emulator: RunningEmulator, there: Client) -> None:
    platform = Platform(there)
    good_batch, _ = platform.ingest(lines(good("1")))
    emulator.faults.add(kind="batch_status", final="stalled", skip=1, path="/data/foundation/import")
    emulator.faults.add(kind="reset_after", path="/data/foundation/import/batches/", method="POST", skip=4)
    aborted = platform.begin()
    platform.act(aborted, "ABORT")
    platform.act(aborted, "COMPLETE")
    platform.act(good_batch, "COMPLETE")

    _, first = platform.ingest(lines(good("2")))
    batch = platform.begin()
    platform.put(batch, "a", lines(good("3")))
    with pytest.raises(CUT):
        platform.act(batch, "COMPLETE")

    assert first["status"] == "success"
    assert platform.final(batch)["status"] == "stalled"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "unknown"},
        {"kind": "status", "colour": "red"},
        {"kind": "status", "times": 0},
        {"kind": "status", "status": "x"},
        {"kind": "partial"},
        {"kind": "partial", "places": [1], "share_of_messages": 0.5},
    ],
)
def test_a_fault_that_cannot_be_is_answered_400(there: Client, fields: dict[str, Any]) -> None:
    answer = fault(there, **fields)

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert there.get("/control/faults").json() == []


def test_more_can_be_demanded_over_http(there: Client) -> None:
    platform = Platform(there)
    url = f"{there.base_url}/control/extra-schema"
    schema = {"required": ["producedBy"]}
    assert requests.put(url, json={"schema": schema}, timeout=10).status_code == 200
    assert requests.get(url, timeout=10).json() == {"schema": schema}
    platform.stream(good("1"))
    assert [batch["errors"][0]["code"] for batch in platform.some_failed().values()] == ["DCVS-1111-400"]
    assert platform.ingest(lines(good("2")))[1]["status"] == "failed"

    assert requests.delete(url, timeout=10).json() == {"schema": None}

    assert platform.ingest(lines(good("2")))[1]["status"] == "success"
    platform.stream(good("3"))
    assert platform.validated()["failed_later"] == 1


@pytest.mark.parametrize("content", [{}, {"schema": 1}, {"schema": {"type": "nothing"}}, []])
def test_what_is_no_schema_is_answered_400(there: Client, content: Any) -> None:
    answer = requests.put(f"{there.base_url}/control/extra-schema", json=content, timeout=10)

    assert answer.status_code == 400


def test_the_control_address_explains_itself(there: Client) -> None:
    shown = there.get("/control").json()

    assert len(shown["addresses"]) == 10
    assert "batch_status" in shown["kinds of fault"]
    assert "share_of_messages" in shown["fields of a fault"]
