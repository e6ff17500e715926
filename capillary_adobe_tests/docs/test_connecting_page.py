"""docs/connecting.md: its first event goes through, and what it has one write into `.env` is taken.

Belongs here: the page's examples. Does not belong here: its commands and links (`test_commands.py`).
"""

from __future__ import annotations

import orjson
import pytest

from capillary_adobe.settings import every_class, load_partly, variable
from capillary_adobe_tests.docs.pages import blocks, page
from capillary_adobe_tests.docs.test_mapping_page import entity_of

PAGE = page("connecting.md")
WRITTEN = dict(
    line.strip().split("=", 1) for block in blocks(PAGE, "ini") for line in block.splitlines() if "=..." not in line
)


def test_the_first_event_becomes_an_entity_without_a_fault() -> None:
    [text] = blocks(PAGE, "json")

    entity = entity_of(orjson.loads(text))

    assert entity["eventType"] == "loyalty.pointsIssued"
    assert [one["id"] for one in entity["identityMap"]["capillaryCustomerId"]] == ["999000001"]


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.__name__)
def test_what_one_writes_is_taken(cls: type) -> None:
    values = {name: WRITTEN[variable(cls, name)] for name in cls.model_fields if variable(cls, name) in WRITTEN}

    load_partly(cls, values)


def test_the_page_has_one_write_what_delivery_needs() -> None:
    text = "\n".join(blocks(PAGE, "ini"))

    for name in ("LANDING_URL", "LAKE_URL", "STATE_URL", "RECEIVE_SECRET", "ADOBE_ORG_ID", "ADOBE_CLIENT_SECRET"):
        assert f"{name}=" in text
