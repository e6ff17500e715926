"""What we say of an entity beforehand against what AEP's own validation says of it afterwards.

The other judge is the emulator's: another reading of the same rules, over HTTP, from the schema that its registry shows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import pytest
import requests

from capillary_adobe.adobe.platform import Platform as OurPlatform
from capillary_adobe.adobe.schema_registry import SchemaRegistry
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.reasons import CATEGORIES
from capillary_adobe.settings import AdobeSettings, TenantSettings, load
from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.entities import Entity, EntityStage
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe.xdm.schemas import Kind
from capillary_adobe.xdm.tenant_schemas import strict
from capillary_adobe.xdm.violations import Violation
from capillary_adobe_tests.capillary.events import CUSTOMER, Json, raw_batch
from capillary_adobe_tests.capillary.events import event as record
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.platform_client import Platform
from capillary_adobe_tests.xdm.broken import broken, followed
from capillary_adobe_tests.xdm.examples import event, profile, put, without
from capillary_adobe_tests.xdm.judging import Judged, differing, key_of, refused_in_batch, streamed
from capillary_adobe_tests.xdm.payloads import ISSUED
from capillary_adobe_tests.xdm.traffic import delivered_events
from capillary_adobe_tests.xdm.transforming import INDIA

KINDS: tuple[Kind, ...] = ("events", "profiles")
SIZE = 900
FUTURE = "2999-01-01T00:00:00Z"


class Ours:
    """Our verdict by the tenant's own schemas, as the registry shows them."""

    def __init__(self, environment: dict[str, str]) -> None:
        values = {name.removeprefix("ADOBE_").lower(): value for name, value in environment.items()}
        settings = load(AdobeSettings, **values)
        registry = SchemaRegistry(OurPlatform(settings, AccessToken(settings)))
        ids: dict[Kind, str] = {"events": settings.events_schema_id, "profiles": str(settings.profiles_schema_id)}
        self.tenant = TenantSettings(tenant_id=settings.tenant_id)
        self.schemas = {kind: registry.full(id_).content for kind, id_ in ids.items()}
        self.identities = {
            kind: {one.path: one.namespace for one in registry.identity_descriptors(id_)} for kind, id_ in ids.items()
        }
        self._conformance = {
            kind: Conformance(kind, settings.tenant_id, self.schemas[kind], self.identities[kind]) for kind in KINDS
        }
        self._latest_ms = time.time_ns() // 1_000_000

    def violations(self, kind: Kind, entity: Json) -> list[Violation]:
        """What we say of an entity."""
        return self._conformance[kind].violations(entity, SIZE, self._latest_ms)

    def own(self, entity: Json) -> Json:
        """The entity with this tenant's object in place of acme's."""
        return orjson.loads(orjson.dumps(entity).replace(b'"_acme"', f'"_{self.tenant.tenant_id}"'.encode()))


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    # Windows wide enough for few failed batches, which are read one by one.
    behaviour = Behaviour(batch_seconds=0, validation_seconds=0.5)
    with RunningEmulator(tmp_path_factory.mktemp("judge"), behaviour=behaviour) as started:
        yield started


@pytest.fixture(scope="module")
def platform(emulator: RunningEmulator) -> Iterator[Platform]:
    with requests.Session() as session:
        yield Platform(Client(emulator, session))


@pytest.fixture(scope="module")
def ours(emulator: RunningEmulator) -> Ours:
    return Ours(emulator.environment)


def changed(kind: Kind, *changes: tuple[str, Any]) -> Judged:
    entity = event() if kind == "events" else profile()
    for pointer, value in changes:
        entity = put(entity, pointer, value)
    return kind, entity


IDENTITIES: dict[str, Json] = {
    "/identityMap none": {"Email": [{"id": "ann@example.com"}]},
    "/identityMap two": {"Email": [{"id": "1", "primary": True}], "Phone": [{"id": "2", "primary": True}]},
    "/identityMap many": {"Email": [{"id": str(n), "primary": n == 0} for n in range(21)]},
    "/identityMap/Email/1/id": {"Email": [{"id": "1", "primary": True}, {"id": "NULL"}]},
    "/identityMap/Email/0/id": {"Email": [{"id": "x" * 1025, "primary": True}]},
    "/identityMap/Email/0/id blank": {"Email": [{"id": " ", "primary": True}]},
    "/identityMap/": {"": [{"id": "1", "primary": True}]},
}

