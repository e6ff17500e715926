"""What a run notes of a day of history: that it began, came through or failed, and why.

Belongs here: which runs may say so. Does not belong here: the register (`state.history_days`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from capillary_adobe.defs.failures import unexpected
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.runs import ACTIVE
from capillary_adobe.state import State, StateError
from capillary_adobe.state.history_days import HistoryDay, HistoryDays


class HistoryNote:
    """Writes into the register of days of history, for a run that works on them."""

    def __init__(self, state: Callable[[], State], config: MicroBatchConfig) -> None:
        self._state = state
        self._speaks = config.speaks_for_history

    def begin(self, day: str, run_id: str) -> None:
        """A run works on the day from its first stage on."""
        if self._speaks:
            HistoryDays(self._state()).begin(day, run_id)

    def go_on(self, day: str, run_id: str) -> None:
        """A run goes on with a day that another run has begun; what that one failed on is being tried again."""
        if self._speaks:
            HistoryDays(self._state()).go_on(day, run_id)

    def leave(self, day: str, run_id: str) -> None:
        """A run has sent what it could of the day; whether the day is through may be for AEP to say."""
        if self._speaks:
            HistoryDays(self._state()).leave(day, run_id)

    def finish(self, day: str) -> None:
        """Nothing of the day is left for a run to do."""
        if self._speaks:
            HistoryDays(self._state()).finish(day)

    def fail(self, day: str, cause: str) -> None:
        """A run did not come through with the day; where the state database is the cause, nobody can be told."""
        if self._speaks:
            with suppress(StateError):
                HistoryDays(self._state()).fail(day, cause)

    def find(self, day: str) -> HistoryDay | None:
        """The day, if it holds history and can be looked up."""
        with suppress(StateError):
            return HistoryDays(self._state()).find(day)
        return None

    @contextmanager
    def of_failure(self, day: str) -> Iterator[None]:
        """Note why the day fails within."""
        try:
            yield
        except dg.Failure as failure:
            self.fail(day, failure.description or "")
            raise
        except Exception as error:
            self.fail(day, unexpected(error))
            raise

    @contextmanager
    def of_stop(self, run_id: str) -> Iterator[None]:
        """Have the days of a run that is cancelled within wait again, as far as it has not come through with them."""
        try:
            yield
        except dg.DagsterExecutionInterruptedError:
            if self._speaks:
                with suppress(StateError):
                    HistoryDays(self._state()).let_go([run_id])
            raise


def let_go_of_the_dead(instance: dg.DagsterInstance, state: State) -> None:
    """Have the days wait again whose runs are over without a word."""
    run_ids = {one.run_id for one in HistoryDays(state).all() if one.standing == "running" and one.run_id}
    if run_ids:
        active = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE))}
        HistoryDays(state).let_go(sorted(run_ids - active))
