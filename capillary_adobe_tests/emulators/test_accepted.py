"""What the emulator keeps and shows, also after a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from capillary_adobe.emulators.aep import RunningEmulator, Tenant
from capillary_adobe.emulators.violations import CATEGORIES
from capillary_adobe_tests.emulators.client import Client, event, profile


def test_accepted_messages_are_kept_in_order_as_they_were_sent(alone: Client, store: Path) -> None:
    first = event(alone.tenant, "1")
    first["body"]["xdmEntity"] |= {"z": 1, "a": [2261.5, None, True, {"名": "ü"}]}
    batch = alone.send_many(first, {"faulty": True}, profile(alone.tenant)).json()
    single = alone.send_one(event(alone.tenant, "2")).json()

    expected = [
        (alone.tenant.events_dataset_id, batch["receivedTimeMs"], first["body"]["xdmEntity"]),
        (alone.tenant.profiles_dataset_id, batch["receivedTimeMs"], profile(alone.tenant)["body"]["xdmEntity"]),
        (alone.tenant.events_dataset_id, single["receivedTimeMs"], event(alone.tenant, "2")["body"]["xdmEntity"]),
    ]

    kept = alone.accepted()
    assert [(line["dataset"], line["received_ms"], line["entity"]) for line in kept] == expected
    assert list(kept[0]["entity"]) == list(first["body"]["xdmEntity"])
    assert [orjson.loads(line) for line in (store / "accepted.jsonl").read_bytes().splitlines()] == kept


def test_accepted_messages_can_be_read_in_pages(alone: Client) -> None:
    ids = [f"id-{number}" for number in range(2500)]
    for begin in range(0, 2500, 500):
        alone.send_many(*(event(alone.tenant, entity_id) for entity_id in ids[begin : begin + 500]))

    def read(**params: int) -> list[str]:
        return [line["entity"]["_id"] for line in alone.accepted(**params)]

    assert read() == ids[:1000]
    assert read(limit=10_000) == ids
    for offset in (0, 1, 999, 1000, 1001, 2490, 2499):
        assert read(offset=offset, limit=20) == ids[offset : offset + 20]
    assert read(offset=2500) == []
    assert read(offset=10**9) == []
    assert read(limit=0) == []


@pytest.mark.parametrize("params", [{"offset": -1}, {"offset": "x"}, {"limit": -1}, {"limit": 10_001}, {"limit": "²"}])
def test_a_page_that_cannot_be_is_answered_400(client: Client, params: dict[str, object]) -> None:
    assert client.get("/accepted.json", **params).status_code == 400


def test_an_empty_emulator_has_nothing_to_show(alone: Client) -> None:
    assert alone.accepted() == []
    assert alone.summary() == {
        "accepted": 0,
        "duplicates": 0,
        "distinct": 0,
        "by_event_type": {},
        "by_dataset": {},
        "requests": {},
        "rejected_messages": 0,
        "tokens": {"200": 1},
        "platform": {},
        "awaiting_validation": 0,
        "failed_later": 0,
        "violations": dict.fromkeys(CATEGORIES, 0),
        "in_lake": {"records": 0, "distinct": 0, "by_dataset": {}},
    }
    assert alone.get("/").status_code == 200


def send_a_mixture(client: Client) -> None:
    a, b, c = (event(client.tenant, entity_id, f"loyalty.{entity_id}") for entity_id in ("a", "b", "c"))
    with_id = profile(client.tenant)
    with_id["body"]["xdmEntity"]["_id"] = "a"
    client.send_many(a, b, {}, a)
    client.send_one(a)
    client.send_one(c)
    client.send_one({})
    client.send_many(profile(client.tenant), profile(client.tenant), with_id)


MIXTURE = {
    "accepted": 8,
    "duplicates": 2,
    "distinct": 4,
    "by_event_type": {"loyalty.a": 3, "loyalty.b": 1, "loyalty.c": 1},
    "by_dataset": {
        Tenant.demo().events_dataset_id: {"accepted": 5, "distinct": 3, "duplicates": 2},
        Tenant.demo().profiles_dataset_id: {"accepted": 3, "distinct": 1, "duplicates": 0},
    },
}


def received(client: Client) -> dict[str, Any]:
    """The counts that no later validation changes."""
    later = ("platform", "awaiting_validation", "failed_later", "violations", "in_lake")
    return {name: count for name, count in client.summary().items() if name not in later}


def test_the_summary_counts_messages_and_answers(alone: Client) -> None:
    send_a_mixture(alone)

    assert received(alone) == MIXTURE | {
        "requests": {"207": 2, "200": 2, "400": 1},
        "rejected_messages": 2,
        "tokens": {"200": 1},
    }


def table(page: str, name: str) -> list[list[str]]:
    """The cells of one table of the page."""
    body = re.search(rf'<table id="{name}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert body, f"the page has no table {name}"
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body[1])]


def test_the_page_shows_the_counts(alone: Client) -> None:
    send_a_mixture(alone)

    page = alone.get("/").text

    figures = {name: re.search(rf'<dd id="{name}">(\d+)</dd>', page) for name in ("accepted", "distinct", "duplicates")}
    assert {name: match and match[1] for name, match in figures.items()} == {
        "accepted": "8",
        "distinct": "4",
        "duplicates": "2",
    }
    assert table(page, "by-event-type") == [["loyalty.a", "3"], ["loyalty.b", "1"], ["loyalty.c", "1"]]
    assert table(page, "by-dataset") == [
        ["events", alone.tenant.events_dataset_id, "5", "3", "2"],
        ["profiles", alone.tenant.profiles_dataset_id, "3", "1", "0"],
    ]
    assert table(page, "requests") == [
        ["collection", "200", "2"],
        ["collection", "207", "2"],
        ["collection", "400", "1"],
        ["token", "200", "1"],
    ]


def test_the_page_shows_the_latest_entities_and_nothing_else_of_them(alone: Client) -> None:
    messages = [event(alone.tenant, f"id-{number}") for number in range(25)]
    for message in messages:
        message["body"]["xdmEntity"]["personalEmail"] = {"address": "jane@example.com"}
    alone.send_many(*messages)

    page = alone.get("/").text

    expected = [["loyalty.pointsIssued", "2026-04-23T17:30:41.201Z", f"id-{number}"] for number in range(24, 4, -1)]
    assert table(page, "latest") == expected
    assert "jane@example.com" not in page


def test_the_page_is_self_contained_and_refreshes_itself(client: Client) -> None:
    page = client.get("/").text

    assert '<meta http-equiv="refresh"' in page
    assert not re.search(r"\b(src|href)=|url\(|@import", page)


def test_the_page_takes_no_markup_from_an_entity(alone: Client) -> None:
    alone.send_one(event(alone.tenant, "<b>$accepted</b>", "<script>x</script>"))

    page = alone.get("/").text

    assert "<script>" not in page
    assert table(page, "latest")[0][2] == "&lt;b&gt;$accepted&lt;/b&gt;"


def restarted(store: Path, tenant: Tenant, port: int = 0) -> RunningEmulator:
    return RunningEmulator(store, tenant, port=port)


def test_a_restart_on_the_same_store_keeps_the_counts(store: Path, tenant: Tenant) -> None:
    with restarted(store, tenant) as emulator, requests.Session() as session:
        before = Client(emulator, session)
        send_a_mixture(before)
        kept, page = before.accepted(), before.get("/").text
        port = int(emulator.base_url.rpartition(":")[2])

    with restarted(store, tenant, port) as emulator, requests.Session() as session:
        after = Client(emulator, session)
        assert emulator.base_url == before.base_url
        assert received(after) == MIXTURE | {"requests": {}, "rejected_messages": 0, "tokens": {"200": 1}}
        assert after.accepted() == kept
        assert table(after.get("/").text, "latest") == table(page, "latest")

        after.send_many(event(tenant, "a", "loyalty.a"), event(tenant, "d", "loyalty.d"))
        summary = after.summary()
        assert (summary["accepted"], summary["distinct"], summary["duplicates"]) == (10, 5, 3)
        assert after.accepted()[:8] == kept
        assert [line["entity"]["_id"] for line in after.accepted(offset=8)] == ["a", "d"]


def test_a_line_cut_off_by_a_kill_is_dropped(store: Path, tenant: Tenant) -> None:
    with restarted(store, tenant) as emulator, requests.Session() as session:
        Client(emulator, session).send_many(event(tenant, "a"), event(tenant, "b"))
    file = store / "accepted.jsonl"
    file.write_bytes(file.read_bytes()[:-20])

    with restarted(store, tenant) as emulator, requests.Session() as session:
        client = Client(emulator, session)
        assert client.summary()["accepted"] == 1
        client.send_one(event(tenant, "b"))
        assert [line["entity"]["_id"] for line in client.accepted()] == ["a", "b"]
        assert client.summary()["duplicates"] == 0


def test_a_store_of_something_else_is_refused(store: Path, tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    store.mkdir()
    (store / "accepted.jsonl").write_text('{"dataset":"d","received_ms":1,"entity":{}}\nnot a message\n')

    with pytest.raises(RuntimeError, match="did not start"):
        restarted(store, tenant).__enter__()

    assert "line 2 is not an accepted message" in caplog.text
