"""Asset `delivery_report`: one page on whether everything flows, what is stuck, and whether yesterday arrived completely.

Belongs here: the asset, its numbers, tables and words in the UI. Does not belong here: the figures and the page (`reporting`).
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from capillary_adobe.defs.assets.closed_days import NAME as CLOSED_DAYS
from capillary_adobe.defs.assets.customer_lookups import NAME as LOOKUPS
from capillary_adobe.defs.delivery_log import NAME as DELIVERY_LOG
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.defs.sent_log import sent_log
from capillary_adobe.defs.shown import sample
from capillary_adobe.reporting.answers import Answer, answers
from capillary_adobe.reporting.figures import DeliveryReport, draw_report
from capillary_adobe.reporting.page import page, picture_address
from capillary_adobe.reporting.place import write_beside
from capillary_adobe.s3_address import is_s3
from capillary_adobe.settings import ReportSettings, load
from capillary_adobe.state import Outcome

NAME = "delivery_report"
GROUP = "report"
_LEVELS = {"ok": "✓", "warn": "◔", "bad": "✗"}


def build_delivery_report() -> dg.AssetsDefinition:
    """The asset; without partitions, since it is as of now."""

    @dg.asset(
        name=NAME,
        deps=[CLOSED_DAYS, LOOKUPS, DELIVERY_LOG, "aep_verdict"],
        group_name=GROUP,
        kinds={"html", "duckdb"},
        code_version="1",
        description=(
            "One page: is everything flowing, what is stuck and why, did yesterday arrive completely. Volume, latency and "
            "errors by class over the last days (REPORT_DAYS), the balance of each, the causes in quarantine, what waits, and "
            "the way back from AEP and Capillary. `page` is where it lies, `answers` and `picture` show the gist here, and the "
            "numbers plot over time. The job `write_report` writes it each hour; press Materialize to have it as of now. It "
            "only reads, and holds no personal data. `capillary-adobe report` writes the same."
        ),
    )
    def delivery_report(
        context: dg.AssetExecutionContext, landing: LandingResource, lake: LakeResource, state: StateResource
    ) -> dg.MaterializeResult:
        with told_plainly():
            started = time.perf_counter()
            settings, tables = load(ReportSettings), lake.open()
            sent = partial(sent_log, context.instance)
            drawn = draw_report(landing.open(), tables, state.open(), settings.days, sent)
            place = write_beside(tables.url, page(drawn))
            told = answers(drawn)
            for one in told:
                context.log.info(one.words)
            return dg.MaterializeResult(
                metadata={
                    "answers": _answers(told),
                    "picture": dg.MetadataValue.md(f"![The last days]({picture_address(drawn)})"),
                    **_page(place, settings.link),
                    "days": _days(drawn),
                    "causes": _causes(drawn),
                    "way_back": sample([{"part": one.name, "how it stands": one.words} for one in drawn.way_back]),
                    **_numbers(drawn),
                    "seconds": round(time.perf_counter() - started, 3),
                }
            )

    return delivery_report


def _page(place: str, link: str | None) -> dict[str, Any]:
    shown = dg.MetadataValue.text(place) if is_s3(place) else dg.MetadataValue.path(Path(place))
    return {"page": shown, **({"link": dg.MetadataValue.url(link)} if link else {})}


def _answers(told: list[Answer]) -> dg.MarkdownMetadataValue:
    parts = [
        f"{_LEVELS[one.level]} **{one.question}** {one.short}\n\n" + "\n".join(f"- {each}" for each in one.sentences)
        for one in told
    ]
    return dg.MetadataValue.md("\n\n".join(parts))


def _days(drawn: DeliveryReport) -> dg.MarkdownMetadataValue:
    return sample(
        [
            {
                "day": one.day,
                "landed": one.account.landed_lines,
                "accepted": one.account.delivery[Outcome.ACCEPTED],
                "open": one.open,
                "quarantined": one.quarantined,
                "duplicates": one.account.duplicates,
                "p95 s": one.account.latency_seconds.get("p95"),
                "balanced": "yes" if one.account.balanced else f"no, by {one.account.difference}",
            }
            for one in reversed(drawn.days)
        ]
    )


def _causes(drawn: DeliveryReport) -> dg.MarkdownMetadataValue:
    return sample(
        [
            {"code": one.code, "records": one.records, "last on": one.last_day, "cure": one.cure or one.page}
            for one in drawn.causes
        ]
    )


def _numbers(drawn: DeliveryReport) -> dict[str, Any]:
    """Numbers that plot; those of a day are of today so far, whose errors are the newest."""
    today, waits = drawn.today, drawn.backlog
    oldest_ms = drawn.oldest_unread_ms
    latency = {f"latency_{name}_seconds": value for name, value in drawn.latency.items() if value is not None}
    return {
        "landed_today": today.account.landed_lines,
        "accepted_today": today.account.delivery[Outcome.ACCEPTED],
        "accepted_yesterday": drawn.yesterday.account.delivery[Outcome.ACCEPTED],
        **latency,
        **{f"errors_{name}_today": n for name, n in today.errors.items()},
        "quarantined": sum(one.quarantined for one in drawn.days),
        "unbalanced_days": len(drawn.unbalanced),
        "open_events": drawn.open,
        "open_profiles": drawn.open_profiles,
        "unread_objects": drawn.unread_objects,
        "oldest_unread_seconds": round((drawn.made_ms - oldest_ms) / 1000, 1) if oldest_ms is not None else 0.0,
        "micro_batches_open": sum(waits.micro_batches.values()),
        "batches_at_aep": waits.batches_at_aep,
        "history_days_left": waits.history.days_left if waits.history is not None else 0,
        "alerts_standing": len(drawn.alerts),
        "customers_known": drawn.customers.customers,
        "profiles_due": drawn.customers.due,
    }
