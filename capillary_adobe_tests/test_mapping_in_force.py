"""The mapping in force: every way through the stages of rules, and folders and snapshots that cannot be used."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.adobe.hold import HELD, ORPHANED, OUTDATED
from capillary_adobe.lake import Lake
from capillary_adobe.life_cycle import Action, LifeCycle, LifeCycleError
from capillary_adobe.mapping_in_force import InForce, in_force, mark_of, with_files
from capillary_adobe.settings import MappingSettings
from capillary_adobe.state import Evidence, RuleEvidence, RuleStages, Stage, State
from capillary_adobe.xdm.language.mapping_files import shipped
from capillary_adobe.xdm.language.rule_model import GENERIC, MappingError
from capillary_adobe_tests.examples import examples

POINTS, STAMPS = "pointsIssued", "stampCollected"
EVENTS = "loyalty:\n  stampCollected: {person: customerIdentifiers}\n"
ENOUGH = 10


def rule(event: str, variant: int) -> str:
    """One of several rules of an event, as a file has it."""
    fields = f"  fields: {{_tenant.capillary.trigger.name: {{value: rule {variant}}}}}\n"
    return f"{event}:\n{fields}" if event == POINTS else f"{event}:\n  event_type: loyalty.stampCollected\n{fields}"


def folder_of(written: dict[str, int]) -> dict[str, str]:
    """The texts of a folder in which events have these rules."""
    return {"events.yaml": EVENTS} | {f"{event}.yaml": rule(event, variant) for event, variant in written.items()}


def put(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


@dataclass
class Place:
    """A mapping folder with a state database, and an operator at work."""

    root: Path
    settings: MappingSettings = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.root / "mapping"
        self.state = State(f"sqlite:///{self.root / 'state.db'}")
        self.settings = MappingSettings(path=str(self.folder), publish_after_events=ENOUGH)
        self.cycle = LifeCycle(self.state, Lake(str(self.root / "lake")), self.settings)

    @property
    def force(self) -> InForce:
        return in_force(self.state, self.settings)

    def write(self, **written: int) -> None:
        put(self.folder, folder_of(written))

    def test(self, event: str, events: int = ENOUGH, failed: int = 0) -> None:
        """Note that the draft of an event was tested so."""
        mark = self.force.tried[event]
        evidence = Evidence(events, failed, Counter({"wrong_type /a (mine.yaml:3)": failed} if failed else {}))
        RuleEvidence(self.state).record("2026-11-19", None, {(event, mark): evidence})

    def publish(self, event: str) -> None:
        self.test(event)
        self.cycle.publish(event)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("ADOBE_TENANT_ID", "acme")
    return Place(tmp_path)


# What an operator may do, and a model of what it should lead to.

Taken = tuple[str, str, int | None]
either = st.sampled_from([POINTS, STAMPS])
variants = st.sampled_from([None, 0, 1, 2])
single = st.one_of(
    st.tuples(st.just("write"), either, variants),
    st.tuples(st.sampled_from(["test", "publish", "pause", "resume"]), either, st.just(None)),
    st.tuples(st.sampled_from(["break", "mend"]), st.just(""), st.just(None)),
).map(lambda step: [step])
# By single steps alone few rules would come to be live.
going_live = st.tuples(either, variants).map(
    lambda pair: [("write", *pair), ("test", pair[0], None), ("publish", pair[0], None)]
)
ways = st.lists(single | going_live, max_size=8).map(lambda lists: [step for steps in lists for step in steps])
SHIPPED = -1


@dataclass
class Model:
    """Rules by number, `SHIPPED` for the package's own."""

    written: dict[str, int] = field(default_factory=dict)
    usable: dict[str, int] = field(default_factory=dict)
    """What was written last before the folder broke."""
    live: dict[str, int] = field(default_factory=lambda: {POINTS: SHIPPED})
    paused: set[str] = field(default_factory=set)
    tested: set[tuple[str, int]] = field(default_factory=set)
    broken: bool = False

    def of_folder(self, event: str) -> int | None:
        return self.written.get(event, SHIPPED if event == POINTS else None)

    def draft(self, event: str) -> int | None:
        found = self.of_folder(event)
        return None if found == self.live.get(event) else found

    def can(self, action: str, event: str) -> bool:
        match action:
            case "publish" if self.broken:
                return False
            case "publish" if self.of_folder(event) is None:
                return event in self.live
            case "publish":
                draft = self.draft(event)
                return draft is not None and (event, draft) in self.tested
            case "pause":
                return event in self.live and event not in self.paused
            case "resume":
                return event in self.paused
        return True

    def done(self, action: str, event: str) -> None:
        found = self.of_folder(event)
        if action == "publish" and found is None:
            del self.live[event]
            self.paused.discard(event)
        elif action == "publish" and found is not None:
            self.live[event] = found
            self.paused.discard(event)
        elif action == "pause":
            self.paused.add(event)
        elif action == "resume":
            self.paused.discard(event)