BROKEN: list[tuple[str, str, Judged]] = [
    *(
        ("presence", pointer, ("events", without(event(), pointer)))
        for pointer in ("/identityMap", "/channel/_id", "/commerce/purchases/value", "/productListItems/0/SKU")
    ),
    ("presence", "/identityMap/Email/0/id", ("events", without(event(), "/identityMap/Email/0/id"))),
    ("presence", "/identityMap", ("profiles", without(profile(), "/identityMap"))),
    ("presence", "/consents/marketing/email/val", ("profiles", without(profile(), "/consents/marketing/email/val"))),
    *(
        ("type", pointer, changed("events", (pointer, value)))
        for pointer, value in [
            ("/eventType", 7),
            ("/eventType", None),
            ("/commerce/order/priceTotal", "12.5"),
            ("/commerce/order/priceTotal", ""),
            ("/commerce/order", []),
            ("/productListItems", {"SKU": "tea"}),
            ("/productListItems/0/quantity", 2.5),
            ("/identityMap/Email/0/primary", "no"),
            ("/_acme/capillary/orgId", "7"),
            ("/_acme/capillary", None),
        ]
    ),
    *(("type", pointer, changed("profiles", (pointer, 7))) for pointer in ("/person/birthDate", "/loyalty/loyaltyID")),
    *(
        ("format", pointer, changed("events", (pointer, value)))
        for pointer, value in [
            ("/timestamp", "2026-03-01T10:00:00"),
            ("/timestamp", "2026-12-31T23:59:60Z"),
            ("/_id", "a b"),
            ("/channel/_type", "no uri"),
        ]
    ),
    ("format", "/personalEmail/address", changed("profiles", ("/personalEmail/address", "ann@example"))),
    ("format", "/person/birthDate", changed("profiles", ("/person/birthDate", "1990-02-30"))),
    ("pattern", "/commerce/order/currencyCode", changed("events", ("/commerce/order/currencyCode", "inr"))),
    ("pattern", "/homeAddress/countryCode", changed("profiles", ("/homeAddress/countryCode", "India"))),
    *(
        ("range", pointer, changed("events", (pointer, value)))
        for pointer, value in [
            ("/productListItems/0/quantity", 2**31),
            ("/_acme/capillary/orgId", 2**53),
            ("/_acme/capillary/tier/number", -(2**31) - 1),
            ("/_acme/capillary", {}),
            ("/commerce/order/payments", []),
            ("/_acme/capillary/trigger/name", ""),
            ("/identityMap/Email", []),
        ]
    ),
    ("range", "/person/birthYear", changed("profiles", ("/person/birthYear", 0))),
    ("range", "/consents/marketing/email/reason", changed("profiles", ("/consents/marketing/email/reason", "x" * 256))),
    ("enum", "/commerce/order/orderType", changed("events", ("/commerce/order/orderType", "gift"))),
    (
        "enum",
        "/identityMap/Email/0/authenticatedState",
        changed("events", ("/identityMap/Email/0/authenticatedState", "x")),
    ),
    ("enum", "/person/gender", changed("profiles", ("/person/gender", "M"))),
    *(
        ("unknown", pointer, changed("events", (pointer, 1)))
        for pointer in (
            "/eventMergeId",
            "/commerce/order/total",
            "/productListItems/0/_acme/weight",
            "/_acme/capillary/trigger/kind",
            "/_globex",
            "/identityMap/Email/0/address",
        )
    ),
    ("unknown", "/person/age", changed("profiles", ("/person/age", 3))),
    *(
        ("identity", where.split(" ")[0], changed(kind, ("/identityMap", map_)))
        for kind in KINDS
        for where, map_ in IDENTITIES.items()
    ),
    ("timestamp", "/timestamp", changed("events", ("/timestamp", FUTURE))),
]


def test_each_kind_of_violation_is_predicted_as_aep_reports_it(platform: Platform, ours: Ours) -> None:
    sent: list[Judged] = [(kind, ours.own(entity)) for _, _, (kind, entity) in BROKEN]
    reports = streamed(platform, sent)

    for (category, pointer, _), (kind, entity) in zip(BROKEN, sent, strict=True):
        expected = {(pointer.replace("_acme", f"_{ours.tenant.tenant_id}"), category)}
        assert {(one.pointer, one.category) for one in ours.violations(kind, entity)} == expected
        assert key_of(kind, entity) not in reports.at_once
        assert differing(ours.violations(kind, entity), reports.later[key_of(kind, entity)]) == set()
    assert {category for category, *_ in BROKEN} | {"size", "unclassified"} == set(CATEGORIES)


