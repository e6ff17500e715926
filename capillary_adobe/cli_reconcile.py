"""`capillary-adobe reconcile`.

Belongs here: its options, what is printed, exit codes. Does not belong here: the account itself (`reconciling.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import click

from capillary_adobe.cli_options import day as day_option

if TYPE_CHECKING:
    from capillary_adobe.reconciling import Reconciliation

SOMETHING_LOST = 3
"""Exit code where something that was sent has not landed."""
_CANNOT_TELL = 1
_MOST_NAMED = 20


@click.command()
@click.option(
    "--day",
    metavar="YYYY-MM-DD",
    callback=day_option,
    required=True,
    help="UTC day in which Capillary took the events in, at most 30 days back.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs; names every event that is missing.")
@click.pass_context
def reconcile(ctx: click.Context, day: date, *, as_json: bool) -> None:
    """Compare what Capillary says it sent with what landed.

    It only reads. Ends with exit code 0 if nothing is missing, 3 if something is, 1 if it cannot tell.
    """
    from capillary_adobe.lake import Lake
    from capillary_adobe.landing import open_landing_store
    from capillary_adobe.reconciling import open_reconciler
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    storage = load(StorageSettings)
    reconciler = open_reconciler(
        open_landing_store(storage.landing_url), Lake(storage.lake_url), State(storage.state_url)
    )
    account = reconciler.account(day.isoformat(), _say if sys.stderr.isatty() else lambda _: None)
    click.echo(json.dumps(account.as_dict(), indent=2) if as_json else shown(account))
    if not account.nothing_lost:
        ctx.exit(SOMETHING_LOST)
    if account.doubts:
        ctx.exit(_CANNOT_TELL)


def _say(words: str) -> None:
    click.echo(f"{words} …", err=True)


def shown(account: Reconciliation) -> str:
    """The account as a person reads it."""
    from tabulate import tabulate

    from capillary_adobe.sent_and_landed import MEANINGS, Judged

    rows = [("sent", account.sent, "events in Capillary's log of the day")]
    rows += [(f"  {_plain(one)}", account.outcomes[one], MEANINGS[one]) for one in Judged]
    by_lane = account.not_in_log_by_lane()
    rows.append(("not in the log", sum(by_lane.values()), _lanes(by_lane)))
    parts = [
        account.day,
        tabulate(rows, tablefmt="plain", colalign=("left", "right", "left"), preserve_whitespace=True),
    ]
    if account.by_event_type:
        parts.append(_by_event_type(account))
    if account.by_http_status:
        parts.append(_by_status(account))
    if account.lost:
        parts.append(_lost(account))
    return "\n\n".join([*parts, *_notes(account), _verdict(account)])


def _plain(name: str) -> str:
    return str(name).replace("_", " ")


def _by_event_type(account: Reconciliation) -> str:
    from tabulate import tabulate

    from capillary_adobe.sent_and_landed import Judged

    names = sorted({*account.by_event_type, *account.not_in_log})
    rows = []
    for name in names:
        counts = account.by_event_type.get(name, {})
        other = sum(account.not_in_log.get(name, {}).values())
        rows.append([name, sum(counts.values()), *(counts.get(judged, 0) or "" for judged in Judged), other or ""])
    headers = ["event type", "sent", *map(_plain, Judged), "not in the log"]
    return tabulate(rows, headers=headers, tablefmt="simple", colalign=("left", *("right",) * (len(headers) - 1)))


def _by_status(account: Reconciliation) -> str:
    from tabulate import tabulate

    rows = [
        (_plain(outcome), status, count)
        for outcome, counts in account.by_http_status.items()
        for status, count in counts.items()
    ]
    return tabulate(rows, headers=["not landed", "last HTTP status", "events"], tablefmt="simple")


def _lost(account: Reconciliation) -> str:
    from tabulate import tabulate

    from capillary_adobe.reconciling import iso

    rows = [
        (one.event_id, one.event_type, one.judged, iso(one.ingested_ms), iso(one.attempted_ms), one.attempts)
        for one in account.lost[:_MOST_NAMED]
    ]
    headers = ["event id", "event type", "outcome", "taken in", "last attempt", "attempts in the log"]
    more = len(account.lost) - len(rows)
    table = tabulate(rows, headers=headers, tablefmt="simple")
    return f"{table}\nand {more} more; --json names all" if more else table


def _notes(account: Reconciliation) -> list[str]:
    notes = []
    if account.unread_objects:
        notes.append(
            f"{account.unread_objects} landed objects are not read by a run yet; their events count as landed."
        )
    if account.without_event_id and account.outcomes["missing"]:
        notes.append(
            f"{account.without_event_id} landed records tell no event id, or were read before ids were stored. An event that "
            "is missing may be among them: materialize its landing day from raw_events on, then look again."
        )
    if account.log.without_id:
        notes.append(
            f"{account.log.without_id} events of the log carry no id, so that only their number can be compared: "
            f"{account.without_event_id} such records landed."
        )
    if account.matched_by_request:
        notes.append(f"{account.matched_by_request} events landed without an id and were told by their request.")
    if account.doubts:
        notes.append(f"The log may not be whole: {'; '.join(account.doubts)}.")
    return notes


def _verdict(account: Reconciliation) -> str:
    if account.lost:
        return f"{len(account.lost)} events are missing. See docs/troubleshooting.md, Events that did not land."
    if account.doubts:
        return "Nothing is missing of what the log gave; whether that is all, cannot be told."
    if account.outcomes["retrying"] or account.outcomes["just_sent"]:
        return "Nothing is missing so far; some is still on its way."
    return "Nothing is missing." if account.sent else "Capillary's log names no event of this day."


def _lanes(by_lane: Mapping[str, int]) -> str:
    told = ", ".join(f"{lane} {count}" for lane, count in sorted(by_lane.items()))
    return f"landed without being named there: {told}" if told else ""
