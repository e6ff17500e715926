"""`capillary-adobe delivery`: pausing delivery, resuming it, and whether it is paused.

Belongs here: its options, what is printed. Does not belong here: any work; a command calls one function of the package.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from capillary_adobe.state import State

_MOST_LETTERS = 200


@click.group()
def delivery() -> None:
    """The switch that holds everything back from AEP."""


@delivery.command()
@click.option("--reason", default="", help="Why, for whoever finds that nothing is sent; at most 200 letters.")
def pause(reason: str) -> None:
    """Hold everything back from AEP until it is resumed; events go on landing, and nothing is lost."""
    from capillary_adobe.delivery_switch import pause as move

    if len(reason) > _MOST_LETTERS:
        raise click.UsageError(f"--reason is too long: give at most {_MOST_LETTERS} letters.")
    click.echo(move(_state(), reason).words)


@delivery.command()
def resume() -> None:
    """Let delivery go on, and have asked for again what was held."""
    from capillary_adobe.delivery_switch import resume as move

    click.echo(move(_state()).words)


@delivery.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(*, as_json: bool) -> None:
    """Tell whether delivery is paused, since when, why, and how many micro-batches wait."""
    from capillary_adobe.state.delivery_pause import DeliveryPause

    switch = DeliveryPause(_state())
    paused, held = switch.find(), switch.held()
    if as_json:
        since_ms, reason = (paused.since_ms, paused.reason) if paused else (None, "")
        told = {"paused": paused is not None, "since_ms": since_ms, "reason": reason, "held_micro_batches": held}
        click.echo(json.dumps(told))
    elif paused is None:
        click.echo("Delivery goes on.")
    else:
        click.echo(f"{paused.words[0].upper()}{paused.words[1:]}; {held} micro-batches wait.")


def tell_of_pause(state_url: str) -> None:
    """Say so where delivery is paused, above whatever a command tells of it."""
    from capillary_adobe.state import State
    from capillary_adobe.state.delivery_pause import DeliveryPause

    if paused := DeliveryPause(State(state_url)).find():
        click.echo(f"Note: {paused.words}.\n")


def _state() -> State:
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    return State(load(StorageSettings).state_url)
