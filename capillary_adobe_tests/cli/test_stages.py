"""`capillary-adobe mapping stages`, `publish`, `pause` and `resume`: what an operator reads, and exit codes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import Result

from capillary_adobe.mapping_in_force import in_force
from capillary_adobe.settings import MappingSettings
from capillary_adobe.state import Evidence, RuleEvidence, State
from capillary_adobe_tests.cli.conftest import Call, storage
from capillary_adobe_tests.defs.rule_stages import EVENTS_FILE, POINTS, RULES_FILE, STAMPS


class Operator:
    """An operator with a mapping folder."""

    def __init__(self, call: Call, place: Path) -> None:
        self._call = call
        self.folder = place / "mapping"
        self.folder.mkdir()
        (self.folder / "events.yaml").write_text(EVENTS_FILE, "utf-8")
        (self.folder / "rules.yaml").write_text(RULES_FILE, "utf-8")
        self._settings = storage(place) | {"MAPPING_PATH": str(self.folder), "ADOBE_TENANT_ID": "acme"}

    def __call__(self, *arguments: str) -> Result:
        return self._call("mapping", *arguments, **self._settings)

    def tested(self, event: str, events: int, failed: int = 0) -> None:
        state = State(self._settings["STATE_URL"])
        mark = in_force(state, MappingSettings(path=str(self.folder))).tried[event]
        causes = Counter({"wrong_type /_acme/shoeSize (rules.yaml:3)": failed} if failed else {})
        RuleEvidence(state).record("2026-11-19", None, {(event, mark): Evidence(events, failed, causes)})
        state.engine.dispose()


@pytest.fixture
def operator(call: Call, place: Path) -> Operator:
    return Operator(call, place)


def test_stages_list_drafts_beside_what_counts(operator: Operator) -> None:
    operator.tested(POINTS, 12, 2)
    lines = operator("stages").output.splitlines()
    rows = [line.split() for line in lines if line.startswith((POINTS, STAMPS))]
    assert [row[:2] for row in rows[:3]] == [[POINTS, "live"], [POINTS, "draft"], [STAMPS, "draft"]]
    assert rows[1][3:5] == ["12", "2"]
    assert lines[-1] == f"{POINTS} fails: wrong_type /_acme/shoeSize (rules.yaml:3), 2 times"
    found = {(one["event"], one["stage"]): one for one in json.loads(operator("stages", "--json").output)}
    draft = found[POINTS, "draft"]
    assert (draft["tested"], draft["failed"], draft["held"]) == (12, 2, 0)
    assert draft["causes"] == {"wrong_type /_acme/shoeSize (rules.yaml:3)": 2}
    assert draft["fingerprint"] != found[POINTS, "live"]["fingerprint"]
    assert found["tierUpgraded", "live"]["since_ms"] == 0


def test_a_draft_goes_live_when_it_was_tested_and_only_then(operator: Operator) -> None:
    refused = operator("publish", STAMPS)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "tested on 0 real events, and needs 10" in refused.output
    operator.tested(STAMPS, 10)
    done = operator("publish", STAMPS)
    assert (done.exit_code, done.output.startswith(f"{STAMPS} is live, rule ")) == (0, True)
    assert "Nothing of it was held" in done.output


def test_one_that_cannot_go_live_does_not_keep_the_others_from_it(operator: Operator) -> None:
    operator.tested(POINTS, 10)
    done = operator("publish", STAMPS, POINTS)
    assert done.exit_code == 1
    assert f"{POINTS} is live" in done.output
    assert "tested on 0 real events" in done.output
    assert operator("stages", "--json").exit_code == 0


def test_pausing_and_resuming_for_programs(operator: Operator) -> None:
    paused = json.loads(operator("pause", POINTS, "--json").output)
    assert (paused["event"], paused["stage"], paused["entities_by_day"]) == (POINTS, "paused", {})
    assert "paused" in operator("stages").output
    resumed = json.loads(operator("resume", POINTS, "--json").output)
    assert (resumed["stage"], resumed["fingerprint"]) == ("live", paused["fingerprint"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resume", POINTS), "is not paused"),
        (("pause", STAMPS), "is a draft"),
        (("pause", "pointsIsued"), "Did you mean pointsIssued?"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(operator: Operator, arguments: tuple[str, ...], words: str) -> None:
    found = operator(*arguments)
    assert (found.exit_code, found.output.count("\n")) == (1, 1)
    assert words in found.output


def test_a_broken_folder_is_told_and_the_rest_is_listed(operator: Operator) -> None:
    (operator.folder / "rules.yaml").write_text("pointsIssued: [", "utf-8")
    found = operator("stages")
    assert found.exit_code == 0
    assert "rules.yaml" in found.stderr
    assert "tierUpgraded" in found.stdout
    assert "rules.yaml" in operator("publish", POINTS).output
