"""What holds for every entity: official, free of emptiness, the same from the same input, and judged one by one."""

from __future__ import annotations

from copy import deepcopy

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.person import NotDelivered
from capillary_adobe.reasons import XDM_REASONS
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.spool import Spool
from capillary_adobe.tables import QUARANTINE, XDM_EVENTS
from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.entities import EntityCounts, EntityStage
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, Json, event, raw_batch, shapes
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.entities import places
from capillary_adobe_tests.xdm.official import official_validators, reference_dir, unknown_paths
from capillary_adobe_tests.xdm.payloads import (
    ADJUSTED,
    BILL,
    COMMON,
    CONVERTED,
    ISSUED,
    ISSUED_REVERSED,
    MERGE,
    RECEIVED,
    REDEEMED,
    REDEEMED_REVERSED,
    STORE,
    SUBSCRIPTIONS,
    TRANSFERRED,
    UPDATE,
)
from capillary_adobe_tests.xdm.traffic import delivered_events
from capillary_adobe_tests.xdm.transforming import ACME, INDIA, empty_places, entities, entity, sample

MAPPED = sorted(set(load_rules()) - {"*"})
CONFORMANCE = Conformance("events", "acme")
LATER = "events/2026-03-01/23/a.jsonl"


@pytest.fixture(scope="module")
def _reference() -> None:
    reference_dir()


def generated() -> list[Json]:
    """The delivered events of a demo day."""
    return delivered_events(3000, seed=11)


def official(made: Json) -> list[str]:
    """What Adobe's published schemas and AEP's rules have against an entity."""
    wrong = [str(error.message) for judge in official_validators("events") for error in judge.iter_errors(made)]
    return wrong + unknown_paths(made, "events") + empty_places(made)


# Capillary publishes no payload of these, or none that was ever sent.
UNPUBLISHED = {
    *("identifierReleased", "customerSubscription", "manualPointsAdjustment", "redeemedPointsReversed"),
    *("pointsTransferredInitiated", "pointsTransferredReceived", "promisedToCurrentPointsConversion"),
}
# The samples of these two are of a group's points and name no customer.
SAMPLES = [name for name in MAPPED if name not in {"pointsRedeemed", "pointsExpired", *UNPUBLISHED}]


@pytest.mark.usefixtures("_reference")
@pytest.mark.parametrize("name", SAMPLES)
def test_every_published_payload_becomes_an_official_entity(name: str) -> None:
    made = entity(sample(name), landed_object="history/2026-12-31/a.jsonl")
    assert official(made) == []
    assert made["_acme"]["capillary"]["eventName"] == name


@pytest.mark.usefixtures("_reference")
@pytest.mark.parametrize("name", ["pointsRedeemed", "pointsExpired"])
def test_a_published_payload_of_a_group_becomes_an_official_entity_once_it_names_a_customer(name: str) -> None:
    payload = sample(name)
    payload["data"]["customerIdentifiers"] = {"customerId": CUSTOMER}
    assert official(entity(payload, landed_object="history/2026-12-31/a.jsonl")) == []


@pytest.mark.usefixtures("_reference")
def test_a_demo_day_becomes_official_entities() -> None:
    made = entities(generated(), landed_object=LATER)
    assert len(made) > 2000
    names = {orjson.loads(one.text)["_acme"]["capillary"]["eventName"] for one in made if one.text}
    assert names >= set(MAPPED) - UNPUBLISHED - {"issuedPointsReversed"}
    assert [one.violations for one in made if one.violations] == []
    for one in made:
        assert official(orjson.loads(one.text)) == []


def test_every_event_type_of_a_person_has_its_event_type() -> None:
    names = [found.name for found in shipped_catalogue() if found.person == "customerIdentifiers"]
    assert len(names) > 50
    for name, made in zip(names, entities(map(event, names)), strict=True):
        expected = "commerce.purchases" if name == "transactionAdded" else f"loyalty.{name[0].lower()}{name[1:]}"
        assert (made.event_type, made.violations) == (expected, [])


