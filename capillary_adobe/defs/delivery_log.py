"""Asset `capillary_delivery_log`: what Capillary says it sent in a day, held against what landed.

Belongs here: the asset, its check and their words. Does not belong here: the account (`reconciling.py`) and when it is
drawn (`defs/reconcile_schedule.py`).
"""

import dagster as dg

from capillary_adobe.defs.assets.landing import LANDING
from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.defs.shown import counts, sample
from capillary_adobe.reconciling import Reconciliation, iso, not_set_up, open_reconciler
from capillary_adobe.sent_and_landed import MEANINGS, Judged

NAME = "capillary_delivery_log"
GROUP = "source"
CHECK = "all_sent_has_landed"
_MOST_NAMED = 100


def build_capillary_delivery_log(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        deps=[LANDING],
        group_name=GROUP,
        kinds={"http", "duckdb"},
        code_version="1",
        check_specs=[
            claim(
                NAME,
                CHECK,
                "Every event that Capillary's log of the day calls delivered has landed, and none was given up. An error means "
                "that events are lost between Capillary and the landing store: `lost` names them by id. Look for them by id at "
                "Capillary and have them sent again, then materialize the partition again. A warning means that some are still "
                "on their way, that the log may not be whole, or that Capillary's API is not set up (CAPILLARY_API_URL).",
                partitions,
            )
        ],
        description=(
            "What Capillary says it sent to the webhook on this day, event by event, held against everything that landed: raw "
            "events, duplicates, ignored ones, quarantine, and objects that no run has read yet. The day is that in which "
            "Capillary took the event in. `reconcile_yesterday` asks for it each morning and once more after eight days, when "
            "Capillary tries nothing of it any longer. Press Materialize to look again; it only reads. "
            "`capillary-adobe reconcile` prints the same."
        ),
    )
    def capillary_delivery_log(
        context: dg.AssetExecutionContext, landing: LandingResource, lake: LakeResource, state: StateResource
    ) -> dg.MaterializeResult:
        with told_plainly():
            missing = not_set_up()
            if missing:
                return dg.MaterializeResult(
                    metadata={"problem": missing},
                    check_results=[
                        result(CHECK, passed=False, severity=dg.AssetCheckSeverity.WARN, problem=missing),
                    ],
                )
            reconciler = open_reconciler(landing.open(), lake.open(), state.open())
            account = reconciler.account(context.partition_key, context.log.info)
            return dg.MaterializeResult(metadata=_shown(account), check_results=[_checked(account)])

    return capillary_delivery_log


def _shown(account: Reconciliation) -> dict[str, dg.MetadataValue | int | str]:
    others = account.not_in_log_by_lane()
    return {
        "sent": account.sent,
        **account.outcomes,
        "lost_events": len(account.lost),
        "not_in_log": sum(others.values()),
        "unread_objects": account.unread_objects,
        "without_event_id": account.without_event_id,
        "log_events_without_id": account.log.without_id,
        "matched_by_request": account.matched_by_request,
        "log_rows": account.log.rows,
        "log_requests": account.log.requests,
        "by_outcome": counts(
            "outcome", {f"{name}: {MEANINGS[Judged(name)]}": n for name, n in account.outcomes.items()}
        ),
        "by_event_type": sample(
            [
                {"event type": name, **{str(judged): found.get(judged, 0) for judged in Judged}}
                for name, found in account.by_event_type.items()
            ]
        ),
        "lost": _lost(account),
        "not_in_log_by_lane": counts("lane", others),
        **({"doubts": "; ".join(account.doubts)} if account.doubts else {}),
    }


def _checked(account: Reconciliation) -> dg.AssetCheckResult:
    on_their_way = account.outcomes[Judged.RETRYING] + account.outcomes[Judged.JUST_SENT]
    statuses = {
        f"{outcome} {status}": n for outcome, found in account.by_http_status.items() for status, n in found.items()
    }
    return result(
        CHECK,
        passed=not (account.lost or on_their_way or account.doubts),
        severity=dg.AssetCheckSeverity.ERROR if account.lost else dg.AssetCheckSeverity.WARN,
        sent=account.sent,
        missing=account.outcomes[Judged.MISSING],
        failed=account.outcomes[Judged.FAILED],
        on_their_way=on_their_way,
        by_http_status=counts("outcome and last HTTP status", statuses),
        lost=_lost(account),
        doubts="; ".join(account.doubts) or "none",
    )


def _lost(account: Reconciliation) -> dg.MarkdownMetadataValue:
    """Ids, types and times; nothing of what the events say."""
    shown = [
        {
            "event id": one.event_id,
            "event type": one.event_type,
            "outcome": one.judged,
            "taken in": iso(one.ingested_ms),
            "last attempt": iso(one.attempted_ms),
            "last HTTP status": one.http_status,
        }
        for one in account.lost[:_MOST_NAMED]
    ]
    return sample(shown)
