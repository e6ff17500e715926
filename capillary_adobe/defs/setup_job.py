"""Asset `adobe_environment`: what this installation needs in AEP, looked at or made.

Belongs here: the asset, its check, its run config and their words. Does not belong here: the set-up (`adobe.setup`).
"""

from typing import Final

import dagster as dg
from pydantic import Field

from capillary_adobe.adobe.setup import Action, Plan
from capillary_adobe.defs.checks import result
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.defs.shown import state_table_metadata
from capillary_adobe.setting_up import demand_none_joins, open_setup
from capillary_adobe.state.environment import environment

NAME: Final = "adobe_environment"
GROUP: Final = "environment"
CHECK: Final = "environment_matches"


class SetupConfig(dg.Config):
    """Leave as it is to look and change nothing."""

    apply: bool = Field(default=False, description="Make what the plan says is missing. Otherwise nothing is changed.")
    card: bool = Field(default=False, description="Also the namespace capillaryCardNumber.")
    enable_profile: bool = Field(
        default=False,
        description=(
            "Enable schemas and datasets for Profile. Cannot be undone: the schemas stay in the union for ever, their "
            "fields are fixed, all data goes into the Real-Time Customer Profile and counts towards what is licensed."
        ),
    )


_COLUMNS = {
    "org_id": "AEP's organisation",
    "sandbox": "Its sandbox",
    "name": "The variable that the value stands for",
    "value": "Id of what was made in AEP",
    "written_ms": "When it was recorded",
}


def build_adobe_environment() -> dg.AssetsDefinition:
    """The asset; without partitions, since a sandbox is set up once."""

    @dg.asset(
        name=NAME,
        group_name=GROUP,
        kinds={"adobe"},
        metadata=state_table_metadata(environment, _COLUMNS),
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=NAME,
                description=(
                    "Everything that this installation needs in AEP is there and as it must be. If not, the table says what "
                    "differs: run the job `adobe_setup` with `apply: true` for what is missing, and do by hand what is marked "
                    "as needing a person."
                ),
            )
        ],
        description=(
            "The objects in AEP that delivery needs: namespaces, field groups, schemas, datasets, inlet, dataflows. "
            "Materialize to see the plan and what differs; nothing is changed. To make what is missing, launch the job "
            "`adobe_setup` with `ops.adobe_environment.config.apply: true`: it looks before it makes anything, and goes on "
            "where an earlier run was interrupted. The ids are recorded; a variable that is set overrides its entry."
        ),
    )
    def adobe_environment(
        context: dg.AssetExecutionContext, config: SetupConfig, state: StateResource
    ) -> dg.MaterializeResult:
        with told_plainly():
            setup = open_setup(state.open(), card=config.card, enable_profile=config.enable_profile)
            if config.apply and config.enable_profile and setup.plan().changes:
                demand_none_joins(state.open())
            plan = setup.apply(context.log.info) if config.apply else setup.plan()
            changed = len(plan.changes) if config.apply else 0
            return dg.MaterializeResult(
                metadata={
                    "sandbox": plan.sandbox,
                    "organisation": plan.org_id,
                    "tenant_id": plan.tenant_id,
                    "objects": len(plan.steps),
                    "changed": changed,
                    "to_change": 0 if config.apply else len(plan.changes),
                    "need_a_person": len(plan.blocked),
                    "profile": config.enable_profile,
                    "plan": _table(plan),
                },
                check_results=[
                    result(
                        CHECK,
                        passed=not plan.differences,
                        severity=_severity(plan),
                        differences=len(plan.differences),
                        what_differs=dg.MetadataValue.md("\n".join(f"* {one}" for one in plan.differences) or "none"),
                    )
                ],
            )

    return adobe_environment


def _severity(plan: Plan) -> dg.AssetCheckSeverity:
    """An error while something is missing or needs a person; what is merely odd is a warning."""
    missing = any(step.action is Action.CREATE for step in plan.changes) and not plan.carried_out
    return dg.AssetCheckSeverity.ERROR if missing or plan.blocked else dg.AssetCheckSeverity.WARN


def _table(plan: Plan) -> dg.TableMetadataValue:
    columns = ("action", "object", "name", "id", "detail")
    schema = dg.TableSchema(columns=[dg.TableColumn(name, type="string") for name in columns])
    records = []
    for step in plan.steps:
        shown = step.as_dict()
        detail = "; ".join([shown["detail"], *step.differences]).removeprefix("; ")
        records.append(dg.TableRecord({**{name: shown[name] for name in columns[:4]}, "detail": detail}))
    return dg.MetadataValue.table(records=records, schema=schema)