# One payload of each mapped event, with something in every field.
_TIER = {"previousTierNumber": 1, "tierExpiryDate": "2124-08-19", "notes": "n"}
RICH: dict[str, Json] = {
    "customerAdded": UPDATE,
    "customerUpdated": UPDATE,
    "transactionAdded": BILL,
    "transactionUpdated": BILL,
    "pointsIssued": ISSUED,
    "pointsRedeemed": REDEEMED,
    "pointsExpired": COMMON | {"pointsExpired": 5},
    "pointsExpiryReminder": COMMON | {"pointsScheduledForExpiry": 5, "scheduledExpiryDate": "2025-11-05"},
    "pointsExpiryChange": COMMON
    | {"updatedPointsExpiryBreakup": [{"pointAwardedRefID": 7, "points": 1.0, "newExpiryDate": "2025-11-05"}]},
    "tierUpgraded": COMMON | _TIER | {"upgradedTierNumber": 2},
    "tierDowngraded": COMMON | _TIER | {"downgradedTierNumber": 2},
    "tierRenewed": COMMON | _TIER | {"currentTierNumber": 2},
    "tierDowngradeReminder": COMMON | _TIER | {"currentTierNumber": 2, "scheduledDowngradeDate": "2026-05-05"},
    "promotionEarned": {
        "loyaltyProgramId": 1,
        "promotionId": 5,
        "promotionStartDate": "2025-11-05",
        "earnRestrictions": [{"kpi": "k", "maxLimit": 1}],
    },
    "loyaltyCustomerMerge": MERGE,
    "customerSubscription": {"subscriptions": SUBSCRIPTIONS},
    "identifierReleased": {"identifierType": "mobile", "identifierValue": "919876501234", "enteredBy": STORE},
    "issuedPointsReversed": ISSUED_REVERSED,
    "redeemedPointsReversed": REDEEMED_REVERSED,
    "pointsTransferredInitiated": TRANSFERRED,
    "pointsTransferredReceived": RECEIVED,
    "promisedToCurrentPointsConversion": CONVERTED,
    "manualPointsAdjustment": ADJUSTED,
    "CouponRedeem": {"coupon": {"code": "X1"}},
}


def test_every_mapped_event_is_among_the_rich_payloads() -> None:
    assert set(RICH) == {*MAPPED, "CouponRedeem"}


def rich(name: str) -> Json:
    return event(
        name, {**deepcopy(RICH[name]), "customerIdentifiers": {"customerId": CUSTOMER, "instore": {"mobile": "1"}}}
    )


_ODD = st.sampled_from(
    [
        *(None, "", " ", "null", [], {}, "-1", -1, 0, 1.5, True, "text", ["text"], {"a": 1}, [None], [[]], [{}], 2**62),
        *(1e300, "2026-02-30", "1900-01-01", "9999-12-31", 156474848484, "\ud7ff", "微信", "5***", 99999999999),
    ]
)


@st.composite
def _odd_records(draw: st.DrawFn) -> Json:
    """An event in whose payload up to three values, at any depth, were taken out or replaced."""
    record = rich(draw(st.sampled_from(sorted(RICH))))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(places(record["data"])) or [(record["data"], "a")]))
        if draw(st.booleans()) and isinstance(holder, dict):
            holder.pop(key, None)
        else:
            holder[key] = deepcopy(draw(_ODD))
    return record


def _names_a_customer(record: Json) -> bool:
    try:
        raw_batch([record])
    except (NotAnEvent, NotDelivered):
        return False
    return True


@settings(deadline=None, max_examples=examples(50), database=None)
@given(odd=st.lists(_odd_records().filter(_names_a_customer), min_size=1, max_size=6))
def test_whatever_a_payload_holds_its_entity_conforms_or_says_why_not(odd: list[Json]) -> None:
    *made, neighbour = entities([*odd, event("pointsExpired")])
    assert neighbour.violations == []
    for one in made:
        assert {violation.code for violation in one.violations} <= set(XDM_REASONS) - {
            "mapping_failed",
            "not_conformant",
        }
        read = orjson.loads(one.text)
        assert CONFORMANCE.violations(read, len(one.text)) == one.violations
        assert empty_places(read) == []


# The same input gives the same output.


def _table(batches: list[pa.RecordBatch]) -> tuple[pa.Table, list[Json], EntityCounts]:
    counts = EntityCounts()
    with Spool(QUARANTINE) as refused:
        stage = EntityStage(load_rules(), ACME, INDIA)
        made = pa.Table.from_batches(stage.transform(enrich(batches, INDIA), refused, counts), XDM_EVENTS.schema)
        return made, [row for batch in refused.batches() for row in batch.to_pylist()], counts


