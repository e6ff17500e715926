"""`capillary-adobe delivery`: what it says, and where else the pause is shown."""

from __future__ import annotations

import json
from pathlib import Path

from capillary_adobe_tests.cli.conftest import Call, storage

WORDS = "elivery is paused since"


def test_delivery_is_paused_shown_and_resumed(call: Call, place: Path) -> None:
    settings = storage(place)
    assert call("delivery", "show", **settings).stdout == "Delivery goes on.\n"
    paused = call("delivery", "pause", "--reason", "a new sandbox", **settings)
    assert (paused.exit_code, paused.stdout.startswith("Delivery is paused.")) == (0, True)
    shown = call("delivery", "show", **settings).stdout
    assert shown.startswith(f"D{WORDS}")
    assert shown.endswith("(a new sandbox); 0 micro-batches wait.\n")
    told = json.loads(call("delivery", "show", "--json", **settings).stdout)
    assert (told["paused"], told["reason"], told["held_micro_batches"]) == (True, "a new sandbox", 0)

    assert call("status", **settings).stdout.startswith(f"Note: d{WORDS}")
    assert json.loads(call("status", "--json", **settings).stdout) == []
    for command in (("deliver", "--day", "2026-11-19"),):
        refused = call(*command, **settings)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("Error: This command sends nothing now: delivery is paused since")
        assert "capillary-adobe delivery resume" in refused.stderr

    resumed = call("delivery", "resume", **settings)
    assert resumed.stdout == "Delivery goes on; landing_sensor asks again for 0 micro-batches.\n"
    assert call("delivery", "resume", **settings).stdout == "Nothing changed: delivery is not paused.\n"
    assert WORDS not in call("status", **settings).stdout


def test_a_reason_that_is_a_story_is_refused(call: Call, place: Path) -> None:
    refused = call("delivery", "pause", "--reason", "x" * 201, **storage(place))
    assert refused.exit_code == 2
    assert "--reason is too long: give at most 200 letters." in refused.stderr
