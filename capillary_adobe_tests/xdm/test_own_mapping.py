"""A tenant's folder on the road: its custom fields and its custom event become entities, the rest as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.settings import CapillarySettings
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe_tests.capillary.events import CUSTOMER, ORG, Json, event
from capillary_adobe_tests.capillary.road import Road
from capillary_adobe_tests.xdm.transforming import ACME, INDIA, entities

OWN = with_tenant(
    {
        "events.yaml": "wallet:\n  walletToppedUp: {person: owner, natural_key: topUpId}\n"
        "custom_sources:\n  walletToppedUp: [amount, owner.customerId]\n",
        "own.yaml": """
customerAdded:
  fields:
    _tenant.brand.shoeSize: {from: "customFields[key=shoe_size].value", as: integer}
    _tenant.brand.colour: {from: "extendedFields[key=Colour].value"}
    _tenant.capillary.customFields: {omit: true}
walletToppedUp:
  event_type: loyalty.walletToppedUp
  use: [envelope]
  fields:
    _tenant.brand.amount: {from: amount, as: number, unit: money}
""",
    }
)
TOPPED_UP = event("WalletToppedUp") | {"data": {"owner": {"customerId": CUSTOMER}, "topUpId": 7, "amount": "12.5"}}
ADDED = event(
    "customerAdded",
    {
        "customFields": [{"key": "other", "value": "x"}, {"key": "SHOE_SIZE", "value": "42"}],
        "extendedFields": [{"key": "colour", "value": "red"}],
    },
)


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    road = Road(tmp_path, OWN.rules, OWN.catalogue)
    yield road
    road.state.engine.dispose()


def made(road: Road, records: list[Json], settings: CapillarySettings = INDIA) -> dict[str, Json]:
    """Entities of the landed records by event type, none of which may fail."""
    road.land("10/a.jsonl", records)
    road.run()
    raw = pa.RecordBatch.from_pylist(road.rows(RAW_EVENTS), schema=RAW_EVENTS.schema)
    stage = EntityStage(OWN.rules, ACME, settings, OWN.catalogue, extended_schema("events", "acme", OWN.rules))
    found = {}
    for batch in enrich([raw], settings):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            one = stage.entity(row)
            assert (one.violations, one.unreadable) == ([], [])
            found[one.event_type] = orjson.loads(one.text)
    return found


def test_an_event_of_the_tenant_is_known_keyed_and_made(road: Road) -> None:
    again = TOPPED_UP | {"eventId": "another"}
    entity = made(road, [TOPPED_UP, again])["loyalty.walletToppedUp"]
    assert road.rows(RAW_EVENTS, "event_name", "customer_id") == [("walletToppedUp", str(CUSTOMER))]
    assert entity["_acme"]["brand"] == {"amount": 12.5}
    assert entity["_acme"]["capillary"]["eventName"] == "walletToppedUp"
    assert entity["identityMap"]["capillaryCustomerId"][0]["id"] == str(CUSTOMER)
    assert road.rows(RAW_EVENTS, "event_key") == [entity["_id"]]


def test_custom_fields_are_mapped_by_name_to_typed_fields(road: Road) -> None:
    entity = made(road, [ADDED])["loyalty.customerAdded"]
    assert entity["_acme"]["brand"] == {"shoeSize": 42, "colour": "red"}
    assert "customFields" not in entity["_acme"]["capillary"]
    assert entity["_acme"]["capillary"]["extendedFields"] == [{"name": "colour", "value": "red"}]


def test_other_events_are_made_as_without_the_folder(road: Road) -> None:
    other = event("pointsExpired", {"pointsExpired": 5})
    [shipped] = entities([other])
    entity = made(road, [other])["loyalty.pointsExpired"]
    assert entity == orjson.loads(shipped.text)


@pytest.mark.parametrize("with_org", [True, False])
def test_the_field_with_the_customer_says_what_the_identity_map_says(road: Road, with_org: bool) -> None:
    settings = INDIA.model_copy(update={"identity_with_org": with_org})
    entity = made(road, [TOPPED_UP], settings)["loyalty.walletToppedUp"]
    identity = entity["identityMap"]["capillaryCustomerId"][0]["id"]
    assert (
        entity["_acme"]["capillary"]["customerId"] == identity == (f"{ORG}-{CUSTOMER}" if with_org else str(CUSTOMER))
    )
