"""`capillary-adobe setup`.

Belongs here: its options, what is asked and printed, exit codes. Does not belong here: any work (`adobe.setup`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from capillary_adobe.adobe.setup import Plan, Setup

DIFFERS = 3
"""Exit code of `--drift` where AEP differs from what the installation needs."""

_CONSEQUENCES = """Enabling for Profile cannot be undone:
  * Both schemas become part of the union of all Profile schemas for good. They can never be taken out or deleted.
  * Every field of them is fixed for good: it can never be removed, renamed or given another type.
  * From then on all data of both datasets goes into the Real-Time Customer Profile and counts towards what is licensed.
  * The identities of every record are joined in the identity graph."""
_AFTERWARDS = (
    "Wait about 5 minutes before sending: the inlet refuses messages until AEP knows the new dataflows. A change of a "
    "schema takes up to 15 minutes to count."
)


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be made; change nothing.")
@click.option(
    "--drift", is_flag=True, help="Tell what in AEP differs from what is needed; exit code 3 if anything does."
)
@click.option(
    "--card", is_flag=True, help="Also the namespace capillaryCardNumber, for cards that belong to one person."
)
@click.option(
    "--enable-profile",
    is_flag=True,
    help="Enable schemas and datasets for Profile. Cannot be undone; asked for separately unless --yes is given.",
)
@click.option("--yes", is_flag=True, help="Ask nothing; for scripts. Never enables Profile by itself.")
@click.option("--json", "as_json", is_flag=True, help="For programs; with --plan, --drift or --yes.")
@click.pass_context
def setup(
    ctx: click.Context, *, only_plan: bool, drift: bool, card: bool, enable_profile: bool, yes: bool, as_json: bool
) -> None:
    """Make what is needed in AEP, once: namespaces, field groups, schemas, datasets, inlet and dataflows.

    Looks before it makes anything, so it can be run again at any time and goes on where it was interrupted.
    """
    if only_plan + drift + yes > 1:
        raise click.UsageError("--plan and --drift change nothing: give one of them, and without --yes.")
    if as_json and not (only_plan or drift or yes):
        raise click.UsageError("--json leaves nowhere to ask: give --plan, --drift or --yes with it.")
    work = _setup(card=card, enable_profile=enable_profile)
    plan = work.plan()
    if drift:
        click.echo(json.dumps(plan.as_dict(), indent=2) if as_json else _drift(plan))
        ctx.exit(DIFFERS if plan.differences else 0)
    if not as_json:
        click.echo(_shown(plan))
    elif only_plan:
        click.echo(json.dumps(plan.as_dict(), indent=2))
    if plan.blocked:
        raise click.ClickException(_blocked(plan))
    if only_plan:
        return
    if plan.changes and enable_profile:
        _look_at_shared(yes=yes)
    if not yes and plan.changes:
        _ask(plan, enable_profile=enable_profile)
    done = work.apply(lambda words: click.echo(words, err=True))
    click.echo(json.dumps(done.as_dict(), indent=2) if as_json else _told(done))


def _setup(*, card: bool, enable_profile: bool) -> Setup:
    from capillary_adobe.setting_up import open_setup
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    return open_setup(State(load(StorageSettings).state_url), card=card, enable_profile=enable_profile)


def _look_at_shared(*, yes: bool) -> None:
    """Tell of identities that several customers share, before their records are joined for good."""
    from capillary_adobe.setting_up import JoinsCustomers, demand_none_joins, shared_identities, told_of_shared
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    state = State(load(StorageSettings).state_url)
    if yes:
        try:
            demand_none_joins(state)
        except JoinsCustomers as error:
            raise click.ClickException(str(error)) from error
        return
    shared = shared_identities(state)
    click.echo(told_of_shared(shared))
    if joining := sum(one.let_through for one in shared):
        click.confirm(f"{joining} identities will join customers for good. Is that meant?", abort=True)


def _ask(plan: Plan, *, enable_profile: bool) -> None:
    if enable_profile:
        click.echo(_CONSEQUENCES)
        click.confirm("Enable for Profile for good?", abort=True)
    click.confirm(f"Make these {len(plan.changes)} changes in sandbox {plan.sandbox} of {plan.org_id}?", abort=True)


def _shown(plan: Plan) -> str:
    from tabulate import tabulate

    rows = [(step.action.value, step.kind, step.name, step.detail) for step in plan.steps]
    head = f"Sandbox {plan.sandbox} of {plan.org_id}, tenant {plan.tenant_id}: " + (
        f"{len(plan.changes)} of {len(plan.steps)} objects to make or extend" if plan.changes else "nothing to make"
    )
    table = tabulate(
        rows, headers=["action", "object", "name", "detail"], tablefmt="simple", maxcolwidths=[None] * 3 + [60]
    )
    notes = [f"{step.kind} {step.name}: {one}" for step in plan.steps for one in step.differences]
    return "\n\n".join([head, table, *(["Set-up does not mend:\n" + "\n".join(notes)] if notes else [])])


def _drift(plan: Plan) -> str:
    if not plan.differences:
        return f"Sandbox {plan.sandbox}: nothing differs; {len(plan.steps)} objects looked at."
    return f"Sandbox {plan.sandbox}: {len(plan.differences)} differences\n" + "\n".join(plan.differences)


def _blocked(plan: Plan) -> str:
    lines = [f"The {step.kind} {step.name}: {step.detail}" for step in plan.blocked]
    return "Set-up changes nothing until a person has acted.\n" + "\n".join(lines)


def _told(done: Plan) -> str:
    from tabulate import tabulate

    rows = [(step.kind, step.name, step.id) for step in done.steps]
    table = tabulate(rows, headers=["object", "name", "id"], tablefmt="simple")
    where = "Recorded in table `environment` of STATE_URL; a variable that is set overrides its entry."
    words = [f"{len(done.changes)} made or extended, the others were there.", where, _AFTERWARDS]
    return f"\n{table}\n\n" + "\n".join(words if done.changes else [f"Nothing was changed. {where}"])
