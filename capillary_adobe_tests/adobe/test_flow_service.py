"""The Flow Service's client: lists of more than one page, what was taken away, and objects asked for by their id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from capillary_adobe.adobe.flow_service import FlowService
from capillary_adobe_tests.adobe.platform_server import ScriptedPlatform, says, status

ROOT = "/data/foundation/flowservice"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


def test_a_list_is_read_to_its_last_page(server: ScriptedPlatform) -> None:
    link = {"next": {"href": "/flows?limit=1&continuationToken=on"}}
    first, last = {"id": "a", "name": "Mine"}, {"id": "b", "name": "Mine", "state": "disabled"}
    server.follow(says({"items": [first], "_links": link}), says({"items": [last], "_links": {}}))

    found = FlowService(server.client()).named("flows", "Mine")

    assert [(one.id, one.state) for one in found] == [("a", "enabled"), ("b", "disabled")]
    assert [one.query for one in server.asked] == [
        {"property": "name==Mine"},
        {"property": "name==Mine", "continuationToken": "on"},
    ]


def test_what_has_another_name_or_was_taken_away_is_not_there(server: ScriptedPlatform) -> None:
    gone = {"id": "a", "name": "Mine", "state": "DELETED"}
    server.follow(
        says({"items": [gone, {"id": "b", "name": "mine"}]}), says({"items": [gone]}), status(404), says({"items": []})
    )
    flows = FlowService(server.client())

    assert flows.named("connections", "Mine") == []
    assert [flows.one("connections", "a/b") for _ in range(3)] == [None] * 3
    assert server.asked[1].raw_path == f"{ROOT}/connections/a%2Fb"
