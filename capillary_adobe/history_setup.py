"""What an import works with: stores, settings and rules, read once at its beginning.

Belongs here: gathering them. Does not belong here: the import.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from capillary_adobe.capillary.insights.model import Context
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.landing.store import LandingStore
from capillary_adobe.settings import (
    CapillarySettings,
    ErasureSettings,
    HistorySettings,
    IdentitySettings,
    InsightsSettings,
    ProfileSettings,
    SettingsError,
    load,
)
from capillary_adobe.state import State

_NO_ORG = (
    "INSIGHTS_ORG_ID is missing. Set it in the environment or in .env: Capillary's number of the organisation; exports do not "
    "tell it."
)


@dataclass(frozen=True)
class ImportSetup:
    """Stores, settings and rules of an import; `clock` gives epoch seconds."""

    landing: LandingStore
    state: State
    insights: InsightsSettings
    rules: InsightsRules
    context: Context
    history: HistorySettings
    profiles: ProfileSettings
    erasure_label: str
    max_customers: int
    clock: Callable[[], float] = time.time

    @classmethod
    def read(cls, landing: LandingStore, state: State) -> Self:
        """The setup that environment, `.env` and the rules file tell.

        Raises:
            SettingsError: a setting is missing or malformed.
            RulesError: the rules file cannot be used.
        """
        insights, capillary = load(InsightsSettings), load(CapillarySettings)
        if insights.org_id is None:
            raise SettingsError(_NO_ORG)
        rules = InsightsRules.read(insights.rules, capillary.zone)
        return cls(
            landing,
            state,
            insights,
            rules,
            rules.context(insights.org_id, capillary.zone, capillary.currency),
            load(HistorySettings),
            load(ProfileSettings),
            load(ErasureSettings).label,
            load(IdentitySettings).max_customers,
        )

    @property
    def first_day(self) -> str:
        """The first day that has a partition."""
        return self.history.start.isoformat()

    def day_of(self, moment_ms: int) -> str:
        """The day of a moment in the organisation's zone."""
        return datetime.fromtimestamp(moment_ms / 1000, self.context.zone).date().isoformat()


def utc_day(moment_ms: int) -> str:
    """The day of a moment, UTC."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).date().isoformat()
