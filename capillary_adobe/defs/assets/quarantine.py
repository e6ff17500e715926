"""Asset `quarantine`: what could not go on, counted and shown by reason.

Belongs here: the asset and its words. Does not belong here: refusing; `raw_events`, `xdm_events` and `ingestion_status`
write the rows in the same step that refuses a record, so that none is lost in between.
"""

import dagster as dg

from capillary_adobe.adobe.replay import refused_by_cause
from capillary_adobe.balance import UNREADABLE, grouped
from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import counts, definition_metadata, preview
from capillary_adobe.lake import Slice
from capillary_adobe.reasons import AEP_REASONS, RAW_REASONS, XDM_REASONS
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_EVENTS

NAME = QUARANTINE.name
PREVIEW = ["stage", "code", "event_name", "pointer", "object", "line", "detail"]


def build_quarantine(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        deps=[RAW_EVENTS.name, XDM_EVENTS.name, INGESTION_STATUS.name],
        group_name="delivery",
        kinds={"deltalake"},
        owners=["team:data"],
        metadata=definition_metadata(QUARANTINE),
        code_version="1",
        check_specs=[
            claim(
                NAME,
                "every_reason_is_documented",
                "Every code in quarantine has an entry with its cure in docs/troubleshooting.md. If this fails, the table "
                "holds rows of a newer version of the software.",
                partitions,
            )
        ],
        description=(
            "Lines and entities that could not go on, each with stage, reason code, plain words and the original text. "
            "Look the code up in docs/troubleshooting.md; when the cause is mended, materialize the partition from "
            "`raw_events` on and they are tried again. What AEP itself refused (stage `aep`) goes again by the job "
            "`replay_cause`. Materializing this asset alone counts the day anew."
        ),
    )
    def quarantine(context: dg.AssetExecutionContext, lake: LakeResource, state: StateResource) -> dg.MaterializeResult:
        with told_plainly():
            tables = lake.open()
            part = Slice(context.partition_key)
            by_stage = grouped(tables, QUARANTINE, part, "stage")
            refused = refused_by_cause(state.open(), part.day)
            codes = {code: n for (code,), n in grouped(tables, QUARANTINE, part, "code").items()}
            named = grouped(tables, QUARANTINE, part, f"coalesce(event_name, '{UNREADABLE}')")
            meanings = RAW_REASONS | XDM_REASONS | AEP_REASONS
            undocumented = sorted(set(codes) - set(meanings))
            return dg.MaterializeResult(
                metadata={
                    "lines": by_stage.get(("raw",), 0),
                    "entities": by_stage.get(("xdm",), 0),
                    "refused_by_aep": by_stage.get(("aep",), 0),
                    "dagster/partition_row_count": sum(codes.values()),
                    "by_code": counts("code", {f"{code}: {meanings.get(code, '?')}": n for code, n in codes.items()}),
                    "by_cause_at_aep": counts("cause", refused),
                    "by_event_type": counts("event type", {name: n for (name,), n in named.items()}),
                    "preview": preview(tables, QUARANTINE, part, PREVIEW),
                    "dagster/uri": tables.uri(QUARANTINE),
                },
                check_results=[
                    result(
                        "every_reason_is_documented",
                        passed=not undocumented,
                        severity=dg.AssetCheckSeverity.WARN,
                        undocumented=", ".join(undocumented) or "none",
                    )
                ],
            )

    return quarantine