def test_entities_do_not_depend_on_how_they_are_batched() -> None:
    whole = raw_batch(generated()[:600], LATER)
    pieces = [whole.slice(start, size) for start, size in ((0, 1), (1, 250), (251, 349))]
    made, refused, counts = _table([whole])
    assert _table(pieces) == (made, refused, counts)
    assert made.num_rows == counts.entities == 600
    backwards = whole.take(pa.array(range(599, -1, -1)))
    assert _table([backwards])[0].sort_by("line").equals(made)


def test_an_entity_is_the_same_in_every_envelope() -> None:
    for name in ("pointsIssued", "transactionAdded", "CouponRedeem"):
        texts = {one.text for one in entities(shapes(rich(name)).values())}
        assert len(texts) == 1


def test_a_number_gives_the_same_bytes_however_it_is_written() -> None:
    written = (1, 1.0, "1", "1.000", " 1 ", "1e0")
    points = ("totalPointsIssued", "regularPointsIssued", "programCurrentPoints", "loyaltyProgramId")
    made = entities(event("pointsIssued", dict.fromkeys(points, one)) for one in written)
    made += entities(event("pointsIssued", dict.fromkeys(reversed(points), one)) for one in written)
    assert len({one.text for one in made}) == 1
    tiers = [{"tierNumber": 1, "tierName": "Silver"}]
    made = entities(
        event("tierRenewed", {"currentTierNumber": one, "loyaltyProgramDetails": {"id": one, "tiers": tiers}})
        for one in written
    )
    assert len({one.text for one in made}) == 1


def test_rows_carry_the_entity_its_size_and_what_could_not_be_read() -> None:
    made, refused, counts = _table([raw_batch([event("pointsExpired", {"pointsExpired": "5***"})])])
    [row] = made.to_pylist()
    assert refused == []
    assert row["id"] == row["event_key"] == orjson.loads(row["entity"])["_id"]
    assert (row["event_type"], row["size"]) == ("loyalty.pointsExpired", len(row["entity"]))
    assert row["unreadable"] == ["pointsExpired"]
    assert (counts.entities, counts.bytes, dict(counts.unreadable)) == (1, row["size"], {"pointsExpired": 1})


def test_an_entity_that_does_not_conform_is_in_quarantine_and_its_neighbours_go_on() -> None:
    bad = event("tierRenewed", {"currentTierNumber": 2**40}, eventId="bad")
    large = event("pointsExpired", {"entityInformation": {"entityType": "x" * 1_000_000}}, eventId="large")
    good = [event("pointsExpired", eventId=str(number)) for number in range(2)]
    made, refused, counts = _table([raw_batch([good[0], bad, large, good[1]])])
    assert made.column("line").to_pylist() == [1, 4]
    assert dict(counts.quarantined) == {"out_of_range": 1, "entity_too_large": 1}
    first, second = refused
    assert (first["code"], first["stage"], first["line"], first["event_name"]) == (
        "out_of_range",
        "xdm",
        2,
        "tierRenewed",
    )
    assert first["pointer"] == "/_acme/capillary/tier/number"
    assert first["detail"].startswith("/_acme/capillary/tier/number ")
    assert str(2**40) not in first["detail"]
    assert orjson.loads(first["text"])["_id"] == first["event_key"]
    assert len(second["text"]) <= 2**20


def test_an_event_later_than_its_landing_is_in_quarantine() -> None:
    made = entities([event(createdAt=CREATED_MS + 7_200_000)])
    assert [violation.code for violation in made[0].violations] == ["timestamp_in_future"]
    skew = CapillarySettings(clock_skew_seconds=7200)
    assert entities([event(createdAt=CREATED_MS + 7_200_000)], skew)[0].violations == []


def test_an_event_that_stops_the_mapping_is_told_without_its_values() -> None:
    stage = EntityStage(load_rules(), ACME, INDIA)
    [batch] = enrich([raw_batch([event("pointsExpired")])], INDIA)
    row = [column.to_pylist()[0] for column in batch.columns]
    row[batch.schema.names.index("data")] = '["secret'
    made = stage.entity(tuple(row))
    assert [violation.code for violation in made.violations] == ["mapping_failed"]
    assert "secret" not in made.violations[0].detail
