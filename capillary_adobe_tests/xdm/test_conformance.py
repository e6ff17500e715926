"""The verdict on entities: what passes, what does not and why, and that Adobe's published schemas agree."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.reasons import CATEGORIES, UNCLASSIFIED, XDM_REASONS
from capillary_adobe.xdm.conformance import ADVISED_BYTES, MAX_BYTES, Conformance, over_advised
from capillary_adobe.xdm.schemas import Kind
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.entities import TENANT, changed_entities, entities, places
from capillary_adobe_tests.xdm.examples import event, profile, put, without
from capillary_adobe_tests.xdm.official import (
    official_validators,
    reference_dir,
    sample_entities,
    unknown_paths,
)

KINDS: list[Kind] = ["events", "profiles"]
CONFORMANCE = {kind: Conformance(kind, TENANT) for kind in KINDS}
SIZE = 900

quickly = settings(deadline=None, max_examples=examples(150), database=None)


@pytest.fixture(scope="module")
def _reference() -> None:
    reference_dir()


def codes(kind: Kind, entity: dict[str, Any], size: int = SIZE, latest_ms: int | None = None) -> list[tuple[str, str]]:
    violations = CONFORMANCE[kind].violations(entity, size, latest_ms)
    assert CONFORMANCE[kind].conforms(entity, size, latest_ms) == (violations == [])
    return [(v.code, v.pointer) for v in violations]


@pytest.mark.parametrize("kind", KINDS)
def test_the_samples_conform(kind: Kind) -> None:
    samples = sample_entities(kind)
    assert samples
    for entity in samples:
        assert CONFORMANCE[kind].violations(entity, SIZE) == []
        assert CONFORMANCE[kind].conforms(entity, SIZE)
        assert unknown_paths(entity, kind) == []


def test_the_examples_of_these_tests_conform() -> None:
    assert codes("events", event()) == []
    assert codes("profiles", profile()) == []


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("/_id", "", "empty_value"),
        ("/_id", "a b", "wrong_format"),
        ("/timestamp", 1772359200000, "wrong_type"),
        ("/timestamp", "2026-03-01T10:00:00", "wrong_format"),
        ("/eventType", None, "null_value"),
        ("/eventMergeId", "m", "unknown_field"),
        ("/commerce/order/total", 1, "unknown_field"),
        ("/commerce/order/priceTotal", "12.5", "wrong_type"),
        ("/commerce/order/priceTotal", float("nan"), "null_value"),
        ("/commerce/order/currencyCode", "inr", "wrong_pattern"),
        ("/commerce/order/currencyCode", "", "empty_value"),
        ("/commerce/order/payments", [], "empty_value"),
        ("/commerce/order/orderType", "gift", "not_in_enum"),
        ("/commerce/commerceScope", {}, "empty_value"),
        ("/productListItems/0/quantity", 2.5, "wrong_type"),
        ("/productListItems/0/quantity", 2**31, "out_of_range"),
        ("/productListItems/0/quantity", -(2**31) - 1, "out_of_range"),
        ("/productListItems/0/_acme/weight", 1, "unknown_field"),
        ("/_acme/capillary/orgId", 2**53, "out_of_range"),
        ("/_acme/capillary/tier/number", 2**31, "out_of_range"),
        ("/_globex", {"capillary": {"eventId": "1"}}, "unknown_field"),
        ("/_tenant", {"capillary": {"eventId": "1"}}, "unknown_field"),
        ("/identityMap", {}, "empty_value"),
        ("/identityMap", [], "empty_value"),
        ("/identityMap", "7001", "wrong_type"),
        ("/identityMap/Email/0/primary", "no", "wrong_type"),
        ("/identityMap/Email/0/authenticatedState", "known", "not_in_enum"),
        ("/identityMap/Email/0/id", 7, "wrong_type"),
        ("/identityMap/Email/0/id", "", "empty_value"),
        ("/identityMap/Email/0/id", " \t", "bad_identity"),
        ("/identityMap/Email/0/id", "NULL", "bad_identity"),
        ("/identityMap/Email/0/id", "Anonymous ", "bad_identity"),
        ("/identityMap/Email/0/id", "invalid", "bad_identity"),
        ("/identityMap/Email/0/id", "x" * 1025, "bad_identity"),
    ],
)
def test_a_broken_value_of_an_event_has_its_code_and_place(pointer: str, value: Any, code: str) -> None:
    assert codes("events", put(event(), pointer, value)) == [(code, pointer)]


@pytest.mark.parametrize(
    ("pointer", "value", "told"),
    [
        ("/eventType", None, ("type", "type", "null", "leave the field out where there is no value")),
        ("/eventType", 7, ("type", "type", "integer", "convert it in the mapping with `as`")),
        ("/eventType", "", ("minLength", "range", "string", "leave the field out where there is no value")),
        ("/commerce/order/priceTotal", "1", ("type", "type", "string", "convert it in the mapping with `as`")),
        ("/commerce/order/priceTotal", [1.5], ("type", "type", "array", "convert it in the mapping with `as`")),
        ("/timestamp", "yesterday", ("format", "format", "string", "write RFC 3339 with T and a zone")),
        ("/commerce/order/currencyCode", "inr", ("pattern", "pattern", "string", "convert it in the mapping")),
        ("/commerce/order/orderType", "gift", ("enum", "enum", "string", "translate it in the mapping with `choose`")),
        ("/productListItems/0/quantity", 2**31, ("maximum", "range", "integer", "use a field that holds it")),
        ("/commerce/extra", 1.5, ("additionalProperties", "unknown", "number", "map to a field that it has")),
        ("/identityMap/Email/0/id", " ", ("identityValue", "identity", "string", "leave the identity out")),
    ],
)
def test_a_violation_tells_keyword_category_type_and_cure(pointer: str, value: Any, told: tuple[str, ...]) -> None:
    [violation] = CONFORMANCE["events"].violations(put(event(), pointer, value), SIZE)
    assert (violation.keyword, violation.category, violation.value_type) == told[:3]
    assert violation.cure.startswith(told[3])
    assert violation.words == f"{pointer} {violation.detail}; {violation.cure}"


def test_what_is_absent_too_late_or_too_large_tells_its_category_too() -> None:
    def found(entity: dict[str, Any], size: int = SIZE, latest_ms: int | None = None) -> list[tuple[str, str, str]]:
        violations = CONFORMANCE["events"].violations(entity, size, latest_ms)
        return [(one.keyword, one.category, one.value_type) for one in violations]

    assert found(without(event(), "/channel/_id")) == [("required", "presence", "absent")]
    assert found(without(event(), "/identityMap")) == [("required", "presence", "absent")]
    assert found(event(), MAX_BYTES + 1) == [("maxBytes", "size", "object")]
    assert found(event(), latest_ms=0) == [("latest", "timestamp", "string")]
    assert found(event(identityMap={"Email": [{"id": "1"}]})) == [("primary", "identity", "object")]


def test_a_pointer_leads_into_lists_and_escapes_its_steps() -> None:
    identifiers = [{"key": "a", "value": "b"}, None]
    broken = put(event(), "/_acme/capillary/trigger/identifiers", identifiers) | {"a/b~c": 1}
    assert codes("events", broken) == [
        ("null_value", "/_acme/capillary/trigger/identifiers/1"),
        ("unknown_field", "/a~1b~0c"),
    ]


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("/person/birthDate", "1990-02-30", "wrong_format"),
        ("/person/birthYear", 0, "out_of_range"),
        ("/person/gender", "M", "not_in_enum"),
        ("/person/age", 3, "unknown_field"),
        ("/person/birthYear", 32768, "out_of_range"),
        ("/personalEmail/address", "ann@example", "wrong_format"),
        ("/personalEmail/address", "Ann <ann@example.com>", "wrong_format"),
        ("/homeAddress/stateProvince", "Maharashtra", "wrong_pattern"),
        ("/homeAddress/postOfficeBox", "x" * 21, "out_of_range"),
        ("/preferredLanguage", "English (India)", "wrong_pattern"),
        ("/loyalty/loyaltyID", "c-1", "wrong_type"),
        ("/loyalty/loyaltyID/0", "", "empty_value"),
        ("/loyalty/pointsGained", [{"value": 1}], "unknown_field"),
        ("/consents/marketing/email/val", "yes", "not_in_enum"),
        ("/consents/marketing/email/reason", "x" * 256, "out_of_range"),
        ("/timestamp", "2026-03-01T10:00:00Z", "unknown_field"),
    ],
)
def test_a_broken_value_of_a_profile_has_its_code_and_place(pointer: str, value: Any, code: str) -> None:
    assert codes("profiles", put(profile(), pointer, value)) == [(code, pointer)]


@pytest.mark.parametrize(
    ("kind", "pointer"),
    [
        ("events", "/_id"),
        ("events", "/timestamp"),
        ("events", "/eventType"),
        ("events", "/identityMap"),
        ("events", "/channel/_id"),
        ("events", "/commerce/purchases/value"),
        ("events", "/productListItems/0/SKU"),
        ("events", "/identityMap/Email/0/id"),
        ("profiles", "/identityMap"),
        ("profiles", "/extSourceSystemAudit"),
        ("profiles", "/extSourceSystemAudit/lastUpdatedDate"),
        ("profiles", "/consents/marketing/email/val"),
    ],
)
def test_a_missing_field_is_named(kind: Kind, pointer: str) -> None:
    entity = event() if kind == "events" else profile()
    holder: Any = entity
    *steps, last = pointer.strip("/").split("/")
    for step in steps:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    del holder[last]
    assert codes(kind, entity) == [("field_missing", pointer)]


def identities(count: int, primaries: int) -> dict[str, Any]:
    return {f"space{i}": [{"id": str(i + 1), "primary": i < primaries}] for i in range(count)}


@pytest.mark.parametrize(
    ("identity_map", "expected"),
    [
        (identities(20, 1), []),
        (identities(21, 1), [("out_of_range", "/identityMap")]),
        (identities(2, 0), [("no_primary_identity", "/identityMap")]),
        (identities(3, 2), [("several_primary_identities", "/identityMap")]),
        (
            {"Email": [{"id": "1", "primary": True}, {"id": "2", "primary": True}]},
            [("several_primary_identities", "/identityMap")],
        ),
        ({"Email": [{"id": "1"}]}, [("no_primary_identity", "/identityMap")]),
        ({"Email": [{"id": "x" * 1024, "primary": True}]}, []),
        ({"": [{"id": "1", "primary": True}]}, [("bad_identity", "/identityMap/")]),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_identities_are_counted_across_all_namespaces(kind: Kind, identity_map: Any, expected: Any) -> None:
    entity = event() if kind == "events" else profile()
    assert codes(kind, entity | {"identityMap": identity_map}) == expected


@pytest.mark.parametrize(
    ("timestamp", "good"),
    [
        ("2026-03-01T10:00:00Z", True),
        ("2026-03-01T10:00:00.123Z", True),
        ("2026-03-01T10:00:00.123456789Z", True),
        ("2026-03-01T10:00:00+05:30", True),
        ("2026-03-01t10:00:00z", True),
        ("2026-03-01T10:00:00", False),
        ("2026-03-01T10:00:00+0530", False),
        ("2026-03-01T10:00:00+05", False),
        ("2026-03-01 10:00:00Z", False),
        ("2026-03-01T10:00Z", False),
        ("2026-03-01", False),
        ("2026-02-30T10:00:00Z", False),
        ("2026-03-01T24:00:00Z", False),
        ("2026-12-31T23:59:60Z", False),
        ("0000-01-01T00:00:00Z", False),
        (" 2026-03-01T10:00:00Z", False),
        ("2026-03-01T10:00:00Z\n", False),
        ("1772359200000", False),
    ],
)
def test_a_timestamp_is_rfc_3339_with_a_zone(timestamp: str, good: bool) -> None:
    assert codes("events", event(timestamp=timestamp)) == ([] if good else [("wrong_format", "/timestamp")])


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-03-01T10:00:00.123Z",
        "2026-03-01t10:00:00.123z",
        "2026-03-01T15:30:00.123+05:30",
        "2026-02-28T20:00:00.123-14:00",
    ],
)
def test_an_event_may_happen_until_the_latest_moment_and_not_after(timestamp: str) -> None:
    moment = 1772359200123
    assert codes("events", event(timestamp=timestamp), latest_ms=moment) == []
    assert codes("events", event(timestamp=timestamp), latest_ms=moment - 1) == [("timestamp_in_future", "/timestamp")]


def test_without_a_latest_moment_no_event_is_in_the_future() -> None:
    assert codes("events", event(timestamp="9999-12-31T23:59:59Z")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_record_is_one_million_bytes(kind: Kind) -> None:
    entity = event() if kind == "events" else profile()
    assert codes(kind, entity, MAX_BYTES) == []
    assert codes(kind, entity, MAX_BYTES + 1) == [("entity_too_large", "")]
    assert MAX_BYTES == 1_000_000


def test_a_size_above_the_advised_one_still_conforms() -> None:
    assert (ADVISED_BYTES, over_advised(ADVISED_BYTES), over_advised(ADVISED_BYTES + 1)) == (10_240, False, True)
    assert codes("events", event(), ADVISED_BYTES + 1) == []


def test_all_reasons_come_at_once_in_a_stable_order() -> None:
    broken = event(eventType=None, timestamp="yesterday", extra=1, identityMap={"Email": [{"id": "null"}]})
    expected = [
        ("entity_too_large", ""),
        ("field_missing", "/eventType"),
        ("unknown_field", "/extra"),
        ("no_primary_identity", "/identityMap"),
        ("bad_identity", "/identityMap/Email/0/id"),
        ("wrong_format", "/timestamp"),
    ]
    assert codes("events", broken, MAX_BYTES + 1) == expected
    assert codes("events", dict(reversed(broken.items())), MAX_BYTES + 1) == expected


def test_an_entity_without_anything_lacks_what_is_required() -> None:
    assert {code for code, _ in codes("events", {})} == {"field_missing"}


@pytest.mark.usefixtures("_reference")
def test_the_official_judge_notices_what_is_not_official() -> None:
    assert unknown_paths(put(event(), "/productListItems/0/lineItemId", "1"), "events") == [
        "/productListItems/0/lineItemId"
    ]
    assert unknown_paths(put(event(), "/identityMap/Email/0/address", "1"), "events") == [
        "/identityMap/Email/0/address"
    ]
    assert unknown_paths(profile() | {"channel": {"_id": "1"}}, "profiles") == ["/channel"]
    assert unknown_paths(event(), "events", tenant_id="globex") == ["/productListItems/0/_acme", "/_acme"]
    broken = put(event(), "/commerce/order/currencyCode", "inr")
    assert [validator.is_valid(broken) for validator in official_validators("events")].count(False) == 1
    broken = put(profile(), "/loyalty/points", "10")
    assert [validator.is_valid(broken) for validator in official_validators("profiles")].count(False) == 1


@pytest.mark.usefixtures("_reference")
@pytest.mark.parametrize("kind", KINDS)
def test_what_our_schema_describes_conforms_and_is_official(kind: Kind) -> None:
    @quickly
    @given(entity=entities(kind))
    def check(entity: dict[str, Any]) -> None:
        assert CONFORMANCE[kind].violations(entity, SIZE) == []
        assert unknown_paths(entity, kind) == []
        for validator in official_validators(kind):
            validator.validate(entity)

    check()


@pytest.mark.usefixtures("_reference")
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_conforms_is_official(kind: Kind) -> None:
    @quickly
    @given(changed=changed_entities(kind))
    def check(changed: tuple[dict[str, Any], Any]) -> None:
        entity, _ = changed
        if CONFORMANCE[kind].conforms(entity, SIZE):
            assert unknown_paths(entity, kind) == []
            for validator in official_validators(kind):
                validator.validate(entity)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_short_and_the_long_verdict_agree(kind: Kind) -> None:
    latest = st.none() | st.integers(-(2**45), 2**45)

    @quickly
    @given(changed=changed_entities(kind), size=st.sampled_from([SIZE, MAX_BYTES + 1]), latest_ms=latest)
    def check(changed: tuple[dict[str, Any], Any], size: int, latest_ms: int | None) -> None:
        violations = CONFORMANCE[kind].violations(changed[0], size, latest_ms)
        assert CONFORMANCE[kind].conforms(changed[0], size, latest_ms) == (violations == [])
        assert {v.code for v in violations} <= XDM_REASONS.keys() - {"not_conformant"}
        assert all(v.detail and v.keyword and v.cure and v.value_type for v in violations)
        assert {v.category for v in violations} <= CATEGORIES.keys() - {UNCLASSIFIED}

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_takes_null_or_emptiness(kind: Kind) -> None:
    @quickly
    @given(entity=entities(kind), data=st.data())
    def check(entity: dict[str, Any], data: st.DataObject) -> None:
        holder, key = data.draw(st.sampled_from(list(places(entity))))
        holder[key] = data.draw(st.sampled_from([None, "", [], {}]))
        found = {code for code, _ in codes(kind, entity)}
        assert found & {"null_value", "empty_value", "field_missing"}

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_violation_never_repeats_a_value(kind: Kind) -> None:
    secrets = st.from_regex(r"[a-z]{3}[0-9]{3}@[a-z]{3}[0-9]{9}", fullmatch=True) | st.integers(10**20, 10**25)

    @quickly
    @given(changed=changed_entities(kind, secrets))
    def check(changed: tuple[dict[str, Any], Any]) -> None:
        entity, secret = changed
        for violation in CONFORMANCE[kind].violations(entity, MAX_BYTES + 1, 0):
            assert str(secret) not in " ".join(astuple(violation))

    check()
