"""Pausing and resuming delivery, in an operator's words.

Belongs here: what is told of it, by the jobs and the command alike. Does not belong here: the switch
(`state.delivery_pause`).
"""

from __future__ import annotations

from dataclasses import dataclass

from capillary_adobe.state import State
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe.state.history_days import HistoryDays


class DeliveryPaused(Exception):
    """Nothing may be sent now; the text says since when, and what to do."""


@dataclass(frozen=True)
class Moved:
    """What became of the switch: in words, whether it was turned, and how many micro-batches wait or were let go."""

    words: str
    changed: bool
    micro_batches: int = 0


def pause(state: State, reason: str) -> Moved:
    """Pause delivery.

    Raises:
        StateError: the state database cannot be written.
    """
    switch = DeliveryPause(state)
    paused, new = switch.pause(reason)
    held = switch.held()
    if new:
        return Moved("Delivery is paused. Events go on landing; what is sent at this moment ends first.", changed=True)
    return Moved(f"Nothing changed: {paused.words}, {held} micro-batches wait.", changed=False, micro_batches=held)


def resume(state: State) -> Moved:
    """Let delivery go on.

    Raises:
        StateError: the state database cannot be written.
    """
    done = DeliveryPause(state).resume()
    if not done.was_paused and not done.micro_batches:
        return Moved("Nothing changed: delivery is not paused.", changed=False)
    words = f"Delivery goes on; landing_sensor asks again for {done.micro_batches} micro-batches"
    if done.whole_days:
        words += f", and for {', '.join(done.whole_days)} as a whole"
    waiting = sum(one.standing == "waiting" for one in HistoryDays(state).all())
    if waiting:
        words += f". {waiting} days of history wait: launch history_backfill"
    return Moved(f"{words}.", changed=done.was_paused, micro_batches=done.micro_batches)


def demand_not_paused(state: State, what: str) -> None:
    """Refuse what could only send, and would else wait without a word.

    Raises:
        DeliveryPaused: delivery is paused.
    """
    paused = DeliveryPause(state).find()
    if paused is not None:
        raise DeliveryPaused(
            f"{what} sends nothing now: {paused.words}. Resume it by the job resume_delivery or by "
            "`capillary-adobe delivery resume`, then do this again."
        )
