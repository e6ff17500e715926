"""From raw to enriched events: names and context that the payload holds, the names of what it has only numbers of, and the
organisation's defaults.

Belongs here: which columns are derived and how, as one SQL statement over the raw rows; where what is known from elsewhere
comes in. Does not belong here: what that is (`known_elsewhere.py`), what the columns become in XDM. What a payload should
tell and nobody else does is listed in `missing`, never invented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from capillary_adobe.capillary.names import NO_NAMES, Names
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
    # An export may tell a tier's name without its number, or without the others of its program.
    "exported_tier": "$.exportedTier.name",
    "exported_previous_tier": "$.exportedTier.previousName",
    "currency_code": "$.currencyCode",
    # The till, though its name does not say so.
    **{f"{who}_id": f"$.{who}.id" for who in _PEOPLE},
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


class Known(NamedTuple):
    """What is known of the rows of a batch from elsewhere, a list a column; `gaps` goes into `missing`."""

    person_id: list[str | None]
    held_identities: list[list[str] | None]
    looked_up: list[str | None]
    waits_for: list[str | None]
    gaps: list[list[str]]


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


def _till_id() -> str:
    places = [_place(f"{who}_id") for who in _PEOPLE]
    return f"coalesce({', '.join(f'whole(said(found[{place}]))' for place in places)})"


def _place(name: str) -> int:
    return list(_PATHS).index(name) + 1


def _statement() -> str:
    raw_columns = ", ".join(RAW_EVENTS.names)
    paths = ", ".join(f"'{path}'" for path in _PATHS.values())
    tier_schema = '[{"tierNumber": "VARCHAR", "tierName": "VARCHAR"}]'
    return f"""
    with read as (select *, json_extract_string(data, [{paths}]) as found from raw),
    told as (
        select place, {raw_columns},
            {_someone("store_code")} as told_store_code,
            {_someone("store_name")} as told_store_name,
            {_someone("store_external_id")} as told_store_external_id,
            {_someone("till_code")} as told_till_code,
            {_someone("till_name")} as told_till_name,
            {_till_id()} as till_id,
            coalesce(whole(said(found[{_place("program_id")}])), whole(said(found[{_place("loyalty_program_id")}])))
                as program_number,
            said(found[{_place("program_name")}]) as told_program_name,
            coalesce(whole(found[{_place("upgraded")}]), whole(found[{_place("downgraded")}]),
                whole(found[{_place("current")}])) as tier_number,
            whole(found[{_place("previous")}]) as previous_tier_number,
            from_json(case when json_valid(found[{_place("tiers")}]) then found[{_place("tiers")}] end, '{tier_schema}')
                as tiers,
            said(found[{_place("exported_tier")}]) as exported_tier_name,
            said(found[{_place("exported_previous_tier")}]) as exported_previous_tier_name,
            upper(said(found[{_place("currency_code")}])) as sent_currency
        from read
    ),
    -- A payload that names its store is believed; the till's own store counts for one that has the till's number alone.
    placed as (
        select told.*,
            coalesce(told_till_code, known_tills.code) as till_code,
            coalesce(told_till_name, known_tills.name) as till_name,
            coalesce(told_store_code, known_tills.store_code) as store_code
        from told left join known_tills on known_tills.id = told.till_id
    ),
    named as (
        select placed.*,
            coalesce(told_store_name, known_stores.name) as store_name,
            coalesce(told_store_external_id, known_stores.external_id) as store_external_id,
            program_number::varchar as program_id,
            coalesce(told_program_name, known_programs.name) as program_name,
            coalesce(tier_called(tiers, tier_number), exported_tier_name, after.name) as tier_name,
            coalesce(tier_called(tiers, previous_tier_number), exported_previous_tier_name, before.name)
                as previous_tier_name,
            case when regexp_full_match(sent_currency, '[A-Z]{{3}}') then sent_currency else $currency end as currency,
            $zone as zone
        from placed
        left join known_stores on known_stores.code = placed.store_code
        left join known_programs on known_programs.id = placed.program_number
        left join known_tiers as after on after.program_id = placed.program_number and after.number = placed.tier_number
        left join known_tiers as before
            on before.program_id = placed.program_number and before.number = placed.previous_tier_number
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
    from named order by place
    """


_STATEMENT = _statement()


def enrich(
    raw: Iterable[pa.RecordBatch],
    settings: CapillarySettings,
    names: Names = NO_NAMES,
    known: Callable[[pa.RecordBatch], Known] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Enriched rows for raw rows, in the same order, streaming.

    `names` are those of the organisation's stores, tills, programs and tiers. `known` is shown enriched rows and tells what
    is known of them from elsewhere; without it that is nothing, as for events that are only tried.
    """
    with duckdb.connect() as connection:
        connection.execute(_MACROS)
        for table, rows in names.tables().items():
            connection.register(table, rows)
        parameters = {"currency": settings.currency, "zone": settings.org_timezone}
        for batch in raw:
            # Batch by batch and not as one stream: order and memory are then ours and not the optimiser's.
            numbered = batch.append_column("place", pa.array(range(batch.num_rows), pa.int64()))
            connection.register("raw", pa.Table.from_batches([numbered]))
            enriched = connection.sql(_STATEMENT, params=parameters).to_arrow_table()
            for part in enriched.cast(ENRICHED_EVENTS.schema).combine_chunks().to_batches():
                yield part if known is None else _with(part, known(part))


def _with(part: pa.RecordBatch, known: Known) -> pa.RecordBatch:
    schema = ENRICHED_EVENTS.schema
    told = part.column("missing").to_pylist()
    columns = {
        "person_id": known.person_id,
        "held_identities": known.held_identities,
        "looked_up": known.looked_up,
        "waits_for": known.waits_for,
        "missing": [[*gaps, *more] for gaps, more in zip(told, known.gaps, strict=True)],
    }
    arrays = [
        pa.array(columns[name], schema.field(name).type) if name in columns else part.column(name)
        for name in ENRICHED_EVENTS.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def with_known_as_stored(again: pa.RecordBatch, stored: pa.RecordBatch) -> pa.RecordBatch:
    """Enriched rows that were made again from the raw events alone, with what the stored rows know from elsewhere.

    The rows are those of the same events in the same order. What payloads tell is that of `again`.
    """
    arrays = []
    for name in ENRICHED_EVENTS.names:
        made, kept = again.column(name), stored.column(name)
        if name in _FROM_ELSEWHERE:
            arrays.append(kept)
        elif name in SOURCES:
            arrays.append(pc.call_function("coalesce", [made, kept]))
        else:
            arrays.append(made)
    return pa.RecordBatch.from_arrays(arrays, schema=ENRICHED_EVENTS.schema)


_FROM_ELSEWHERE: Final = ("person_id", "held_identities", "looked_up", "waits_for", "missing")
