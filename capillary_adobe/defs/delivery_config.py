"""The run config of a delivery: which entities, by which lane, or only what would happen.

Belongs here: what an operator may set for `ingestion_status` in the launchpad. Does not belong here: carrying it out
(`assets/ingestion_status.py`).
"""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from capillary_adobe.adobe.delivery import ChosenRoute
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.landing.store import lane_of
from capillary_adobe.settings import Lane


class RouteChoice(Enum):
    """How entities travel to AEP."""

    auto = "auto"
    streaming = "streaming"
    batch = "batch"


class DeliveryConfig(MicroBatchConfig):
    """Leave empty to send what is open; the landing sensor fills the micro-batch."""

    dry_run: bool = Field(default=False, description="Show what would be sent, and send nothing.")
    route: RouteChoice = Field(
        default=RouteChoice.auto,
        description="`auto`: streaming for micro-batches of live events and for small numbers, batch ingestion for the rest.",
    )
    reopen_cause: str = Field(
        default="",
        description="Send the entities that AEP refused for this cause again, and nothing else; causes are in quarantine.",
    )

    send_again: str = Field(
        default="",
        description="Confirms that the whole day is sent once more; the job resend_day tells what to type.",
    )

    @property
    def lane(self) -> Lane:
        """Whose place in the quota the run takes; a whole day waits behind live events."""
        return lane_of(self.up_to_key) if self.batch_id and self.up_to_key else "history"

    @property
    def speaks_for_history(self) -> bool:
        """As for every stage; a run that sends nothing, or one cause alone, leaves the day as it stands."""
        return super().speaks_for_history and not self.dry_run and not self.reopen_cause

    @property
    def chosen_route(self) -> ChosenRoute:
        """The route as delivery takes it."""
        return self.route.value
