"""The demo's past: exports of the month before the feed, for an operator to import and backfill.

Belongs here: which month, how much of it, and the rules file beside it. Does not belong here: writing exports (`exports.py`).
"""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from capillary_adobe.demo.exports import Plan, month_of_lines, rules_of, write_exports
from capillary_adobe.demo.surroundings import DemoError, Surroundings

_DAYS = 30
_EVENTS = 1_500
_SEED = 1


def write_past(around: Surroundings, today: date) -> bool:
    """Put the exports and their rules in place, unless they are there; whether they were made.

    They end where the feed begins, yesterday at 00:00 UTC, which is the watermark.

    Raises:
        DemoError: the folder cannot be written.
    """
    if around.insights.exists():
        return False
    live_from = datetime.combine(today - timedelta(days=1), time(), UTC)
    zone = ZoneInfo(around.settings["CAPILLARY_ORG_TIMEZONE"])
    # Made in the night after, so that nothing counts as still being written.
    plan = Plan(live_from + timedelta(hours=2), zone, renamed=True, broken=0.005, seed=_SEED)
    unfinished = around.insights.with_name(".insights.tmp")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        write_exports(unfinished, month_of_lines(live_from.date() - timedelta(days=_DAYS), _DAYS, _EVENTS, _SEED), plan)
        around.insights_rules.write_text(rules_of(plan, live_from), encoding="utf-8")
        unfinished.replace(around.insights)
    except OSError as error:
        raise DemoError(f"{error.filename} cannot be written ({error.strerror}).") from error
    return True