BROKEN_RULES = [
    ("type", "points/total", "_tenant.capillary.points.total: {from: totalPointsIssued, as: text}"),
    ("format", "points/expiryDate", "_tenant.capillary.points.expiryDate: {value: tomorrow}"),
    ("pattern", "points/currencyCode", "_tenant.capillary.points.currencyCode: {value: rupee}"),
    ("range", "tier/number", "_tenant.capillary.tier.number: {value: 3000000000}"),
    ("range", "tier/name", "_tenant.capillary.tier.name: {value: ''}"),
    ("unknown", "points/bonus", "_tenant.capillary.points.bonus: {from: totalPointsIssued, as: number}"),
    ("enum", "/commerce/order/orderType", "commerce.order.orderType: {value: gift}"),
    ("presence", "/channel/_id", "channel.mode: {value: push}"),
]


def test_a_broken_mapping_is_told_with_the_line_that_aep_stumbles_over(platform: Platform, ours: Ours) -> None:
    predicted: dict[bytes, list[Violation]] = {}
    for number, (category, place, rule) in enumerate(BROKEN_RULES):
        stage, made = made_by(ours, rule, number)

        [violation] = made.violations
        pointer = place if place.startswith("/") else f"/_{ours.tenant.tenant_id}/capillary/{place}"
        assert (violation.category, violation.pointer) == (category, pointer)
        assert stage.rule_of("pointsIssued", made, violation) == "mine.yaml:3"
        predicted[made.text] = made.violations

    reports = streamed(platform, (("events", orjson.loads(text)) for text in predicted))
    for text, violations in predicted.items():
        assert differing(violations, reports.later[key_of("events", orjson.loads(text))]) == set()


def made_by(ours: Ours, rule: str, number: int) -> tuple[EntityStage, Entity]:
    """The entity of an event under a mapping with this rule in it."""
    payload = ISSUED | {"customerIdentifiers": {"customerId": CUSTOMER}, "totalPointsIssued": number}
    mapping = with_tenant({"mine.yaml": f"pointsIssued:\n  fields:\n    {rule}\n"})
    stage = EntityStage(mapping.rules, ours.tenant, INDIA, mapping.catalogue, ours.schemas["events"])
    [batch] = enrich([raw_batch([record("pointsIssued", payload)])], INDIA)
    [row] = zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return stage, stage.entity(row)


def corpus(ours: Ours, count: int, seed: int) -> Iterator[Judged]:
    """Half of them whole, from the demo's traffic and from the schemas, the others the same ones broken at random."""
    random = Random(seed)  # noqa: S311 - nothing secret is drawn
    whole: list[Judged] = [("events", entity) for entity in demo_entities(ours, count // 4)]
    schemas = {kind: strict(ours.schemas[kind]) for kind in KINDS}
    while len(whole) < count // 2:
        kind = random.choice(KINDS)
        whole.append((kind, followed(schemas[kind], random)))
    yield from whole
    for kind, entity in whole:
        yield kind, broken(entity, random)


def demo_entities(ours: Ours, count: int) -> list[Json]:
    """What the mapping makes of so many events of a demo day."""
    stage = EntityStage(load_rules(), ours.tenant, INDIA)
    raw = raw_batch(delivered_events(3000, seed=11)[:count], "events/2026-03-01/23/a.jsonl")
    rows = [
        row for batch in enrich([raw], INDIA) for row in zip(*(part.to_pylist() for part in batch.columns), strict=True)
    ]
    return [orjson.loads(stage.entity(row).text) for row in rows]


def test_ten_thousand_entities_have_the_same_verdict_here_and_there(platform: Platform, ours: Ours) -> None:
    entities = list(corpus(ours, 10_000, seed=42))
    reports = streamed(platform, entities)

    seen: Counter[str] = Counter()
    for kind, entity in entities:
        predicted, key = ours.violations(kind, entity), key_of(kind, entity)
        reported = reports.later.get(key, [])
        assert bool(predicted) == bool(reported or key in reports.at_once), (predicted, reported)
        assert not reported or differing(predicted, reported) == set(), (predicted, reported)
        seen.update({one.category for one in predicted} or {"whole"})
    assert len(entities) == 10_000
    assert seen["whole"] >= 5_000
    assert min(seen[category] for category in CATEGORIES if category not in ("size", "unclassified")) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_takes_what_we_hold_back_for_its_pattern_or_format_alone(
    platform: Platform, ours: Ours, kind: Kind
) -> None:
    # AEP's batches look at neither. We do all the same: one mapping serves both roads.
    entities = [entity for of, entity in corpus(ours, 2_000, seed=7) if of == kind]
    refused = refused_in_batch(platform, kind, entities)

    unseen = 0
    for entity in entities:
        predicted = ours.violations(kind, entity)
        looked_at = [one for one in predicted if one.category not in ("pattern", "format")]
        assert bool(looked_at) == (key_of(kind, entity) in refused), (predicted, entity)
        unseen += bool(predicted) and not looked_at
    assert unseen
