"""Assets `stores` and `programs`, the schedule and the job that keep them fresh.

Belongs here: the assets and their words. Does not belong here: what is fetched and learnt (`reference_data.py`).
"""

from typing import Any

import dagster as dg

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import sample, state_table_metadata
from capillary_adobe.reference_data import (
    learn_programs,
    not_set_up,
    organisation_api,
    refresh_programs,
    refresh_stores,
)
from capillary_adobe.settings import ScheduleSettings, load
from capillary_adobe.state import References
from capillary_adobe.state.references import programs as programs_table
from capillary_adobe.state.references import stores as stores_table
from capillary_adobe.tables import ENRICHED_EVENTS, RAW_EVENTS

GROUP = "reference"
JOB = "read_references"
_STORES = {
    "id": "Capillary store",
    "code": "Its code at Capillary",
    "name": "Its name",
    "external_id": "Its id in the organisation's own systems",
    "currency": "Its currency, ISO 4217",
    "city": "Its city",
    "active": "Whether it is open; closed ones stay, events of the past name them",
}
_PROGRAMS = {
    "id": "Capillary loyalty program",
    "name": "Its name, the newest that Capillary or an event told",
    "is_default": "Whether it is the organisation's default program",
    "points_to_currency": "What a point is worth, in the organisation's currency",
    "at_us": "When the name was true, epoch microseconds",
}


def build_stores() -> dg.AssetsDefinition:
    """The asset; without partitions, since it is as of now."""

    @dg.asset(
        name="stores",
        deps=[RAW_EVENTS.name],
        group_name=GROUP,
        kinds={"http", "sql"},
        metadata=state_table_metadata(stores_table, _STORES),
        code_version="1",
        description=(
            "The organisation's stores and tills as Capillary lists them, closed ones included. Events that have the number of "
            "a till alone get its name, its store and the store's name from here. `refresh_references` reads them each night; "
            "press Materialize to read them at once. Where Capillary does not list tills, those of recent events are asked "
            "for one by one, 200 a run. Needs CAPILLARY_API_* and the right to read the resource Organization."
        ),
    )
    def stores(lake: LakeResource, state: StateResource) -> dg.MaterializeResult:
        with told_plainly():
            missing = not_set_up()
            if missing:
                return dg.MaterializeResult(metadata={"problem": missing})
            database = state.open()
            known = References(database)
            found = refresh_stores(organisation_api(database), known, lake.open())
            stores, tills = len(known.stores()), len(known.tills())
            return dg.MaterializeResult(
                metadata={
                    "stores_read": found.stores,
                    "tills_read": found.tills,
                    "tills_listed_by_capillary": found.tills_listed,
                    "tills_left_for_the_next_run": found.tills_left,
                    "stores_known": stores,
                    "tills_known": tills,
                    "dagster/row_count": stores,
                }
            )

    return stores


def build_programs() -> dg.AssetsDefinition:
    """The asset; without partitions, since it is as of now."""

    @dg.asset(
        name="programs",
        deps=[ENRICHED_EVENTS.name],
        group_name=GROUP,
        kinds={"http", "duckdb", "sql"},
        metadata=state_table_metadata(programs_table, _PROGRAMS),
        code_version="1",
        description=(
            "The organisation's loyalty programs as Capillary lists them, and their tiers, which the events of the two latest "
            "landing days name. Events and profiles that have numbers alone get the names from here. `refresh_references` "
            "reads them each night; press Materialize to read them at once. Without CAPILLARY_API_* the events alone are read."
        ),
    )
    def programs(lake: LakeResource, state: StateResource) -> dg.MaterializeResult:
        with told_plainly():
            database = state.open()
            references = References(database)
            learnt = learn_programs(references, lake.open())
            missing = not_set_up()
            read = None if missing else refresh_programs(organisation_api(database), references)
            shown = [
                {
                    "program": one.id,
                    "name": one.name,
                    "default": one.is_default,
                    "tiers": ", ".join(f"{tier.number} {tier.name}" for tier in one.tiers),
                }
                for one in references.programs()
            ]
            return dg.MaterializeResult(
                metadata={
                    "programs_read": read.programs if read is not None else 0,
                    "names_learnt_from_events": learnt.programs + learnt.tiers,
                    "programs": sample(shown),
                    "dagster/row_count": len(shown),
                    **({"problem": missing} if missing else {}),
                }
            )

    return programs


def build_reference_job() -> Any:
    """Both assets at once."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.groups(GROUP),
        description="Read stores, tills, programs and tiers from Capillary; started by refresh_references. It only reads.",
    )


def build_reference_schedule() -> dg.ScheduleDefinition:
    """The schedule that asks for the job each night."""
    times = load(ScheduleSettings)

    @dg.schedule(
        name="refresh_references",
        job_name=JOB,
        cron_schedule=times.refresh_references,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each night (SCHEDULE_REFRESH_REFERENCES), has stores, tills, programs and tiers read from Capillary. It skips "
            "while Capillary's API is not set up."
        ),
    )
    def refresh_references() -> dg.SkipReason | dg.RunRequest:
        with told_plainly():
            missing = not_set_up()
        return dg.SkipReason(missing) if missing else dg.RunRequest()

    return refresh_references
