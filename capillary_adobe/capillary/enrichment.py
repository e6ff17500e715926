"""From raw to enriched events: names and context that the payload itself holds, and the organisation's defaults.

Belongs here: which columns are derived and how, as one SQL statement over the raw rows. Does not belong here: what the
columns become in XDM. What a payload should tell and does not is listed in `missing`, never invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import duckdb
import pyarrow as pa

from capillary_adobe.settings import CapillarySettings
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS

_PEOPLE = ("enteredBy", "addedBy", "updatedBy", "createdBy")

# Read in one pass over the text: json_extract_string with a list of paths parses each payload once.
_PATHS = {
    **{
        f"{who}_{field}": f"$.{who}.{path}"
        for who in _PEOPLE
        for field, path in {
            "store_code": "store.code",
            "store_name": "store.name",
            "store_external_id": "store.externalId",
            "till_code": "till.code",
            "till_name": "till.name",
        }.items()
    },
    "program_id": "$.loyaltyProgramDetails.id",
    "loyalty_program_id": "$.loyaltyProgramId",
    "program_name": "$.loyaltyProgramDetails.name",
    "tiers": "$.loyaltyProgramDetails.tiers",
    "upgraded": "$.upgradedTierNumber",
    "downgraded": "$.downgradedTierNumber",
    "current": "$.currentTierNumber",
    "previous": "$.previousTierNumber",
    "currency_code": "$.currencyCode",
}

SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "store_code": tuple(f"{who}.store.code" for who in _PEOPLE),
    "store_name": tuple(f"{who}.store.name" for who in _PEOPLE),
    "store_external_id": tuple(f"{who}.store.externalId" for who in _PEOPLE),
    "till_code": tuple(f"{who}.till.code" for who in _PEOPLE),
    "till_name": tuple(f"{who}.till.name" for who in _PEOPLE),
    "program_id": ("loyaltyProgramDetails.id", "loyaltyProgramId"),
    "program_name": ("loyaltyProgramDetails.name",),
    "tier_number": ("upgradedTierNumber", "downgradedTierNumber", "currentTierNumber"),
    "previous_tier_number": ("previousTierNumber",),
    "tier_name": ("loyaltyProgramDetails.tiers",),
    "previous_tier_name": ("loyaltyProgramDetails.tiers",),
    "currency": ("currencyCode",),
}
"""Where each derived column comes from in `data`, the first that says something first."""

_MACROS = """
create macro said(value) as case when trim(value) in ('', 'null') then null else trim(value) end;
create macro whole(value) as case
    when regexp_full_match(value, '[0-9]{1,18}') then cast(value as bigint)
    when try_cast(value as double) = floor(try_cast(value as double)) then try_cast(try_cast(value as double) as bigint) end;
create macro tier_called(tiers, wanted) as said(list_filter(
    tiers, lambda tier: whole(tier.tierNumber) = wanted and said(tier.tierName) is not null)[1].tierName);
"""


def _someone(field: str) -> str:
    places = [_place(f"{who}_{field}") for who in _PEOPLE]
    return f"coalesce({', '.join(f'said(found[{place}])' for place in places)})"


def _place(name: str) -> int:
    return list(_PATHS).index(name) + 1


def _statement() -> str:
    raw_columns = ", ".join(RAW_EVENTS.names)
    paths = ", ".join(f"'{path}'" for path in _PATHS.values())
    tier_schema = '[{"tierNumber": "VARCHAR", "tierName": "VARCHAR"}]'
    return f"""
    with read as (select *, json_extract_string(data, [{paths}]) as found from raw),
    named as (
        select {raw_columns},
            {_someone("store_code")} as store_code,
            {_someone("store_name")} as store_name,
            {_someone("store_external_id")} as store_external_id,
            {_someone("till_code")} as till_code,
            {_someone("till_name")} as till_name,
            coalesce(whole(said(found[{_place("program_id")}])), whole(said(found[{_place("loyalty_program_id")}])))::varchar
                as program_id,
            said(found[{_place("program_name")}]) as program_name,
            coalesce(whole(found[{_place("upgraded")}]), whole(found[{_place("downgraded")}]),
                whole(found[{_place("current")}])) as tier_number,
            whole(found[{_place("previous")}]) as previous_tier_number,
            from_json(case when json_valid(found[{_place("tiers")}]) then found[{_place("tiers")}] end, '{tier_schema}')
                as tiers,
            upper(said(found[{_place("currency_code")}])) as sent_currency
        from read
    ),
    looked_up as (
        select *,
            tier_called(tiers, tier_number) as tier_name,
            tier_called(tiers, previous_tier_number) as previous_tier_name,
            case when regexp_full_match(sent_currency, '[A-Z]{{3}}') then sent_currency else $currency end as currency,
            $zone as zone
        from named
    )
    select {raw_columns}, store_code, store_name, store_external_id, till_code, till_name, program_id, program_name,
        tier_number, tier_name, previous_tier_number, previous_tier_name, currency, zone,
        list_filter([
            case when event_name like 'transaction%' and store_code is null then 'store' end,
            case when event_name = 'transactionAdded' and not coalesce(regexp_full_match(sent_currency, '[A-Z]{{3}}'), false)
                then 'currency' end,
            case when (event_name like 'points%' or event_name like 'tier%') and program_name is null then 'program_name' end,
            case when tier_number is not null and tier_name is null then 'tier_name' end,
            case when previous_tier_number is not null and previous_tier_name is null then 'previous_tier_name' end
        ], lambda gap: gap is not null) as missing,
        customer_id as person_id, null::varchar[] as held_identities, null::varchar as looked_up, null::varchar as waits_for
    from looked_up
    """


_STATEMENT = _statement()


def enrich(raw: Iterable[pa.RecordBatch], settings: CapillarySettings) -> Iterator[pa.RecordBatch]:
    """Enriched rows for raw rows, in the same order, streaming."""
    with duckdb.connect() as connection:
        connection.execute(_MACROS)
        parameters = {"currency": settings.currency, "zone": settings.org_timezone}
        for batch in raw:
            # Batch by batch and not as one stream: order and memory are then ours and not the optimiser's.
            connection.register("raw", pa.Table.from_batches([batch]))
            enriched = connection.sql(_STATEMENT, params=parameters).to_arrow_table()
            yield from enriched.cast(ENRICHED_EVENTS.schema).combine_chunks().to_batches()
