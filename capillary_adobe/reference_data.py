"""Reference data: stores, tills, programs and tiers, fetched from Capillary and learnt from events.

Belongs here: what is fetched, what is learnt, and how much of it at once. Does not belong here: the calls
(`capillary.api.organisation`), the rows (`state.references`), the assets (`defs/references.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from capillary_adobe.capillary.api.client import CapillaryApi
from capillary_adobe.capillary.api.organisation import OrganisationApi, Till
from capillary_adobe.capillary.api.turns import lookup_pacer
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.settings import CapillaryApiSettings, load
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe.state.database import State
from capillary_adobe.state.references import Named, References, Tier
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS, Table

TILLS_AT_ONCE: Final = 200
"""Tills that are asked for one by one in a run, where Capillary does not list them."""

_LATEST_DAYS = 2
_PEOPLE = ("enteredBy", "addedBy", "updatedBy", "createdBy")
_LEARNT = ("program_id", "program_name", "tier_number", "tier_name", "previous_tier_number", "previous_tier_name")

_NAMED = """
with told as (
    select try_cast(program_id as bigint) as program_id, created_ms, unnest([
        {'is_tier': false, 'number': null::bigint, 'name': program_name},
        {'is_tier': true, 'number': tier_number, 'name': tier_name},
        {'is_tier': true, 'number': previous_tier_number, 'name': previous_tier_name}
    ]) as one from events
)
select program_id, one.number, arg_max(one.name, created_ms), max(created_ms) from told
where program_id is not null and one.name is not null and (not one.is_tier or one.number is not null)
group by program_id, one.is_tier, one.number
"""


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found; `tills_listed` is False where tills had to be asked for one by one."""

    stores: int = 0
    tills: int = 0
    tills_listed: bool = True
    tills_left: int = 0
    programs: int = 0
    tiers: int = 0


def not_set_up() -> str:
    """Why Capillary cannot be asked; empty where it can."""
    if load(CapillaryApiSettings).complete:
        return ""
    return (
        "Capillary's API is not set up: set CAPILLARY_API_URL, CAPILLARY_API_KEY and CAPILLARY_API_SECRET. Until then events "
        "and profiles carry the names that the payloads tell."
    )


def organisation_api(state: State) -> OrganisationApi:
    """The organisation's API at the pace of look-ups.

    Raises:
        SettingsError: naming what of CAPILLARY_API_* is missing.
    """
    pacer = lookup_pacer(state, load(LookupSettings), "history")
    return OrganisationApi(CapillaryApi(load(CapillaryApiSettings), pacer=pacer))


def refresh_stores(api: OrganisationApi, references: References, lake: Lake) -> Refreshed:
    """Fetch stores and tills; where tills are not listed, those that recent events name by number alone.

    Raises:
        CapillaryApiError: Capillary refuses or does not answer; what came before that is kept.
        StateError, LakeError: the place cannot be used.
    """
    stores = api.stores()
    references.keep_stores(stores)
    tills = api.tills()
    if tills is not None:
        references.keep_tills(tills)
        return Refreshed(stores=len(stores), tills=len(tills))
    known = {one.id for one in references.tills()}
    unknown = sorted(_till_ids(lake) - known)
    asked = unknown[:TILLS_AT_ONCE]
    for till_id in asked:
        # One that Capillary does not know is kept without a name, so that nobody asks for it again.
        found = api.till(till_id) or Till(till_id, None, None, active=False)
        references.keep_tills([found])
    return Refreshed(stores=len(stores), tills=len(asked), tills_listed=False, tills_left=len(unknown) - len(asked))


def refresh_programs(api: OrganisationApi, references: References) -> Refreshed:
    """Fetch programs, and the tiers that they list.

    Raises:
        CapillaryApiError: Capillary refuses or does not answer.
        StateError: the state database cannot be used.
    """
    asked_us = time.time_ns() // 1000
    programs = api.programs()
    references.keep_programs(programs, asked_us)
    return Refreshed(programs=len(programs), tiers=sum(len(one.tiers) for one in programs))


def learn_programs(references: References, lake: Lake) -> Refreshed:
    """Take in the names of programs and tiers that the events of the latest landing days tell.

    Raises:
        StateError, LakeError: the place cannot be used.
    """
    programs: list[Named] = []
    tiers: list[tuple[Tier, int]] = []
    for row in _grouped(lake, ENRICHED_EVENTS, [*_LEARNT, "created_ms"], _NAMED):
        program_id, number, name, created_ms = row
        if number is None:
            programs.append(Named(program_id, name, created_ms * 1000))
        else:
            tiers.append((Tier(program_id, number, name), created_ms * 1000))
    references.merge_programs(programs)
    references.merge_tiers(tiers)
    return Refreshed(programs=len(programs), tiers=len(tiers))


def _till_ids(lake: Lake) -> set[int]:
    """Numbers of tills in the events of the latest landing days."""
    places = ", ".join(f"'$.{who}.id'" for who in _PEOPLE)
    query = f"""
        select distinct try_cast(found as bigint) as id
        from (select unnest(json_extract_string(data, [{places}])) as found from events)
    """
    return {row[0] for row in _grouped(lake, RAW_EVENTS, ["data"], query) if row[0] is not None and row[0] > 0}


def _grouped(lake: Lake, table: Table, columns: list[str], query: str) -> list[tuple[Any, ...]]:
    """A query over `events`, the rows of the latest landing days, streaming."""
    schema = pa.schema([table.schema.field(name) for name in columns])

    def rows() -> Iterator[pa.RecordBatch]:
        for day in lake.days(table)[-_LATEST_DAYS:]:
            for batch in lake.read(table, Slice(day), columns):
                yield batch.cast(schema)

    with duckdb.connect() as connection:
        connection.register("events", pa.RecordBatchReader.from_batches(schema, rows()))
        connection.sql("set memory_limit = '256MB'")
        return connection.sql(query).fetchall()
