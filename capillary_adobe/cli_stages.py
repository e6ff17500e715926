"""`capillary-adobe mapping stages`, `publish`, `pause` and `resume`.

Belongs here: their options, what is printed, exit codes. Does not belong here: any work; a command calls one function of
the package.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from capillary_adobe.life_cycle import Action, LifeCycle, Standing


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def stages(*, as_json: bool) -> None:
    """List every rule with its stage: what drafts were tested on, what is held."""
    found, problems = _life_cycle().standings()
    for problem in problems:
        click.echo(problem, err=True)
    click.echo(json.dumps([one.as_dict() for one in found], indent=2) if as_json else _shown(found))


@click.command()
@click.argument("events", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs: one object a line.")
def publish(events: tuple[str, ...], *, as_json: bool) -> None:
    """Let the mapping folder's rules of these EVENTS go live, and have sent what was held."""
    _change(events, "publish", as_json=as_json)


@click.command()
@click.argument("events", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs: one object a line.")
def pause(events: tuple[str, ...], *, as_json: bool) -> None:
    """Hold the entities of these EVENTS from now on; nothing is lost."""
    _change(events, "pause", as_json=as_json)


@click.command()
@click.argument("events", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs: one object a line.")
def resume(events: tuple[str, ...], *, as_json: bool) -> None:
    """Send the entities of these paused EVENTS again, those that were held too."""
    _change(events, "resume", as_json=as_json)


def _change(events: tuple[str, ...], action: Action, *, as_json: bool) -> None:
    """Change the stage of each event; one that cannot be changed does not keep the others from it."""
    from capillary_adobe.life_cycle import LifeCycleError

    life_cycle = _life_cycle()
    refused: list[str] = []
    for event in dict.fromkeys(events):
        try:
            moved = life_cycle.change(event, action)
        except LifeCycleError as error:
            refused.append(str(error))
        else:
            click.echo(json.dumps(moved.as_dict()) if as_json else moved.words)
    if refused:
        raise click.ClickException("\n".join(refused))


def _life_cycle() -> LifeCycle:
    from capillary_adobe.lake import Lake
    from capillary_adobe.life_cycle import LifeCycle
    from capillary_adobe.settings import MappingSettings, StorageSettings, load
    from capillary_adobe.state import State

    storage = load(StorageSettings)
    return LifeCycle(State(storage.state_url), Lake(storage.lake_url), load(MappingSettings))


def _shown(found: list[Standing]) -> str:
    from tabulate import tabulate

    rows = [
        [one.event, one.stage, one.fingerprint, *_of_draft(one), one.held or "", _moment(one.since_ms)] for one in found
    ]
    headers = ["event", "stage", "rule", "tested", "failed", "held", "since"]
    table = tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=[0, 1, 2])
    causes = [f"{one.event} fails: {cause}, {n} times" for one in found for cause, n in one.causes.items()]
    return "\n".join([table, *([""] if causes else []), *causes])


def _of_draft(one: Standing) -> list[Any]:
    return [one.tested, one.failed] if one.stage == "draft" else ["", ""]


def _moment(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if moment_ms else ""
