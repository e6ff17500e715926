"""Asset `erased_customers`, its job and its schedule: customers who were deleted at Capillary, erased here.

Belongs here: the asset, its check, the tick and their words. Does not belong here: erasing (`erasing.py`), work orders
(`erasure_orders.py`).
"""

import time
from typing import Any, Final

import dagster as dg

from capillary_adobe.adobe.hygiene import MOST_IDENTITIES, Hygiene
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.defs.checks import result
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import AdobeResource, LakeResource, StateResource
from capillary_adobe.defs.schema_guard import guard_in_force
from capillary_adobe.defs.shown import counts, state_table_metadata
from capillary_adobe.environment import adobe_settings, tenant_settings
from capillary_adobe.erasing import Erased, Erasing, Render
from capillary_adobe.erasure_orders import ErasureOrders
from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.mapping_in_force import in_force
from capillary_adobe.settings import (
    CapillarySettings,
    ErasureSettings,
    IdentitySettings,
    MappingSettings,
    ScheduleSettings,
    SettingsError,
    load,
)
from capillary_adobe.state import Erasures, State
from capillary_adobe.state.erasures import erasures as erasures_table
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.rule_model import MappingError

NAME: Final = "erased_customers"
GROUP: Final = "customers"
JOB: Final = "erase_deleted_customers"
SCHEDULE: Final = "erase_deleted"
CHECK: Final = "deleted_customers_are_gone"


_COLUMNS = {
    "org_id": "Capillary organisation",
    "customer_id": "The customer who was deleted",
    "noted_ms": "When Capillary or a person told of it",
    "redacted_ms": "When no current row of the tables held anything of the customer any more",
    "erased_ms": "When nothing was found of the customer in the state database and the tables' files",
    "order_id": "The work order that names the customer to AEP",
}


def build_erased_customers() -> dg.AssetsDefinition:
    """The asset; without partitions, since a customer's rows lie in any day."""

    @dg.asset(
        name=NAME,
        group_name=GROUP,
        kinds={"deltalake", "python", "sql"},
        metadata=state_table_metadata(erasures_table, _COLUMNS),
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=NAME,
                description=(
                    "A second look finds nothing of deleted customers in the tables and the state database, and nothing of "
                    "those erased before had come back. An error while rows are left: launch the job again; if it lasts, "
                    "another program writes there. A warning where some had come back and were redacted again: AEP gave "
                    "back a record that it had taken before the deletion, or another program wrote."
                ),
            )
        ],
        description=(
            "Customers who were deleted at Capillary, and accounts merged into them: their rows redacted in every table, the "
            "files that held them removed, the state database emptied. Events stay, under the customer id alone, so that the "
            "days still balance. A work order for AEP is prepared; a person approves it by `capillary-adobe erasure "
            "approve`. What lies in the landing store is left to its retention. `erase_deleted` asks for it each night; launch "
            "the job `erase_deleted_customers` to erase at once."
        ),
    )
    def erased_customers(
        context: dg.AssetExecutionContext, lake: LakeResource, state: StateResource, adobe: AdobeResource
    ) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            database, settings = state.open(), load(ErasureSettings)
            erasing = Erasing(
                RewritableLake(lake.open().url),
                database,
                settings,
                _renderer(database, adobe),
                load(IdentitySettings).max_customers,
            )
            done = erasing.run(MOST_IDENTITIES, context.log.info)
            orders = ErasureOrders(database, settings, load(CapillarySettings))
            for problem in _followed(orders, database):
                context.log.warning(problem)
            return dg.MaterializeResult(
                metadata={
                    **_shown(done, Erasures(database)),
                    "work_orders": _orders(orders),
                    "seconds": round(time.perf_counter() - started, 3),
                },
                check_results=[
                    result(
                        CHECK,
                        passed=done.left == 0 and done.came_back == 0,
                        severity=dg.AssetCheckSeverity.ERROR if done.left else dg.AssetCheckSeverity.WARN,
                        customers=done.customers,
                        rows_left=done.left,
                        rows_that_had_come_back=done.came_back,
                    )
                ],
            )

    return erased_customers


def build_erasure_job() -> Any:
    """The job."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(NAME),
        description=(
            "Erase customers who were deleted at Capillary from tables and state, and prepare the work order for AEP; started "
            "by erase_deleted each night. A run that is killed is taken up by the next one."
        ),
    )


def build_erasure_schedule() -> dg.ScheduleDefinition:
    """The schedule that erases each night."""
    times = load(ScheduleSettings)

    @dg.schedule(
        name=SCHEDULE,
        job_name=JOB,
        cron_schedule=times.erase_deleted,
        execution_timezone=times.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each night (SCHEDULE_ERASE_DELETED), erases customers who were deleted at Capillary, and looks whether anything "
            "of those erased before has come back. It skips while nobody was ever deleted."
        ),
    )
    def erase_deleted(context: dg.ScheduleEvaluationContext, state: StateResource) -> dg.SkipReason | dg.RunRequest:
        with told_plainly():
            known = Erasures(state.open()).any()
        if not known:
            return dg.SkipReason("No customer was deleted at Capillary so far.")
        return dg.RunRequest(run_key=context.scheduled_execution_time.date().isoformat())

    return erase_deleted


def _renderer(state: State, adobe: AdobeResource) -> Render:
    """How the mapping in force makes an event's entity, judged as `xdm_events` judges it."""
    force, tenant = in_force(state, load(MappingSettings)), tenant_settings(state)
    try:
        guard = guard_in_force(state, adobe, force.rules, tenant.tenant_id)
    except MappingError:
        guard = guard_in_force(state, adobe, force.sent_rules, tenant.tenant_id)
    stage = EntityStage(
        force.rules,
        tenant,
        load(CapillarySettings),
        force.catalogue,
        guard.schema,
        force.made_by,
        guard.identity_fields,
    )

    def render(row: tuple[Any, ...]) -> bytes | None:
        entity = stage.entity(row)
        return None if entity.violations else entity.text

    return render


def _followed(orders: ErasureOrders, state: State) -> list[str]:
    try:
        settings = adobe_settings(state)
    except SettingsError:
        # Without AEP there is nothing to follow.
        return []
    return orders.follow(Hygiene(Platform(settings, shared_token(settings))))


def _shown(done: Erased, erasures: Erasures) -> dict[str, Any]:
    found = erasures.counts()
    return {
        "customers": found.noted,
        "newly_noted": done.newly_noted,
        "erased": done.erased,
        "waiting": found.waiting,
        "rows_redacted": done.rows.total(),
        "rows_by_table": counts("table", done.rows),
        "state_rows_deleted": done.state_rows,
        "files_removed": done.files,
        "files_kept_for_readers": done.young_files,
    }


def _orders(orders: ErasureOrders) -> dg.TableMetadataValue:
    columns = [("order", "integer"), ("customers", "integer"), ("approved", "boolean"), ("status", "string")]
    records = [
        dg.TableRecord(
            {
                "order": one.order_id,
                "customers": one.customers,
                "approved": one.approved_ms is not None,
                "status": one.status or "waits for approval",
            }
        )
        for one in orders.all()
    ]
    return dg.MetadataValue.table(
        records=records, schema=dg.TableSchema(columns=[dg.TableColumn(name, type=kind) for name, kind in columns])
    )
