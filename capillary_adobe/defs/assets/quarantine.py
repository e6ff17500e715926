"""Asset `quarantine`: what could not go on, counted and shown by reason.

Belongs here: the asset and its words. Does not belong here: refusing; `raw_events`, `xdm_events` and `ingestion_status`
write the rows in the same step that refuses a record, so that none is lost in between.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from capillary_adobe.adobe.replay import refused_by_cause
from capillary_adobe.balance import UNREADABLE, grouped
from capillary_adobe.defs.by_day import backfill_policy, by_day
from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import by_cause, counts, definition_metadata, preview
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.profile_making import STAGE as PROFILES
from capillary_adobe.reasons import AEP_REASONS, RAW_REASONS, XDM_REASONS
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_EVENTS
from capillary_adobe.xdm.faults import Fault
from capillary_adobe.xdm.violations import any_element

NAME = QUARANTINE.name
PREVIEW = ["stage", "code", "event_name", "pointer", "category", "value_type", "rule", "object", "line", "detail"]
_OF_A_CAUSE = ("event_name", "pointer", "code", "category", "keyword", "value_type", "rule", "cure")


def build_quarantine(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=[RAW_EVENTS.name, XDM_EVENTS.name, INGESTION_STATUS.name],
        group_name="delivery",
        kinds={"deltalake"},
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
            "`by_cause` names the line of the mapping and the cure, docs/troubleshooting.md each code; when it is mended, "
            "materialize the partition from `raw_events` on and they are tried again. What AEP itself refused (stage `aep`) "
            "goes again by the job `replay_cause`. Materializing this asset alone counts the day anew."
        ),
    )
    def quarantine(context: dg.AssetExecutionContext, lake: LakeResource, state: StateResource) -> Iterator[Any]:
        def count(day: str) -> DayShown:
            tables = lake.open()
            part = Slice(day)
            by_stage = grouped(tables, QUARANTINE, part, "stage")
            refused = refused_by_cause(state.open(), part.day)
            codes = {code: n for (code,), n in grouped(tables, QUARANTINE, part, "code").items()}
            named = grouped(tables, QUARANTINE, part, f"coalesce(event_name, '{UNREADABLE}')")
            meanings = RAW_REASONS | XDM_REASONS | AEP_REASONS
            undocumented = sorted(set(codes) - set(meanings))
            return DayShown(
                metadata={
                    "lines": by_stage.get(("raw",), 0),
                    "entities": by_stage.get(("xdm",), 0),
                    "profiles": by_stage.get((PROFILES,), 0),
                    "refused_by_aep": by_stage.get(("aep",), 0),
                    "dagster/partition_row_count": sum(codes.values()),
                    **{f"code_{code}": n for code, n in sorted(codes.items())},
                    "by_code": counts("code", {f"{code}: {meanings.get(code, '?')}": n for code, n in codes.items()}),
                    "by_cause": by_cause(_faults(tables, part)),
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

        yield from by_day(context, MicroBatchConfig(), state.open, count)

    return quarantine


def _faults(tables: Lake, part: Slice) -> Counter[Fault]:
    """Entities of a day by what is wrong with them; the first fault of each. Lines have none, and no older rows."""
    columns = ", ".join(f"coalesce({name}, '')" for name in _OF_A_CAUSE)
    found: Counter[Fault] = Counter()
    for values, n in grouped(tables, QUARANTINE, part, columns).items():
        fault = Fault(*values)
        if fault.category:
            found[fault._replace(pointer=any_element(fault.pointer) or "/")] += n
    return found
