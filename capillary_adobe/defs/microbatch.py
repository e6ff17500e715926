"""The micro-batch of a run: its config and the slice of the tables it stands for.

Belongs here: how a run says whether it works on a whole day or on a range of keys. Does not belong here: asking for
runs (`sensors.py`).
"""

from __future__ import annotations

import re

import dagster as dg
from pydantic import Field

from capillary_adobe.lake import Slice
from capillary_adobe.landing.store import lane_of
from capillary_adobe.settings import SettingsError
from capillary_adobe.state import WHOLE_DAY

LANE_TAG = "capillary_adobe/lane"
BATCH_TAG = "capillary_adobe/batch_id"


class MicroBatchConfig(dg.Config):
    """Leave empty to process the whole day; the landing sensor fills it."""

    batch_id: str = Field(default="", description="Id of the micro-batch; empty for the whole day.")
    after_key: str = Field(default="", description="Landing key above which the micro-batch begins.")
    up_to_key: str = Field(default="", description="Landing key with which it ends.")

    @property
    def speaks_for_history(self) -> bool:
        """Whether the run works on the history of its day; a live micro-batch does not."""
        return not self.batch_id or (bool(self.up_to_key) and lane_of(self.up_to_key) == "history")

    def slice(self, day: str) -> Slice:
        """The rows the run writes.

        Raises:
            SettingsError: the id has letters that no micro-batch has.
        """
        if not self.batch_id:
            return Slice(day)
        if not re.fullmatch(r"[\w.-]{1,100}", self.batch_id) or self.batch_id == WHOLE_DAY:
            raise SettingsError(
                "batch_id in the run's config is no id of a micro-batch: letters, digits, dots, dashes and underscores. "
                "Leave it empty to process the whole day."
            )
        return Slice(day, self.batch_id)
