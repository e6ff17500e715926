"""`capillary-adobe subscribe`.

Belongs here: its options, what is asked and printed, exit codes. Does not belong here: any work (`subscribing`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from capillary_adobe.subscribing import Plan


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be made or changed; change nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing; for scripts.")
@click.option("--json", "as_json", is_flag=True, help="For programs; with --plan or --yes.")
def subscribe(*, only_plan: bool, yes: bool, as_json: bool) -> None:
    """Have Capillary post events to the receiver: make or change its webhook.

    Looks first, so it can be run again at any time; a second run changes nothing. Never deactivates or deletes a webhook.
    """
    if only_plan and yes:
        raise click.UsageError("--plan changes nothing: give it without --yes.")
    if as_json and not (only_plan or yes):
        raise click.UsageError("--json leaves nowhere to ask: give --plan or --yes with it.")
    from capillary_adobe.subscribing import Action, open_subscription

    subscription = open_subscription()
    plan = subscription.plan()
    if not as_json:
        click.echo(_shown(plan))
    elif only_plan or plan.action is Action.BLOCKED:
        click.echo(json.dumps(plan.as_dict(), indent=2))
    if plan.action is Action.BLOCKED:
        raise click.ClickException(f"Nothing is changed until a person has acted. {plan.why}")
    if only_plan:
        return
    if plan.action is not Action.NOTHING and not yes:
        click.confirm("Do this at Capillary?", abort=True)
    done = subscription.apply()
    notes = list(dict.fromkeys((*plan.notes, *done.notes)))
    click.echo(json.dumps(done.as_dict() | {"notes": notes}, indent=2) if as_json else _told(done))


def _shown(plan: Plan) -> str:
    from tabulate import tabulate

    from capillary_adobe.subscribing import Action

    name, url = plan.wanted.name, plan.wanted.url
    heads = {
        Action.CREATE: f"The webhook {name} to {url} is to be made:",
        Action.CHANGE: f"The webhook {name} is to be changed:",
        Action.NOTHING: f"The webhook {name} to {url} is as it should be; event types: {len(plan.wanted.events)}.",
        Action.BLOCKED: f"The webhook {name} to {url} cannot be made or changed.",
    }
    columns = [40, 60, 60]
    table = ""
    if plan.action is Action.CREATE:
        rows = [(change.field, change.then) for change in plan.wanted.changes({})]
        table = tabulate(rows, headers=["field", "value"], tablefmt="simple", maxcolwidths=columns[:2])
    elif plan.action is Action.CHANGE:
        rows = [(change.field, change.now, change.then) for change in plan.changes]
        table = tabulate(rows, headers=["field", "now", "then"], tablefmt="simple", maxcolwidths=columns)
    return "\n\n".join(part for part in (heads[plan.action], table, *plan.notes) if part)


def _told(done: Plan) -> str:
    from capillary_adobe.subscribing import Action

    words = {
        Action.CREATE: "The webhook was made and read back.",
        Action.CHANGE: "The webhook was changed and read back.",
        Action.NOTHING: "Nothing was changed.",
    }
    group = (done.record or {}).get("consumerGroupId")
    where = f"\nCapillary logs its deliveries under its consumer group: {group}" if group else ""
    return f"\n{words[done.action]}{where}"
