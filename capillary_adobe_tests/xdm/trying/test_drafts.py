"""Drafts tried on events: what is counted, what is blamed, and that nothing a draft does is felt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.state import Evidence
from capillary_adobe.xdm.entities import Entity, EntityStage
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe.xdm.language.rule_model import GENERIC
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe.xdm.trying.drafts import Trial
from capillary_adobe_tests.capillary.events import Json, event, raw_batch
from capillary_adobe_tests.xdm.transforming import ACME, INDIA

POINTS = "pointsIssued"
FILE = """\
pointsIssued:
  fields:
    _tenant.capillary.trigger.name: {from: eventId2, as: text}
    _tenant.capillary.note:
      day: {from: day, as: moment}
"""


def points(**data: object) -> Json:
    return event(POINTS, {"totalPointsIssued": 5, "regularPointsIssued": 5, **data})


def live() -> EntityStage:
    return EntityStage(load_rules(), ACME, INDIA)


def drafting(text: str = FILE, *, extended: bool = True) -> Callable[[], EntityStage]:
    """What makes the stage of the drafts; without `extended`, AEP has none of their fields."""

    def make() -> EntityStage:
        mapping = with_tenant({"mine.yaml": text})
        schema = extended_schema("events", "acme", mapping.rules if extended else load_rules())
        return EntityStage(mapping.rules, ACME, INDIA, schema=schema)

    return make


def tried(make: Callable[[], EntityStage], *records: Json, beside: bool = True) -> tuple[Trial, Evidence]:
    """The trial of a draft of `pointsIssued` on these records."""
    rules = with_tenant({"mine.yaml": FILE}).rules
    trial = Trial({POINTS: "f1"}, frozenset([POINTS] if beside else []), rules, make)
    stage = live() if beside else make()
    for batch in enrich([raw_batch(records)], INDIA):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            trial.observe(row, stage.entity(row))
    return trial, trial.found[POINTS, "f1"]


def test_events_of_the_draft_are_counted_and_no_others() -> None:
    _, evidence = tried(drafting(), points(), points(day="2026-01-31"), event("tierUpgraded", {}))
    assert (evidence.tested, evidence.failed) == (2, 0)


@pytest.mark.parametrize("beside", [True, False])
def test_a_failure_is_blamed_on_the_line_of_the_draft(*, beside: bool) -> None:
    _, evidence = tried(drafting(extended=False), points(), points(day="2026-01-31"), beside=beside)
    assert (evidence.tested, evidence.failed) == (2, 1)
    assert evidence.causes == {"unknown_field /_acme/capillary/note (mine.yaml:5)": 1}


def test_an_event_on_which_the_live_rule_fails_as_well_proves_nothing() -> None:
    _, evidence = tried(drafting(), points(), points(eventId2="z" * 1_100_000))
    assert (evidence.tested, evidence.failed) == (2, 1)
    too_large = event(POINTS, {"promotionalPointsIssued": [{"promotionIdentifier": "x" * 1_100_000}]})
    _, evidence = tried(drafting(), points(), too_large)
    assert (evidence.tested, evidence.failed) == (1, 0)


def test_drafts_that_cannot_be_put_together_are_told_and_nothing_stops() -> None:
    def broken() -> EntityStage:
        raise ValueError("no such thing\nand more")

    trial, evidence = tried(broken, points())
    assert trial.problem == "The drafts beside live rules cannot be tried: no such thing"
    assert evidence.tested == 0


def test_a_draft_that_raises_is_a_failure_and_nothing_stops() -> None:
    class Raising(EntityStage):
        def entity(self, row: tuple[Any, ...]) -> Entity:
            raise RecursionError(row)

    _, evidence = tried(lambda: Raising(load_rules(), ACME, INDIA), points())
    assert evidence.causes == {"mapping_failed (RecursionError)": 1}


def test_a_draft_of_the_generic_rule_is_tried_on_events_without_one() -> None:
    rules = load_rules()
    trial = Trial({GENERIC: "f1"}, frozenset([GENERIC]), rules, live)
    stage = live()
    for batch in enrich([raw_batch([points(), event("rewardIssued", {"rewardId": 7})])], INDIA):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            made = stage.entity(row)
            trial.observe(row, made)
            assert orjson.loads(made.text)["eventType"].startswith("loyalty.")
    assert trial.found[GENERIC, "f1"].tested == 1
