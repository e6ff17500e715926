"""The client of the Catalog's datasets: lists of more than one page, and the form of a change."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from capillary_adobe.adobe.datasets import Datasets
from capillary_adobe_tests.adobe.platform_server import ScriptedPlatform, says

ROOT = "/data/foundation/catalog/dataSets"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedPlatform]:
    with ScriptedPlatform() as running:
        yield running


def test_a_list_is_read_to_its_last_page(server: ScriptedPlatform) -> None:
    full = {f"d{number}": {"name": "Another"} for number in range(100)}
    ours = {"name": "Mine", "schemaRef": {"id": "s"}, "tags": {"unifiedProfile": ["enabled: true"]}}
    server.follow(says(full), says({"ours": ours}))

    (found,) = Datasets(server.client()).named("Mine")

    assert (found.id, found.schema_id, found.in_profile) == ("ours", "s", True)
    assert [(one.query["name"], one.query["limit"], one.query["start"]) for one in server.asked] == [
        ("Mine", "100", "0"),
        ("Mine", "100", "100"),
    ]


def test_profile_is_enabled_by_a_json_patch(server: ScriptedPlatform) -> None:
    server.follow(says(["@/dataSets/d"]))

    Datasets(server.client()).put_in_profile("d")

    (asked,) = server.asked
    assert (asked.method, asked.raw_path) == ("PATCH", f"{ROOT}/d")
    assert asked.headers["content-type"] == "application/json-patch+json"
    assert orjson.loads(asked.body) == [
        {"op": "add", "path": f"/tags/{tag}", "value": ["enabled:true"]}
        for tag in ("unifiedProfile", "unifiedIdentity")
    ]
