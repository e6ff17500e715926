"""The known source fields: every path of the published samples is among them, with what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from capillary_adobe.capillary import source_fields
from capillary_adobe.capillary.catalogue import GROUP, NO_PERSON, EventType, shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe.capillary.source_fields import ANYTHING, KINDS, LIST, OBJECT, fields_of, lies_in
from capillary_adobe_tests.xdm.official import reference_dir


def paths(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every path of a payload with its value, `[]` for the elements of a list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f"{above}.{name}" if above else name
            yield path, inner
            yield from paths(inner, path)
    if isinstance(value, list):
        for inner in value:
            yield f"{above}[]", inner
            yield from paths(inner, f"{above}[]")


def test_every_path_of_the_published_samples_is_known_with_its_form() -> None:
    seen = 0
    for file in sorted((reference_dir() / "samples").glob("*.json")):
        event_type = shipped_catalogue().find(file.stem)
        try:
            data = unwrap(orjson.loads(file.read_bytes())).data
        except NotAnEvent:
            continue
        known = fields_of(event_type)
        for path, value in paths(data):
            within = next((one for one, kind in known.items() if kind == ANYTHING and lies_in(path, one)), None)
            assert path in known or within, f"{file.stem}: {path}"
            if within is None and value is not None:
                form = LIST if isinstance(value, list) else OBJECT if isinstance(value, dict) else None
                assert (known[path] if known[path] in (LIST, OBJECT) else None) == form, f"{file.stem}: {path}"
            seen += 1
    assert seen > 300


def test_every_kind_is_one_of_the_kinds() -> None:
    for event_type in (None, *shipped_catalogue()):
        assert set(fields_of(event_type).values()) <= set(KINDS)


def test_the_events_with_fields_are_those_of_the_catalogue_that_are_about_persons() -> None:
    listed = {*source_fields._facts()["events"], *source_fields._other_events()}
    about_persons = {one.name for one in shipped_catalogue() if one.person not in (NO_PERSON, GROUP)}
    # Of one no payload is published, the other arrives as CouponIssue.
    assert about_persons - listed == {"identifierReleased", "IssueBulkCoupon"}
    assert listed <= about_persons


@pytest.mark.parametrize(
    ("event", "path", "kind"),
    [
        ("pointsIssued", "promotionalPointsIssued", "list"),
        ("pointsIssued", "promotionalPointsIssued[]", "object"),
        ("pointsIssued", "promotionalPointsIssued[].promotionPoints", "points"),
        ("pointsIssued", "promotionalPointsIssued[].promotionPointsExpiryDateInMillis", "moment"),
        ("pointsRedeemed", "redeemedPointsCurrencyValue", "money"),
        ("tierUpgraded", "loyaltyProgramDetails.tiers[].tierNumber", "count"),
        ("customerUpdated", "customerIdentifiers.wechat.accounts[].identifiers[].identifierType", "text"),
        ("retroBillAdded", "customFields[].value", "text"),
        ("promotionIssued", "linkedTargetGroupVsTargetRuleIdMap", "anything"),
        ("tierUpgraded", "customFields", None),
    ],
)
def test_what_stands_at_a_path(event: str, path: str, kind: str | None) -> None:
    assert fields_of(shipped_catalogue().find(event)).get(path) == kind


def test_an_event_of_the_organisation_has_the_common_fields_and_the_named_ones() -> None:
    own = fields_of(EventType("walletToppedUp", "wallet", "customerIdentifiers"))
    assert own.keys() - fields_of(None).keys() == {
        *("customFields", "customFields[]", "customFields[].key", "customFields[].value"),
        *("extendedFields", "extendedFields[]", "extendedFields[].key", "extendedFields[].value"),
    }


@pytest.mark.parametrize(
    ("path", "inside"), [("a", True), ("a.b", True), ("a[].b", True), ("a[]", True), ("ab", False), ("b.a", False)]
)
def test_what_lies_in_a_path(path: str, inside: bool) -> None:
    assert lies_in(path, "a") is inside
