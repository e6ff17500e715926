"""A trial of payloads: each field of each record accounted for, and the same verdict as on the road."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from capillary_adobe.capillary.enrichment import SOURCES, Known
from capillary_adobe.landing import read_records
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS
from capillary_adobe.xdm.language.mapping_files import Mapping, shipped, with_tenant
from capillary_adobe.xdm.language.rules import GENERIC, load_rules
from capillary_adobe.xdm.trying.source_lines import SourceLine
from capillary_adobe.xdm.trying.trial import Trial, Tried
from capillary_adobe_tests.capillary.events import CREATED_MS, Json, event
from capillary_adobe_tests.xdm.official import reference_dir
from capillary_adobe_tests.xdm.transforming import ACME, INDIA


def tried(*records: Json, mapping: Mapping | None = None, settings: CapillarySettings = INDIA) -> list[Tried]:
    found = mapping or shipped()
    trial = Trial(found.rules, found.catalogue, ACME, settings)
    return list(trial.of("f.jsonl", read_records(io.BytesIO(b"\n".join(orjson.dumps(one) for one in records)))))


def line(one: Tried, path: str) -> SourceLine:
    return next(line for line in one.sources if line.path == path)


def targets(one: Tried, path: str) -> list[str]:
    return [went.target for went in line(one, path).went]


def points(**data: Any) -> Json:
    return event("pointsIssued", data)


def fields(value: Any) -> int:
    if isinstance(value, dict | list) and value:
        return sum(fields(inner) for inner in (value.values() if isinstance(value, dict) else value))
    return 1


@pytest.mark.parametrize("name", sorted(load_rules().keys() - {GENERIC}))
def test_every_field_of_a_published_payload_is_accounted_for(name: str) -> None:
    file = reference_dir() / "samples" / f"{name}.json"
    if not file.exists():
        pytest.skip("no sample is published")
    payload = orjson.loads(file.read_bytes())
    if name == "customerSubscription":
        # A generated sample, whose time is no time.
        payload["createdAt"] = CREATED_MS
    [one] = tried(payload)
    assert one.outcome in ("mapped", "ignored")
    for source in one.sources:
        assert source.went or source.why, source.path
    if one.outcome == "mapped":
        gone = {went.target for source in one.sources for went in source.went} | {went.target for _, went in one.others}
        head = ("/_id", "/eventType", "/producedBy", "/timestamp", "/identityMap/")
        assert {at for at in pointers(one.entity) if not at.startswith(head)} <= gone


def pointers(value: Any, at: str = "") -> set[str]:
    if not isinstance(value, dict | list):
        return {at}
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return {found for name, member in members for found in pointers(member, f"{at}/{name}")}


def test_where_a_field_went_has_rule_and_column() -> None:
    [one] = tried(points(totalPointsIssued="120", enteredBy={"store": {"code": "S12"}}, loyaltyProgramId=973))
    [went] = line(one, "totalPointsIssued").went
    assert (went.target, went.via) == ("/_acme/capillary/points/total", "")
    assert (went.rule or "").startswith("shipped/points.yaml:")
    [store] = line(one, "enteredBy.store.code").went
    assert (store.target, store.via) == ("/_acme/capillary/store/code", "@store_code")
    assert "/_acme/capillary/program/id" in targets(one, "loyaltyProgramId")
    assert targets(one, "customerIdentifiers.customerId") == ["/identityMap/capillaryCustomerId/0/id"]
    assert ("@org_id", "/_acme/capillary/orgId") in [(source, went.target) for source, went in one.others]


@pytest.mark.parametrize(
    ("data", "path", "why"),
    [
        ({"colour": "red"}, "colour", "no rule uses it"),
        ({"totalPointsIssued": ""}, "totalPointsIssued", "there is nothing"),
        ({"totalPointsIssued": "many"}, "totalPointsIssued", "cannot be read: expected a number (shipped/points.yaml:"),
        ({"enteredBy": {"id": -1}}, "enteredBy.id", "means nothing under the rule's `as`"),
        ({"regularPointsIssued": 0, "x": [], "y": {}}, "x", "there is nothing"),
        ({"currencyCode": "inr"}, "currencyCode", "no rule uses it"),
    ],
)
def test_why_a_field_was_dropped(data: Json, path: str, why: str) -> None:
    [one] = tried(points(**data))
    assert line(one, path).went == ()
    assert line(one, path).why.startswith(why)


def test_a_field_that_only_a_condition_reads() -> None:
    bill = event("transactionAdded", {"billType": "REGULAR", "billNumber": "b", "source": "fax", "amount": 1})
    [one] = tried(bill)
    assert "/_acme/capillary/transaction/billType" in targets(one, "billType")
    own = with_tenant({"own.yaml": "pointsIssued:\n  fields:\n    _tenant.big: {value: true, when: size > 3}\n"})
    [small] = tried(points(size=2), mapping=own)
    assert line(small, "size").why.startswith("only used for the condition `size > 3` (own.yaml:3)")


def test_what_the_settings_say_in_place_of_the_payload_is_told_apart() -> None:
    one, other = tried(
        event("transactionAdded", {"transactionId": 1, "amount": 1, "currencyCode": "rupees"}),
        event("transactionAdded", {"transactionId": 2, "amount": 1, "currencyCode": "sgd"}),
    )
    assert ("@currency", "/commerce/order/currencyCode") in [(source, went.target) for source, went in one.others]
    assert targets(one, "currencyCode") == []
    assert "/commerce/order/currencyCode" in targets(other, "currencyCode")


def test_the_generic_rule_takes_the_whole_payload_along() -> None:
    settings = INDIA.model_copy(update={"deliver_other_events": True})
    [one] = tried(event("badgeEarned", {"colour": "red"}), settings=settings)
    assert targets(one, "colour") == ["/_acme/capillary/payload"]
    assert one.event_type == "loyalty.badgeEarned"


def test_what_is_no_event_or_is_not_delivered() -> None:
    later = round(datetime.now(UTC).timestamp() * 1000) + 10**8
    found = tried(
        {"x": 1}, event("promotionCreated", {"a": 1}), event("nobodyKnows", {"a": 1}), event("badgeEarned", {}),
        event("pointsIssued", {"a": 1}, createdAt=later), points(a=1), points(a=1),
    )  # fmt: skip
    assert [(one.outcome, one.code) for one in found] == [
        ("quarantined", "envelope_unknown"),
        ("ignored", "no_person"),
        ("quarantined", "event_unknown"),
        ("ignored", "no_mapping"),
        ("quarantined", "time_in_future"),
        ("mapped", ""),
        ("mapped", ""),
    ]
    assert [one.line for one in found] == [1, 2, 3, 4, 5, 6, 7]
    assert found[-1].repeats == (6, 0)
    assert found[0].words
    assert found[1].words


def test_what_aep_would_refuse_is_told_in_its_voice_with_the_rule() -> None:
    own = with_tenant({"own.yaml": "pointsIssued:\n  fields:\n    commerce.order.currencyCode: {from: money}\n"})
    [one] = tried(points(money="rupees"), mapping=own)
    assert one.outcome == "failed"
    [fault] = one.faults
    assert (fault.pointer, fault.category, fault.keyword) == ("/commerce/order/currencyCode", "pattern", "pattern")
    assert (fault.value_type, fault.rule) == ("string", "own.yaml:3")
    assert "rupees" not in fault.words + fault.cure


def test_a_tenants_event_and_fields_are_tried_with_their_additions() -> None:
    own = with_tenant(
        {
            "events.yaml": "clubs:\n  clubJoined: {person: customerIdentifiers}\n",
            "own.yaml": "clubJoined:\n  event_type: loyalty.clubJoined\n  fields:\n    _tenant.size: {from: 'customFields"
            "[key=shoe_size].value', as: integer}\n",
        }
    )
    record = event("clubJoined", {"customFields": [{"key": "shoe_size", "value": "43"}, {"key": "b", "value": "1"}]})
    [one] = tried(record, mapping=own)
    assert one.outcome == "mapped"
    assert (one.entity or {})["_acme"] == {"size": 43}
    assert line(one, "customFields[0].key").why.startswith("only used for the choice of an element of customFields")
    assert line(one, "customFields[1].value").why == "no rule uses it"


def test_every_derived_column_says_where_it_comes_from() -> None:
    # What is known from elsewhere than the payload has no place in it.
    derived = set(ENRICHED_EVENTS.names) - {"zone", "missing"} - set(Known._fields)
    assert set(SOURCES) == derived - set(RAW_EVENTS.names)


def test_arrays_several_records_in_a_line_and_broken_text() -> None:
    text = b'[{"a": 1}, {"b": 2}]\n{"broken": \n'
    trial = Trial(shipped().rules, shipped().catalogue, ACME, INDIA)
    found = list(trial.of("-", read_records(io.BytesIO(text))))
    assert [(one.line, one.part, one.code) for one in found] == [
        (1, 0, "envelope_unknown"),
        (1, 1, "envelope_unknown"),
        (2, 0, "not_json"),
    ]


def test_the_same_event_within_one_line_is_told() -> None:
    trial = Trial(shipped().rules, shipped().catalogue, ACME, INDIA)
    found = list(trial.of("-", read_records(io.BytesIO(orjson.dumps([points(a=1), points(a=1)])))))
    assert [one.repeats for one in found] == [None, (1, 0)]


def test_a_constant_is_told_apart() -> None:
    mapping = with_tenant({"own.yaml": "pointsIssued: {fields: {_tenant.brand.name: {value: Acme}}}"})
    [one] = tried(points(a=1), mapping=mapping)
    assert [went.target for source, went in one.others if source == "constant"] == ["/_acme/brand/name"]
