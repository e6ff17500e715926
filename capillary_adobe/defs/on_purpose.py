"""What an operator has sent on purpose in a run of `ingestion_status`: a replay, or a whole day once more.

Belongs here: which run config may do so, and opening a day. Does not belong here: replays themselves (`adobe.replay`), sending.
"""

from __future__ import annotations

from typing import Any, Final

import dagster as dg

from capillary_adobe.adobe.hold import Entities
from capillary_adobe.adobe.sending_again import Opened, SendingAgainRefused, open_again
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.defs.runs import FIRST_DAY_TAG
from capillary_adobe.delivery_switch import demand_not_paused
from capillary_adobe.state import State
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE

RESEND_DAY_JOB: Final = "resend_day"


def build_resend_day_job() -> Any:
    """The job."""
    return dg.define_asset_job(
        RESEND_DAY_JOB,
        selection=dg.AssetSelection.assets(INGESTION_STATUS.name, QUARANTINE.name),
        description=(
            "Send a day once more although AEP has acknowledged it, as where its dataset was emptied. Choose the partition and "
            "launch it as it stands: it sends nothing, and tells how many events it is about and what to type as "
            "`ops.ingestion_status.config.send_again`. AEP's data lake then holds them twice, under the same `_id`. A "
            "confirmation counts once: a second press sends only what the first has left."
        ),
    )


def opened_on_purpose(
    context: dg.AssetExecutionContext,
    config: DeliveryConfig,
    state: State,
    day: str,
    events: Entities,
    profiles: Entities,
) -> Opened:
    """Open the day again if the run is to; nothing for any other run.

    Raises:
        dg.Failure: it is not confirmed, or the rest of the run config speaks against it.
        DeliveryPaused: what was opened would be sent by any run after the pause, past the operator's eyes.
    """
    if config.reopen_cause and not config.dry_run:
        demand_not_paused(state, "A replay")
    if not config.send_again and context.run.job_name != RESEND_DAY_JOB:
        return Opened()
    others = [name for name in ("dry_run", "reopen_cause", "batch_id") if getattr(config, name)]
    if others or FIRST_DAY_TAG in context.run.tags:
        said = f"`{others[0]}` beside it" if others else "several days at once"
        raise dg.Failure(
            f"A day is sent again by itself and as a whole; the run has {said}. Launch the job {RESEND_DAY_JOB} on one "
            "partition, with nothing but `send_again` in its config.",
            allow_retries=False,
        )
    demand_not_paused(state, "Sending a day again")
    try:
        return open_again(state, day, config.send_again, events, profiles)
    except SendingAgainRefused as refused:
        raise dg.Failure(str(refused), allow_retries=False) from refused