def marks() -> dict[tuple[str, int], str]:
    """The fingerprint of each rule."""
    found = {(POINTS, SHIPPED): mark_of(shipped(), POINTS)}
    for variant in range(3):
        mapping = with_files(folder_of({POINTS: variant, STAMPS: variant}))
        found |= {(event, variant): mark_of(mapping, event) for event in (POINTS, STAMPS)}
    return found


def demand_same(force: InForce, model: Model, known: dict[tuple[str, int], str]) -> None:
    for event in (POINTS, STAMPS):
        live, draft = model.live.get(event), model.draft(event)
        made_by = draft if live is None else live
        if made_by is None:
            assert event not in force.rules
            continue
        waits = Stage.DRAFT if live is None else Stage.PAUSED if event in model.paused else None
        assert force.made_by(event) == (known[event, made_by], live is None)
        assert force.held.get(event) is waits
        assert (event in force.drafts) == (live is not None and draft is not None)
        assert force.tried.get(event) == (None if draft is None else known[event, draft])
        # Nothing is sent but what the rule that counts has made.
        for variant in [*range(3), *([SHIPPED] if event == POINTS else [])]:
            for made_as_draft in (True, False):
                sent = force.hold.why(event, known[event, variant], made_as_draft) is None
                of_package_alone = event not in force.stages and not made_as_draft
                assert sent == (waits is None and not made_as_draft and (variant == live or of_package_alone))


@settings(max_examples=examples(15), deadline=None)
@given(taken=ways)
def test_every_way_through_the_stages_leads_where_it_should(taken: list[Taken]) -> None:
    known = marks()
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as environment:
        environment.setenv("ADOBE_TENANT_ID", "acme")
        place, model = Place(Path(root)), Model()
        place.write()
        demand_same(place.force, model, known)
        for action, event, variant in taken:
            match action:
                case "write":
                    model.written = {name: n for name, n in model.written.items() if name != event}
                    model.written |= {} if variant is None else {event: variant}
                case "test":
                    draft = model.draft(event)
                    if draft is not None and not model.broken:
                        place.test(event)
                        model.tested.add((event, draft))
                case "break" | "mend":
                    model.broken = action == "break"
                case "pause" if event not in model.live and event not in model.usable:
                    # An event by the generic rule; it has a test of its own.
                    continue
                case _ if model.can(action, event):
                    place.cycle.change(event, action)  # pyright: ignore[reportArgumentType] - one of the three
                    model.done(action, event)
                case _:
                    with pytest.raises(MappingError):
                        place.cycle.change(event, action)  # pyright: ignore[reportArgumentType] - as above
            if model.broken:
                # What was written last stays in force, and what is written on top of it is unknown.
                (place.folder / "broken.yaml").write_text("a: [", "utf-8")
                assert "broken.yaml" in place.force.problems[0]
            else:
                put(place.folder, folder_of(model.written))
                model.usable = model.written
                demand_same(place.force, model, known)
        place.state.engine.dispose()


# Folders and snapshots that cannot be used.


def test_a_folder_that_breaks_changes_nothing_of_what_is_in_force(place: Place) -> None:
    place.write(stampCollected=1, pointsIssued=1)
    before = place.force
    (place.folder / "stampCollected.yaml").write_text("stampCollected: [", "utf-8")
    after = place.force
    assert (after.rules, after.held, after.drafts) == (before.rules, before.held, before.drafts)
    assert after.catalogue.find(STAMPS) is not None
    assert "stampCollected.yaml" in after.problems[0]
    with pytest.raises(MappingError, match=r"stampCollected\.yaml"):
        place.cycle.publish(STAMPS)


