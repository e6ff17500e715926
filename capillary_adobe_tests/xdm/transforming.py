"""From records to entities as the road makes them: raw rows, enrichment, mapping, verdict.

Belongs here: the way, and the samples. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import orjson

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.xdm.entities import Entity, EntityStage
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.capillary.events import OBJECT, Json, event, raw_batch
from capillary_adobe_tests.xdm.official import reference_dir

INDIA = CapillarySettings(org_timezone="Asia/Kolkata", currency="INR")
ACME = TenantSettings(tenant_id="acme")


def entities(
    records: Iterable[Json],
    settings: CapillarySettings = INDIA,
    landed_object: str = OBJECT,
) -> list[Entity]:
    """The entity of each record, good or not."""
    stage = _stage(settings.model_dump_json())
    return [stage.entity(row) for row in _rows(records, settings, landed_object)]


@cache
def _stage(settings: str) -> EntityStage:
    return EntityStage(load_rules(), ACME, CapillarySettings.model_validate_json(settings))


def _rows(records: Iterable[Json], settings: CapillarySettings, landed_object: str) -> Iterator[tuple[Any, ...]]:
    for batch in enrich([raw_batch(records, landed_object)], settings):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def entity(record: Json, settings: CapillarySettings = INDIA, landed_object: str = OBJECT) -> Json:
    """The entity of a record that must be good."""
    [made] = entities([record], settings, landed_object)
    assert made.violations == []
    return orjson.loads(made.text)


def body(name: str, data: Json, settings: CapillarySettings = INDIA, **envelope: Any) -> Json:
    """What the mapping makes of a payload: the entity without its head and the envelope's fields."""
    made = entity(event(name, data, **envelope), settings)
    own = made.pop("_acme", {"capillary": {}})["capillary"]
    for field in ("eventName", "eventId", "customerId", "orgId", "refId", "apiRequestId", "createdAt"):
        own.pop(field, None)
    for field in ("_id", "timestamp", "producedBy", "identityMap"):
        del made[field]
    return made | ({"own": own} if own else {})


def sample(name: str) -> Json:
    """A realistic payload of an event, in the envelope it was published in."""
    return orjson.loads((reference_dir() / "samples" / f"{name}.json").read_bytes())


def empty_places(value: Any, place: str = "") -> list[str]:
    """Where an entity holds null or nothing."""
    if value is None or value in ("", [], {}):
        return [place or "/"]
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, member in members for found in empty_places(member, f"{place}/{key}")]
