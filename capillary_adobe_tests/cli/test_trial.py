"""`capillary-adobe mapping test` and `mapping diff`: what is printed, and the exit codes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from capillary_adobe.cli import main
from capillary_adobe.mapping_in_force import mark_of
from capillary_adobe.state import RuleStages, Stage, State
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe_tests.capillary.events import event
from capillary_adobe_tests.cli.conftest import Call, DeliveredDay, storage

OWN = "pointsIssued:\n  fields:\n    _tenant.shoeSize: {from: size, as: integer}\n"
BAD = "pointsIssued:\n  fields:\n    commerce.order.currencyCode: {from: size}\n"


@pytest.fixture
def payload(place: Path) -> Path:
    file = place / "payload.json"
    file.write_text(
        json.dumps(event("pointsIssued", {"size": "43", "totalPointsIssued": 5, "colour": "red"}), indent=1)
    )
    return file


def folder(place: Path, text: str) -> str:
    made = place / "mapping"
    made.mkdir(exist_ok=True)
    (made / "own.yaml").write_text(text)
    return str(made)


def test_a_payload_is_shown_side_by_side(
    call: Call, place: Path, payload: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = call("mapping", "test", str(payload), "--path", folder(place, OWN), **storage(place))
    assert answer.exit_code == 0, answer.output
    rows = [" ".join(row.split()) for row in answer.stdout.splitlines()]
    assert 'size "43" /_tenant/shoeSize (own.yaml:3) 43' in rows
    assert 'colour "red" dropped: no rule uses it' in rows
    assert "No ADOBE_TENANT_ID is known here" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "1 mapped"
    assert "red" not in caplog.text
    assert not (place / "state.db").exists(), "a trial makes no database"
    assert not (place / "lake").exists()


def test_what_is_overwritten_is_absent(call: Call, place: Path, payload: Path) -> None:
    own = OWN + "    _acme.colour: {from: colour}\n"
    answer = call(
        "mapping", "test", str(payload), "--path", folder(place, own), ADOBE_TENANT_ID="acme", **storage(place)
    )
    rows = [" ".join(row.split()) for row in answer.stdout.splitlines()]
    assert 'colour "red" /_acme/colour (own.yaml:4) absent' in rows


def test_what_fails_ends_with_exit_code_1(call: Call, place: Path, payload: Path) -> None:
    answer = call(
        "mapping", "test", str(payload), ADOBE_TENANT_ID="acme", MAPPING_PATH=folder(place, BAD), **storage(place)
    )
    assert answer.exit_code == 1
    assert "AEP would refuse it: /commerce/order/currencyCode [pattern, pattern, string]" in answer.stdout
    assert "(rule own.yaml:3)" in answer.stdout
    assert "/_acme/capillary/points/total" in answer.stdout


def test_records_from_the_input_for_programs(place: Path) -> None:
    lines = "\n".join(json.dumps(one) for one in (event("pointsIssued", {"a": 1}), {"x": 1}, event("groupCreated", {})))
    answer = CliRunner().invoke(main, ["mapping", "test", "-", "--json"], input=lines, env=storage(place))
    assert answer.exit_code == 1
    listed = json.loads(answer.stdout)
    assert [one["outcome"] for one in listed] == ["mapped", "quarantined", "ignored"]
    assert listed[0]["entity"]["eventType"] == "loyalty.pointsIssued"
    assert {"path": "a", "value": 1, "went": [], "why": "no rule uses it"} in listed[0]["sources"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.json"], "nowhere.json cannot be read (No such file or directory)."),
        (["payload.json", "--path", "nowhere"], "The mapping folder nowhere does not exist."),
        (["payload.json", "--schema", "nowhere"], "nowhere cannot be read"),
    ],
)
def test_what_is_not_there_is_told_plainly(
    call: Call, place: Path, payload: Path, arguments: list[str], words: str
) -> None:
    assert payload.exists()
    answer = call("mapping", "test", *arguments, **storage(place))
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"Error: {words}")
    assert len(answer.stderr.splitlines()) == 1


def test_an_empty_file_is_said_to_be_empty(call: Call, place: Path) -> None:
    (place / "empty").write_text("")
    answer = call("mapping", "test", "empty", **storage(place))
    assert (answer.exit_code, answer.stdout.splitlines()[-1]) == (0, "There is no record in it.")


def test_a_change_is_tried_on_real_events(call: Call, delivered: DeliveredDay, place: Path) -> None:
    text = "pointsIssued:\n  fields:\n    _tenant.pointsAgain: {from: totalPointsIssued, as: number, unit: points}\n"
    settings = {**delivered.settings, "MAPPING_PATH": folder(place, text)}
    answer = call("mapping", "diff", "--sample", "20", "--json", **settings)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert (found["from"], found["events"]) == ("live", 20)
    assert found["rules"] == [
        {"event": "pointsIssued", "target": "_tenant.pointsAgain", "change": "added", "rule": "own.yaml:3"}
    ]
    [field] = found["fields"]
    assert field["added"] == found["differing"] > 0
    assert field["example"] in ("absent → integer", "absent → number")


def test_a_change_that_fails_is_told_and_shows_no_value_unasked(
    call: Call, delivered: DeliveredDay, place: Path
) -> None:
    text = "customerAdded:\n  fields:\n    commerce.order.currencyCode: {from: firstName}\n"
    day = delivered.day.isoformat()
    hidden = call("mapping", "diff", "shipped", folder(place, text), "--day", day, **delivered.settings)
    assert hidden.exit_code == 1
    assert "Newly failing:" in hidden.stdout
    assert "wrong_pattern at /commerce/order/currencyCode" in hidden.stdout
    assert "absent → string" in hidden.stdout
    shown = call("mapping", "diff", "shipped", folder(place, text), "--day", day, "--show-values", **delivered.settings)
    assert 'absent → "' in shown.stdout
    back = call("mapping", "diff", folder(place, text), "shipped", "--day", day, **delivered.settings)
    assert back.exit_code == 0
    assert "Newly passing:" in back.stdout


def test_nothing_is_written_by_a_comparison(call: Call, delivered: DeliveredDay, place: Path) -> None:
    database = Path(delivered.settings["STATE_URL"].removeprefix("sqlite:///"))
    settings = {**delivered.settings, "MAPPING_PATH": folder(place, OWN)}
    before = database.read_bytes(), State(settings["STATE_URL"]).look(2)
    assert call("mapping", "diff", **settings).exit_code == 0
    assert (database.read_bytes(), State(settings["STATE_URL"]).look(2)) == before


def test_payloads_of_a_file_are_compared_without_a_lake(call: Call, place: Path, payload: Path) -> None:
    answer = call("mapping", "diff", "shipped", folder(place, OWN), "--file", str(payload), **storage(place))
    assert answer.exit_code == 0
    assert "Tried on 1 events (the events of" in answer.stdout
    assert "/_tenant/shoeSize" in answer.stdout
    same = call("mapping", "diff", "shipped", "shipped", "--file", str(payload), **storage(place))
    assert "The rules are the same." in same.stdout
    assert not list(place.glob("lake*"))


def test_live_is_what_was_published(call: Call, place: Path, payload: Path) -> None:
    settings = {**storage(place), "MAPPING_PATH": folder(place, OWN)}
    mapping = with_tenant({"own.yaml": OWN})
    stages = RuleStages(State(settings["STATE_URL"]))
    stages.put("pointsIssued", mark_of(mapping, "pointsIssued"), Stage.LIVE, mapping.files)
    assert "The rules are the same." in call("mapping", "diff", "--file", str(payload), **settings).stdout
    answer = call("mapping", "diff", "live", "shipped", "--file", str(payload), "--json", **settings)
    assert [(one["target"], one["change"]) for one in json.loads(answer.stdout)["rules"]] == [
        ("_tenant.shoeSize", "removed")
    ]
    assert [one["removed"] for one in json.loads(answer.stdout)["fields"]] == [1]


def test_comparisons_that_mean_nothing(call: Call, place: Path, delivered: DeliveredDay) -> None:
    answer = call("mapping", "diff", **storage(place))
    assert answer.stderr.strip() == "Error: Nothing to compare with: name two mappings, or set MAPPING_PATH."
    answer = call("mapping", "diff", "shipped", folder(place, OWN), "--day", "2020-01-01", **delivered.settings)
    assert "The lake holds no enriched events of 2020-01-01." in answer.stderr
    assert call("mapping", "diff", "shipped", "live", "x", **storage(place)).exit_code == 2
    empty = call("mapping", "diff", "shipped", folder(place, OWN), **storage(place))
    assert (empty.exit_code, "the lake holds none" in empty.stdout) == (0, True)
