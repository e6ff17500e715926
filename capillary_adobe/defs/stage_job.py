"""Job `change_rule_stage`: publishing, pausing and resuming a mapping rule from the UI.

Belongs here: the job, its run config and what its run shows. Does not belong here: whether a stage may change
(`life_cycle.py`).
"""

from enum import Enum

import dagster as dg
from pydantic import Field

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import counts
from capillary_adobe.life_cycle import LifeCycle
from capillary_adobe.settings import MappingSettings, load

STAGE_JOB = "change_rule_stage"
# A job and an op of one name do not load together.
STAGE_OP = "rule_stage"


class StageAction(Enum):
    """What is done with a rule."""

    publish = "publish"
    pause = "pause"
    resume = "resume"


class StageConfig(dg.Config):
    """Which rule, and what becomes of it."""

    event: str = Field(description="Event type, as `capillary-adobe mapping stages` lists it.")
    action: StageAction = Field(
        description="`publish` lets the mapping folder's rule go live, `pause` holds its entities, `resume` sends them again."
    )


@dg.op(name=STAGE_OP)
def _change_rule_stage(
    context: dg.OpExecutionContext, config: StageConfig, lake: LakeResource, state: StateResource
) -> None:
    with told_plainly():
        cycle = LifeCycle(state.open(), lake.open(), load(MappingSettings))
        moved = cycle.change(config.event, config.action.value)
    context.log.info(moved.words)
    context.add_output_metadata(
        {
            "told": moved.words,
            "stage": moved.stage,
            "rule": moved.fingerprint,
            "entities_by_day": counts("landing day", moved.entities_by_day),
        }
    )


def build_stage_job() -> dg.JobDefinition:
    """The job."""

    @dg.job(
        name=STAGE_JOB,
        description=(
            "Publish, pause or resume the mapping rule of one event. In the launchpad, set the event and the action. A draft "
            "is published only after it was tested on enough real events without failure; what was held is then asked for by "
            "landing_sensor, day by day. `capillary-adobe mapping publish` does the same."
        ),
    )
    def change_rule_stage() -> None:
        _change_rule_stage()

    return change_rule_stage