def test_a_folder_that_vanishes_changes_nothing_either(place: Place) -> None:
    place.write(stampCollected=1)
    place.publish(STAMPS)
    place.write(stampCollected=2, pointsIssued=1)
    before = place.force
    put(place.folder, {})
    place.folder.rmdir()
    after = place.force
    assert (after.rules, after.held, after.drafts) == (before.rules, before.held, before.drafts)
    assert "MAPPING_PATH" in after.problems[0]


def test_a_folder_that_was_never_usable_leaves_the_shipped_mapping(place: Place) -> None:
    put(place.folder, {"mine.yaml": "pointsIssued: 1\n"})
    force = place.force
    assert (force.rules, force.drafts, force.held) == (shipped().rules, {}, {})
    assert "mine.yaml" in force.problems[0]


def test_without_a_folder_what_is_published_goes_on(place: Place) -> None:
    place.write(stampCollected=1, pointsIssued=1)
    place.publish(STAMPS)
    alone = in_force(place.state, MappingSettings(path=None))
    assert STAMPS in alone.rules
    assert (alone.drafts, alone.held, alone.problems) == ({}, {}, ())
    assert alone.rules[POINTS] == shipped().rules[POINTS]
    with pytest.raises(LifeCycleError, match="MAPPING_PATH is not set"):
        LifeCycle(place.state, Lake(str(place.root / "lake")), MappingSettings(path=None)).publish(POINTS)


def test_fields_that_cannot_be_one_schema_make_the_folder_unusable(place: Place) -> None:
    clash = "tierUpgraded: {fields: {_tenant.size: {from: x, as: number}}}\n"
    put(
        place.folder, {"events.yaml": EVENTS, "a.yaml": f"{POINTS}: {{fields: {{_tenant.size: {{from: x}}}}}}\n{clash}"}
    )
    assert "a.yaml" in place.force.problems[0]
    assert place.force.drafts == {}


def test_a_published_rule_that_this_version_cannot_read_is_held_not_dropped(place: Place) -> None:
    place.write(stampCollected=1)
    RuleStages(place.state).put(STAMPS, "gone", Stage.LIVE, {"mine.yaml": "stampCollected: {of_old: true}\n"})
    force = place.force
    assert force.held == {STAMPS: Stage.DRAFT}
    assert f"published rule of {STAMPS} does not fit this version" in force.problems[0]
    place.publish(STAMPS)
    assert (place.force.held, place.force.problems) == ({}, ())


def test_one_that_nothing_can_stand_in_for_stops_with_the_cure(place: Place) -> None:
    place.write()
    RuleStages(place.state).put(STAMPS, "gone", Stage.LIVE, {"mine.yaml": "stampCollected: {of_old: true}\n"})
    with pytest.raises(MappingError, match=f"published rule of {STAMPS}.*publish {STAMPS} again"):
        _ = place.force


# Publishing, and what stands against it.


def test_a_draft_needs_enough_events_without_failure(place: Place) -> None:
    place.write(pointsIssued=1)
    with pytest.raises(LifeCycleError, match="tested on 0 real events, and needs 10"):
        place.cycle.publish(POINTS)
    place.test(POINTS, events=100, failed=2)
    with pytest.raises(
        LifeCycleError, match=r"failed on 2 of 100 real events \(wrong_type /a \(mine.yaml:3\): 2\).*2026-11-19"
    ):
        place.cycle.publish(POINTS)
    # A changed draft is another one, with evidence of its own.
    place.write(pointsIssued=2)
    with pytest.raises(LifeCycleError, match="tested on 0 real events"):
        place.cycle.publish(POINTS)
    place.publish(POINTS)
    assert place.force.drafts == {}


