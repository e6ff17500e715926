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
from capillary_adobe.state import Customers, LandedObjects, State

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
            SettingsError: a setting is missing or malformed, or webhooks tell of other organisations alone.
            RulesError: the rules file cannot be used.
            StateError: the database cannot be read.
        """
        insights, capillary = load(InsightsSettings), load(CapillarySettings)
        if insights.org_id is None:
            raise SettingsError(_NO_ORG)
        _demand_told_of(insights.org_id, state)
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


def _demand_told_of(org_id: int, state: State) -> None:
    """Refuse an organisation that is mistyped: each event would be another than its webhook, and be delivered twice."""
    known = Customers(state).organisations()
    # Without webhooks, imports alone have told of those that are known, and theirs may be the mistake.
    if not known or org_id in known or not LandedObjects(state).days("live"):
        return
    others = ", ".join(map(str, known))
    raise SettingsError(
        f"INSIGHTS_ORG_ID={org_id} is no organisation that webhooks have told of; they tell of {others}. Under another "
        "organisation each event of an export would be delivered once more. Set it to the number that webhooks give as orgId; "
        "if it is right, import once the first webhook of that organisation has been worked on."
    )


def utc_day(moment_ms: int) -> str:
    """The day of a moment, UTC."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).date().isoformat()
