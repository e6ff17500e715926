"""Messages: the words of one about an alert, or about those of several partitions that failed alike.

Belongs here: title and text. Does not belong here: whether it is due (`due.py`). Nothing personal comes here: causes are
words and figures of checks and errors, which hold none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from capillary_adobe.alerting.channels import Kind
from capillary_adobe.alerting.due import Occasion
from capillary_adobe.settings import SEVERITIES
from capillary_adobe.state.alerts import Alert

_PARTITIONS_TOLD: Final = 14
_CAUSES_TOLD: Final = 3
_RUNS_LINKED: Final = 5
_FIRST_LINES: Final = {
    Occasion.FAILED: "{what}.",
    Occasion.AGAIN: "{what}, and keeps failing.",
    Occasion.OVER: "{what}, and is well again.",
    Occasion.RECOVERED: "Well again. {what} before.",
}


@dataclass(frozen=True)
class Message:
    """What goes to a channel."""

    title: str
    body: str
    kind: Kind


def message(alerts: Sequence[Alert], occasion: Occasion, ui_url: str | None) -> Message:
    """One message about alerts of one subject, of which each is due for the same."""
    first = alerts[0]
    severity = max((one.severity for one in alerts), key=SEVERITIES.index)
    over = occasion in (Occasion.RECOVERED, Occasion.OVER)
    head = "Recovered" if over else severity.capitalize()
    days = _partitions(alerts)
    what = f"{first.title} {_of(days)}".strip()
    lines = [_FIRST_LINES[occasion].format(what=what), ""]
    lines += [
        f"Severity: {severity}. Owner: {', '.join(sorted(first.owned_by)) or 'nobody'}.",
        _seen(alerts, over=over),
    ]
    lines += ["", *_causes(alerts)]
    if not over:
        lines += ["", f"What to do: {first.cure}"]
    if links := _links(alerts, ui_url):
        lines += ["", *links]
    numbers = ", ".join(str(one.alert_id) for one in alerts[:_PARTITIONS_TOLD])
    lines += ["", f"Alert {numbers}. `capillary-adobe alerts list` shows what stands."]
    title = f"{head}: {what}" + (" (and keeps failing)" if occasion is Occasion.AGAIN else "")
    kind: Kind = "success" if over else "failure" if severity == SEVERITIES[-1] else "warning"
    return Message(title, "\n".join(lines), kind)


def moment(ms: int) -> str:
    """A moment for people."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def run_link(ui_url: str, run_id: str) -> str:
    """The page of a run."""
    return f"{ui_url}/runs/{run_id}"


def partition_link(ui_url: str, asset: str, partition: str | None) -> str:
    """The page of an asset, at a partition."""
    place = f"{ui_url}/assets/{quote(asset)}"
    return f"{place}?view=partitions&partition={quote(partition)}" if partition else place


def _partitions(alerts: Sequence[Alert]) -> list[str]:
    return list(dict.fromkeys(one.partition for one in alerts if one.partition))


def _of(partitions: list[str]) -> str:
    if not partitions:
        return ""
    more = f" and {len(partitions) - _PARTITIONS_TOLD} more" if len(partitions) > _PARTITIONS_TOLD else ""
    return f"for {', '.join(partitions[:_PARTITIONS_TOLD])}{more}"


def _seen(alerts: Sequence[Alert], *, over: bool) -> str:
    times = sum(one.times for one in alerts)
    first, last = min(one.first_ms for one in alerts), max(one.last_ms for one in alerts)
    seen = f"Seen {times} time{'' if times == 1 else 's'}, first at {moment(first)}, last at {moment(last)}."
    ends = [one.recovered_ms for one in alerts if one.recovered_ms is not None]
    return f"{seen} Well since {moment(max(ends))}." if over and ends else seen


def _causes(alerts: Sequence[Alert]) -> list[str]:
    by_cause: dict[str, list[str]] = {}
    for one in alerts:
        by_cause.setdefault(one.cause, []).append(one.partition or "")
    if len(by_cause) == 1:
        return [f"Cause: {next(iter(by_cause))}"]
    told = [f"Cause {_of(days)}: {cause}" for cause, days in list(by_cause.items())[:_CAUSES_TOLD]]
    return told + ([f"and {len(by_cause) - _CAUSES_TOLD} more causes"] if len(by_cause) > _CAUSES_TOLD else [])


def _links(alerts: Sequence[Alert], ui_url: str | None) -> list[str]:
    runs = list(dict.fromkeys(run for one in alerts if (run := one.recovered_by or one.run_id)))[:_RUNS_LINKED]
    if ui_url is None:
        return [f"Run: {run}" for run in runs]
    lines = [f"Run: {run_link(ui_url, run)}" for run in runs]
    pages = [partition_link(ui_url, one.asset, one.partition) for one in alerts if one.asset]
    return lines + [f"Partition: {page}" for page in dict.fromkeys(pages[:_RUNS_LINKED])]
