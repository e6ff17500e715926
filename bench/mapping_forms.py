"""Two forms of the mapping over the same payloads: the compiled Python functions, and SQL in DuckDB.

Run: `.venv/bin/python -m bench.mapping_forms`. The SQL is a favourable case for DuckDB: one event type, no alternates, no
numbers as text, no list of fields that could not be read. Its JSON still holds nulls and empty objects, which AEP refuses
and which SQL has no function to drop at depth, so the form that can be sent parses, drops and writes once more.
DuckDB uses every core; CPU seconds count what the other core cannot do meanwhile (the table writer needs it).
Alternating runs, medians, ratios of one run; asserts nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe.demo.traffic import Mix, day_of_events
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.language.compiler import compile_rules
from capillary_adobe.xdm.language.rules import load_rules

EVENT = "pointsIssued"
PAYLOADS = 20_000
ROUNDS = 5

SQL = """
with read as (select json_transform(data, '{"totalPointsIssued": "DOUBLE", "regularPointsIssued": "DOUBLE",
    "programCurrentPoints": "DOUBLE", "programLifetimePoints": "DOUBLE", "loyaltyProgramId": "VARCHAR",
    "loyaltyProgramDetails": {"id": "VARCHAR", "name": "VARCHAR", "isDefault": "BOOLEAN", "pointsToCurrencyRatio": "DOUBLE"},
    "entityInformation": {"entityType": "VARCHAR", "entityId": "VARCHAR"},
    "triggeringActivity": {"name": "VARCHAR", "identifiers": [{"key": "VARCHAR", "value": "VARCHAR"}]},
    "regularPointsBreakup": [{"points": "DOUBLE", "expiryAt": "VARCHAR", "expiryAtInMillis": "BIGINT"}],
    "promotionalPointsIssued": [{"promotionIdentifier": "VARCHAR", "promotionType": "VARCHAR", "promotionPoints": "DOUBLE",
        "promotionPointsExpiryDateInMillis": "BIGINT"}],
    "promisedPointsIssued": [{"promisedPoints": "DOUBLE", "isExternalTriggerBased": "BOOLEAN",
        "promisedPointsConversionDateInMillis": "BIGINT"}]}') as d from payloads)
select to_json({
    'loyalty': {'pointsGained': list_transform(d.promotionalPointsIssued, lambda p: {'value': p.promotionPoints,
        'promotionId': p.promotionIdentifier, 'loyaltyProgramId': d.loyaltyProgramId})},
    '_demo': {'capillary': {
        'trigger': d.triggeringActivity, 'program': d.loyaltyProgramDetails, 'entity': d.entityInformation,
        'points': {'total': d.totalPointsIssued, 'regular': d.regularPointsIssued, 'balance': d.programCurrentPoints,
            'lifetime': d.programLifetimePoints,
            'regularBreakup': list_transform(d.regularPointsBreakup, lambda b: {'points': b.points,
                'expiryDate': strftime(make_timestamp_ms(b.expiryAtInMillis), '%Y-%m-%dT%H:%M:%S.%gZ')}),
            'promotional': list_transform(d.promotionalPointsIssued, lambda p: {'promotionId': p.promotionIdentifier,
                'promotionType': p.promotionType, 'points': p.promotionPoints,
                'expiryDate': strftime(make_timestamp_ms(p.promotionPointsExpiryDateInMillis), '%Y-%m-%dT%H:%M:%S.%gZ')}),
            'promised': list_transform(d.promisedPointsIssued, lambda p: {'points': p.promisedPoints,
                'conversionDate': strftime(make_timestamp_ms(p.promisedPointsConversionDateInMillis),
                    '%Y-%m-%dT%H:%M:%S.%gZ'),
                'externalTrigger': p.isExternalTriggerBased})}}}
})::varchar as entity from read
"""


def main() -> None:
    payloads = _payloads()
    forms: dict[str, Callable[[], int]] = {
        "compiled Python, to bytes": lambda: _python(payloads),
        "DuckDB SQL, text with nulls": lambda: _sql(payloads, sendable=False),
        "DuckDB SQL, ready to send": lambda: _sql(payloads, sendable=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    cpu: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            started, used = time.perf_counter(), time.process_time()
            assert form() == len(payloads)
            seconds[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - used)
    print(f"{len(payloads)} payloads of {EVENT}, medians of {ROUNDS} alternating runs, microseconds an event")
    for kind, measured in (("wall", seconds), ("CPU", cpu)):
        base = statistics.median(measured["compiled Python, to bytes"])
        for name, runs in measured.items():
            median = statistics.median(runs)
            print(f"{kind:5} {name:30} {median / len(payloads) * 1e6:7.1f} {median / base:6.2f} x")


def _payloads() -> list[bytes]:
    found: list[bytes] = []
    for _, line in day_of_events(date(2026, 11, 19), PAYLOADS * 5, mix=Mix.clean()):
        try:
            envelope = unwrap(orjson.loads(line))
        except NotAnEvent:
            continue
        event_type = shipped_catalogue().find(envelope.event_name)
        if event_type is not None and event_type.name == EVENT:
            found.append(orjson.dumps(envelope.data))
        if len(found) == PAYLOADS:
            break
    return found


def _python(payloads: list[bytes]) -> int:
    transform = compile_rules(load_rules(), "demo")[EVENT]
    values: dict[str, Any] = dict.fromkeys(ENRICHED_EVENTS.names)
    columns = values | {"zone": "Asia/Kolkata", "created_ms": 1795000000000, "program_id": "5"}
    row = (*columns.values(), "387599999")
    return sum(bool(orjson.dumps(transform(orjson.loads(payload), row, []).fields)) for payload in payloads)


def _sql(payloads: list[bytes], *, sendable: bool) -> int:
    with duckdb.connect() as connection:
        connection.register("payloads", pa.table({"data": pa.array(payloads, pa.binary()).cast(pa.string())}))
        entities = connection.sql(SQL).to_arrow_table()["entity"]
    if sendable:
        return sum(bool(orjson.dumps(_without_empty(orjson.loads(entity.as_py())))) for entity in entities)
    return len(entities)


def _without_empty(value: Any) -> Any:
    if type(value) is dict:
        kept = {key: _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", [], {})}
    if type(value) is list:
        return [inner for inner in map(_without_empty, value) if inner not in (None, "", [], {})]
    return value


if __name__ == "__main__":
    main()
