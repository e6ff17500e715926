"""`capillary-adobe alerts`: what has failed and who was told, and a trial of the channels.

Belongs here: its options, what is printed, exit codes. Does not belong here: alerts (`alerting`, `state.alerts`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from capillary_adobe.state.alerts import Alert, Alerts

_NO_CHANNEL = "No channel is set: alerts are kept and go nowhere. Set ALERT_CHANNELS; docs/alerts.md shows how."


@click.group()
def alerts() -> None:
    """Alerts: what stands, and whether the channels work."""


@alerts.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@click.option("--most", type=click.IntRange(1), default=100, show_default=True, help="How many, the latest first.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_alerts(most: int, *, everything: bool, as_json: bool) -> None:
    """Show the alerts that stand, with cause and cure, and which channel was told when."""
    from capillary_adobe.settings import AlertSettings, StorageSettings, load
    from capillary_adobe.state import State
    from capillary_adobe.state.alerts import Alerts

    channels = list(load(AlertSettings).addresses)
    register = Alerts(State(load(StorageSettings).state_url))
    shown = [_as_dict(one, register) for one in register.latest(most, standing=not everything)]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo("\n\n".join(map(_block, shown)) or ("No alerts." if everything else "No alert stands."))
    if not channels:
        click.echo(f"\n{_NO_CHANNEL}")


@alerts.command()
@click.option("--channel", "only", metavar="NAME", help="This channel alone; without it every one.")
def test(only: str | None) -> None:
    """Send a trial message to each channel, whatever its route. Exit code 1 if one does not take it."""
    from capillary_adobe.alerting.channels import AlertError, open_channels
    from capillary_adobe.settings import AlertSettings, load

    settings = load(AlertSettings)
    if not settings.addresses:
        raise click.ClickException(_NO_CHANNEL)
    if only is not None and only not in settings.addresses:
        raise click.ClickException(f"{only} is no channel; there are: {', '.join(settings.addresses)}.")
    channels, errors = open_channels(settings, only)
    for channel in channels:
        try:
            channel.send(
                "Trial: capillary-adobe can reach you",
                "This is a trial message of `capillary-adobe alerts test`. Nothing has failed, and nothing is to be done.",
                "info",
            )
        except AlertError as error:
            errors.append(error)
        else:
            click.echo(f"{channel.name} ({channel.scheme}) took the trial message.")
    if errors:
        raise click.ClickException("\n".join(str(error) for error in errors))


def _as_dict(alert: Alert, register: Alerts) -> dict[str, Any]:
    from capillary_adobe.alerting.words import moment

    told = [
        {
            "channel": one.channel,
            "failed": moment(one.failed_ms),
            "recovered": moment(one.recovered_ms) if one.recovered_ms is not None else None,
        }
        for one in register.tellings([alert]).values()
    ]
    return {
        "alert": alert.alert_id,
        "severity": alert.severity,
        "what": alert.title,
        "partition": alert.partition,
        "asset": alert.asset,
        "owners": sorted(alert.owned_by),
        "cause": alert.cause,
        "cure": alert.cure,
        "times": alert.times,
        "first_seen": moment(alert.first_ms),
        "last_seen": moment(alert.last_ms),
        "recovered": moment(alert.recovered_ms) if alert.recovered_ms is not None else None,
        "run": alert.run_id,
        "told": told,
    }


def _block(one: dict[str, Any]) -> str:
    colour = "green" if one["recovered"] else "red" if one["severity"] == "error" else "yellow"
    mark = click.style("over" if one["recovered"] else one["severity"], fg=colour)
    day = f" for {one['partition']}" if one["partition"] else ""
    over = f", well since {one['recovered']}" if one["recovered"] else ""
    told = "; ".join(
        f"{it['channel']} {it['failed']}" + (f", recovery {it['recovered']}" if it["recovered"] else "")
        for it in one["told"]
    )
    lines = [
        f"{one['alert']}  {mark}  {one['what']}{day}",
        f"    seen {one['times']} times, first {one['first_seen']}, last {one['last_seen']}{over}",
        f"    cause: {one['cause']}",
        f"    do: {one['cure']}",
        f"    told: {told or 'nobody'}",
    ]
    return "\n".join([*lines, *([f"    run: {one['run']}"] if one["run"] else [])])
