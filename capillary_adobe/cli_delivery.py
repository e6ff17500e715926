"""`capillary-adobe deliver` and `capillary-adobe replay`.

Belongs here: their options, what is printed, exit codes. Does not belong here: any work; a command calls one function of
the package.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from capillary_adobe.cli_options import day as day_option

if TYPE_CHECKING:
    from capillary_adobe.adobe.plan import Plan
    from capillary_adobe.state import State


@click.command()
@click.option("--day", metavar="YYYY-MM-DD", callback=day_option, required=True, help="Landing day, UTC.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, by which lane and for how long; send nothing.")
@click.option(
    "--route",
    type=click.Choice(["auto", "streaming", "batch"]),
    default="auto",
    show_default=True,
    help="How entities travel: `auto` takes batch ingestion for many.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def deliver(day: date, route: str, *, dry_run: bool, as_json: bool) -> None:
    """Send what is still open of a day, or show what would be sent."""
    if dry_run:
        plan = _plan(day.isoformat(), route)
        click.echo(json.dumps(plan.as_dict(), indent=2) if as_json else _shown(plan))
        return
    from capillary_adobe.defs.delivery_config import RouteChoice
    from capillary_adobe.defs.launching import RunFailed, deliver_day
    from capillary_adobe.delivery_switch import demand_not_paused

    demand_not_paused(_state(), "This command")
    try:
        ran = deliver_day(day.isoformat(), RouteChoice(route))
    except RunFailed as failure:
        raise click.ClickException(str(failure)) from failure
    names = ("sent", "accepted", "rejected", "waiting_at_aep", "already_settled", "held", "requests", "day_open")
    names += ("profiles_sent", "profiles_accepted", "profiles_rejected", "profiles_superseded", "day_open_profiles")
    numbers = {name: ran.numbers.get(name, 0) for name in names}
    click.echo(json.dumps({"day": day.isoformat(), **numbers}) if as_json else _lines(numbers))


@click.command()
@click.option("--cause", help="The cause, as the list shows it; without it the causes are listed.")
@click.option("--day", metavar="YYYY-MM-DD", callback=day_option, help="One landing day, UTC; without it every day.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def replay(cause: str | None, day: date | None, *, as_json: bool) -> None:
    """Send again what AEP refused for one cause, after the mapping is mended."""
    found = _causes(day.isoformat() if day else None)
    if cause is None:
        click.echo(json.dumps(found, indent=2) if as_json else _listed(found))
        return
    days = sorted(found.get(cause, {}))
    if not days:
        known = f" Causes at present: {', '.join(sorted(found))}." if found else " AEP refuses nothing at present."
        raise click.ClickException(f"No entity{_on(day)} is refused for {cause}.{known}")
    _replay(cause, days, as_json=as_json)


def _replay(cause: str, days: list[str], *, as_json: bool) -> None:
    from capillary_adobe.defs.launching import RunFailed, replay_day
    from capillary_adobe.delivery_switch import demand_not_paused

    demand_not_paused(_state(), "A replay")
    done: list[dict[str, Any]] = []
    for day in days:
        try:
            ran = replay_day(day, cause)
        except RunFailed as failure:
            raise click.ClickException(f"{day}: {failure}") from failure
        names = ("reopened", "accepted", "rejected", "waiting_at_aep", "others_moved", "profiles_reopened")
        done.append({"day": day, **{name: ran.numbers.get(name, 0) for name in names}})
        if not as_json:
            click.echo(_replayed(done[-1]))
    if as_json:
        click.echo(json.dumps(done))


def _replayed(one: dict[str, Any]) -> str:
    waiting = f", {one['waiting_at_aep']} wait for AEP's verdict" if one["waiting_at_aep"] else ""
    profiles = (
        f"; {one['profiles_reopened']} profiles are asked for anew and go with the next run of `refresh_customers`"
        if one["profiles_reopened"]
        else ""
    )
    return (
        f"{one['day']}: {one['reopened']} opened again, {one['accepted']} accepted, {one['rejected']} refused again{waiting}; "
        f"{one['others_moved']} other entities moved{profiles}"
    )


def _causes(day: str | None) -> dict[str, dict[str, int]]:
    from capillary_adobe.adobe.replay import open_by_cause
    from capillary_adobe.state import Receipts

    state = _state()
    found: dict[str, Counter[str]] = {}
    for one in [day] if day else Receipts(state).days():
        for cause, count in open_by_cause(state, one).items():
            found.setdefault(cause, Counter())[one] += count
    return {cause: dict(days) for cause, days in sorted(found.items())}


def _plan(day: str, route: Any) -> Plan:
    from capillary_adobe.adobe import Work
    from capillary_adobe.adobe.plan import draw
    from capillary_adobe.environment import adobe_settings
    from capillary_adobe.lake import Lake, Slice
    from capillary_adobe.mapping_in_force import in_force
    from capillary_adobe.settings import MappingSettings, StorageSettings, load
    from capillary_adobe.tables import XDM_EVENTS, XDM_PROFILES

    lake = Lake(load(StorageSettings).lake_url)
    state = _state()
    hold, entities = in_force(state, load(MappingSettings)).hold, lake.reader(XDM_EVENTS, Slice(day))
    work = Work(day, hold.passing(entities), "history", route, held=hold.waiting(entities))
    return draw(adobe_settings(state), state, work, lake.reader(XDM_PROFILES, Slice(day)))


def _state() -> State:
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    return State(load(StorageSettings).state_url)


def _shown(plan: Plan) -> str:
    from tabulate import tabulate

    numbers = {
        "entities": plan.entities,
        "already settled": plan.already_settled,
        "to send": plan.to_send,
        "held": plan.held,
        "bytes": plan.bytes,
        "largest": plan.largest_bytes,
        "lane": plan.route,
        "profiles": plan.profiles,
        "profiles to send": plan.profiles_to_send,
        "superseded": plan.profiles_superseded,
        "files" if plan.route == "batch" else "requests": plan.requests,
        "estimated seconds": plan.estimated_seconds,
    }
    if plan.route == "batch":
        left = "no limit" if plan.batches_left_today is None else plan.batches_left_today
        numbers |= {"batches": plan.batches, "batches left today": left}
    elif plan.records_per_second is not None:
        numbers["records a second"] = plan.records_per_second
    if plan.aep_down_since is not None:
        numbers["AEP is down since"] = plan.aep_down_since
    parts = [_lines(numbers)]
    if plan.by_event_type:
        parts.append(tabulate(plan.by_event_type.items(), headers=["event type", "to send"], tablefmt="simple"))
        parts.append(tabulate(plan.sample, headers="keys", tablefmt="simple"))
    if plan.held_by_event:
        parts.append(tabulate(plan.held_by_event.items(), headers=["event", "held"], tablefmt="simple"))
    return f"{plan.day}: nothing is sent\n\n" + "\n\n".join(parts)


def _lines(numbers: dict[str, Any]) -> str:
    from tabulate import tabulate

    return tabulate([(name.replace("_", " "), value) for name, value in numbers.items()], tablefmt="plain")


def _listed(found: dict[str, dict[str, int]]) -> str:
    from tabulate import tabulate

    if not found:
        return "AEP refuses nothing at present."
    rows = [(cause, sum(days.values()), ", ".join(sorted(days))) for cause, days in found.items()]
    return tabulate(rows, headers=["cause", "entities", "days"], tablefmt="simple")


def _on(day: date | None) -> str:
    return f" of {day}" if day else ""
