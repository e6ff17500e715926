"""Jobs `pause_delivery` and `resume_delivery`: holding everything back from AEP, and letting it go again.

Belongs here: the jobs, their run config and what their runs show. Does not belong here: the switch (`state.delivery_pause`)
and what obeys it.
"""

from typing import Final

import dagster as dg
from pydantic import Field

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.delivery_switch import Moved, pause, resume

PAUSE_JOB: Final = "pause_delivery"
RESUME_JOB: Final = "resume_delivery"
# A job and an op of one name do not load together.
PAUSE_OP: Final = "pause"
RESUME_OP: Final = "resume"


class PauseConfig(dg.Config):
    """Why delivery is paused; may be left empty."""

    reason: str = Field(default="", max_length=200, description="Why, for whoever finds that nothing is sent.")


@dg.op(name=PAUSE_OP)
def _pause(context: dg.OpExecutionContext, config: PauseConfig, state: StateResource) -> None:
    with told_plainly():
        _tell(context, pause(state.open(), config.reason))


@dg.op(name=RESUME_OP)
def _resume(context: dg.OpExecutionContext, state: StateResource) -> None:
    with told_plainly():
        _tell(context, resume(state.open()))


def _tell(context: dg.OpExecutionContext, moved: Moved) -> None:
    context.log.info(moved.words)
    context.add_output_metadata({"told": moved.words, "changed": moved.changed, "micro_batches": moved.micro_batches})


def build_pause_job() -> dg.JobDefinition:
    """The job that pauses."""

    @dg.job(
        name=PAUSE_JOB,
        description=(
            "Hold everything back from AEP until resume_delivery, and lose nothing: events go on landing and are read and "
            "mapped, their entities stay pending, and no try is spent. A run that is sending ends first. `reason` is shown to "
            "whoever looks. `capillary-adobe delivery pause` does the same."
        ),
    )
    def pause_delivery() -> None:
        _pause()

    return pause_delivery


def build_resume_job() -> dg.JobDefinition:
    """The job that resumes."""

    @dg.job(
        name=RESUME_JOB,
        description=(
            "Let delivery go on after pause_delivery: landing_sensor asks again for every micro-batch that was held, the "
            "oldest first, and for a day with many of them as a whole. `capillary-adobe delivery resume` does the same."
        ),
    )
    def resume_delivery() -> None:
        _resume()

    return resume_delivery