def test_a_draft_in_which_the_check_finds_an_error_is_refused(place: Place) -> None:
    unknown = f"{POINTS}: {{fields: {{_tenant.size: {{from: noSuchField, as: number}}}}}}\n"
    put(place.folder, {"events.yaml": EVENTS, "mine.yaml": unknown})
    place.test(POINTS)
    with pytest.raises(LifeCycleError, match=r"(?s)errors in the draft of pointsIssued.*mine\.yaml:1.*noSuchField"):
        place.cycle.publish(POINTS)


def test_what_cannot_be_changed_is_told_in_one_sentence(place: Place) -> None:
    place.write(stampCollected=1)
    refused: list[tuple[Action, str, str]] = [
        ("publish", POINTS, "no draft of pointsIssued"),
        ("pause", STAMPS, "is a draft: nothing of it is sent"),
        ("resume", POINTS, "pointsIssued is not paused"),
        ("pause", "pointsIsued", "Did you mean pointsIssued"),
        ("publish", "giftVoucherIssued", "no event type giftVoucherIssued"),
        ("publish", "rewardIssued", "no rule of rewardIssued"),
    ]
    for action, event, words in refused:
        with pytest.raises(LifeCycleError, match=words):
            place.cycle.change(event, action)
    place.cycle.pause(POINTS)
    with pytest.raises(LifeCycleError, match="paused already"):
        place.cycle.pause("POINTSISSUED")
    with pytest.raises(LifeCycleError, match="mapping resume pointsIssued"):
        place.cycle.publish(POINTS)


def test_an_event_of_the_generic_rule_can_be_paused_alone(place: Place) -> None:
    place.write()
    place.cycle.pause("rewardIssued")
    hold = place.force.hold
    mark = place.force.made_by("rewardIssued")[0]
    assert (hold.why("rewardIssued", mark, False) or "").startswith(HELD)
    assert hold.why("requestUpdated", mark, False) is None
    assert ("rewardIssued", "paused") in {(one.event, one.stage) for one in place.cycle.standings()[0]}
    place.cycle.resume("rewardIssued")
    assert place.force.hold.why("rewardIssued", mark, False) is None


def test_what_a_draft_made_is_never_sent(place: Place) -> None:
    place.write(stampCollected=1)
    mark = place.force.fingerprints[STAMPS]
    place.publish(STAMPS)
    assert place.force.hold.why(STAMPS, mark, True) is OUTDATED
    assert place.force.hold.why(STAMPS, mark, False) is None
    place.write()
    place.cycle.publish(STAMPS)
    assert place.force.hold.why(STAMPS, mark, True) is ORPHANED


def test_a_draft_beside_the_generic_rule_leaves_it_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "rewardIssued:\n  event_type: loyalty.rewardIssued\n  use: [envelope]\n"
    put(place.folder, {"mine.yaml": own})
    assert place.force.held == {"rewardIssued": Stage.DRAFT}
    monkeypatch.setenv("CAPILLARY_DELIVER_OTHER_EVENTS", "true")
    force = place.force
    assert (force.held, set(force.drafts)) == ({}, {"rewardIssued"})
    assert force.made_by("rewardIssued") == force.made_by("requestUpdated")
    place.publish("rewardIssued")
    assert place.force.made_by("rewardIssued") != force.made_by("rewardIssued")
    assert place.force.hold.why("rewardIssued", force.made_by("requestUpdated")[0], False) is OUTDATED


def test_the_generic_rule_has_a_life_cycle_too(place: Place) -> None:
    own = '"*":\n  fields: {_tenant.capillary.trigger.name: {value: own}}\n'
    put(place.folder, {"mine.yaml": own})
    before = place.force.made_by("rewardIssued")[0]
    assert (before, set(place.force.drafts)) == (mark_of(shipped(), GENERIC), {GENERIC})
    place.publish(GENERIC)
    force = place.force
    assert (force.drafts, force.made_by("rewardIssued")[0] != before) == ({}, True)
    assert force.hold.why("rewardIssued", before, False) is OUTDATED
    assert force.hold.why(POINTS, before, False) is None
    place.cycle.pause(GENERIC)
    after = place.force.made_by("rewardIssued")[0]
    assert (place.force.hold.why("rewardIssued", after, False) or "").startswith(HELD)
    assert place.force.hold.why(POINTS, after, False) is None
