"""The register of rule stages and of what drafts were tested on."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from capillary_adobe.state import Evidence, RuleEvidence, RuleStages, Stage, StagedRule, State, StateError
from capillary_adobe.state.rule_stages import mapping_snapshots
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY

FILES = {"mine.yaml": "a: 1\n", "events.yaml": "ü: {}\n"}
DRAFT = ("stampCollected", "f1")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def register(state: State, clock: Clock) -> RuleStages:
    return RuleStages(state, clock)


def snapshots(state: State) -> int:
    with state.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(mapping_snapshots)).scalar_one())


def found(tested: int, failed: int = 0, **causes: int) -> Evidence:
    return Evidence(tested, failed, Counter(causes))


def test_a_published_rule_keeps_its_files(register: RuleStages) -> None:
    assert register.all() == {}
    register.put("pointsIssued", "f1", Stage.LIVE, FILES)
    register.put("tierUpgraded", "f2", Stage.PAUSED, None)
    assert register.all() == {
        "pointsIssued": StagedRule("pointsIssued", "f1", Stage.LIVE, 1_000_000, FILES),
        "tierUpgraded": StagedRule("tierUpgraded", "f2", Stage.PAUSED, 1_000_000, None),
    }


def test_pausing_the_packages_rule_leaves_one_that_was_published_meanwhile(register: RuleStages) -> None:
    register.put("pointsIssued", "f2", Stage.LIVE, FILES)
    register.put("pointsIssued", "f1", Stage.PAUSED, None)
    assert register.all()["pointsIssued"] == StagedRule("pointsIssued", "f2", Stage.PAUSED, 1_000_000, FILES)


def test_a_move_keeps_rule_and_files_and_tells_when(register: RuleStages, clock: Clock) -> None:
    register.put("pointsIssued", "f1", Stage.LIVE, FILES)
    clock.now = 2000.0
    assert register.move("pointsIssued", Stage.PAUSED)
    assert register.all()["pointsIssued"] == StagedRule("pointsIssued", "f1", Stage.PAUSED, 2_000_000, FILES)
    assert not register.move("tierUpgraded", Stage.PAUSED)
    register.remove("pointsIssued")
    assert register.all() == {}


def test_the_same_files_are_stored_once(register: RuleStages, state: State) -> None:
    register.put("pointsIssued", "f1", Stage.LIVE, FILES)
    register.put("tierUpgraded", "f2", Stage.LIVE, dict(reversed(FILES.items())))
    assert snapshots(state) == 1


def test_the_last_folder_is_the_one_seen_last(register: RuleStages, state: State, clock: Clock) -> None:
    other = {"mine.yaml": "a: 2\n"}
    assert register.last_folder() is None
    for folder in (FILES, other, FILES):
        # A clock that stands still, or goes back, must not mix them up.
        clock.now -= 1
        register.note_folder(folder)
        assert register.last_folder() == folder
    assert snapshots(state) == 1


def test_a_folder_that_a_rule_was_published_from_stays(register: RuleStages, state: State) -> None:
    register.put("pointsIssued", "f1", Stage.LIVE, FILES)
    for text in ("a: 2\n", "a: 3\n"):
        register.note_folder({"mine.yaml": text})
    assert snapshots(state) == 2
    assert register.all()["pointsIssued"].files == FILES


def test_a_rule_whose_files_are_gone_does_not_pass_for_the_packages_own(register: RuleStages, state: State) -> None:
    register.put("pointsIssued", "f1", Stage.LIVE, FILES)
    with state.begin() as connection:
        connection.execute(sa.delete(mapping_snapshots))
    with pytest.raises(StateError, match=r"pointsIssued.*backup"):
        register.all()


def test_evidence_adds_up_over_days_and_micro_batches(state: State, clock: Clock) -> None:
    register = RuleEvidence(state, clock)
    register.record(DAY, "live-1", {DRAFT: found(3)})
    clock.now = 2000.0
    register.record(DAY, "live-2", {DRAFT: found(2, 1, wrong_type=1)})
    register.record(NEXT_DAY, None, {DRAFT: found(4, 2, wrong_type=1, field_missing=1)})
    evidence = register.of(*DRAFT)
    assert (evidence.tested, evidence.failed, evidence.since_ms) == (9, 3, 1_000_000)
    assert evidence.causes == {"wrong_type": 2, "field_missing": 1}
    assert evidence.failed_on == [DAY, NEXT_DAY]
    assert register.of("stampCollected", "another").tested == 0


def test_what_is_made_again_replaces_what_it_told(state: State) -> None:
    register = RuleEvidence(state)
    register.record(DAY, "live-1", {DRAFT: found(3, 3, wrong_type=3)})
    register.record(DAY, "live-2", {DRAFT: found(2)})
    register.record(DAY, "live-1", {DRAFT: found(3)})
    assert register.of(*DRAFT) == found_since(register, 5)
    register.record(DAY, None, {DRAFT: found(5)})
    assert register.of(*DRAFT).tested == 5
    # Its objects belong to the whole day now, so that the micro-batch finds nothing.
    register.record(DAY, "live-1", {DRAFT: found(0)})
    assert register.of(*DRAFT).tested == 5
    register.record(DAY, None, {DRAFT: found(0)})
    assert register.of(*DRAFT).tested == 0


def found_since(register: RuleEvidence, tested: int) -> Evidence:
    return Evidence(tested, 0, Counter(), register.of(*DRAFT).since_ms)


def test_a_few_causes_are_kept() -> None:
    evidence = Evidence()
    for number in range(20):
        evidence.note(f"cause {number % 10}")
    evidence.note(None)
    assert (evidence.tested, evidence.failed) == (21, 20)
    assert evidence.causes == {f"cause {number}": 2 for number in range(5)}
