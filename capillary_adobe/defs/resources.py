"""Resources: how an asset comes by the landing store, the lake, the state database and the settings.

Belongs here: turning settings into open domain objects when a step needs them, never at import. Does not belong here:
the objects themselves.
"""

from __future__ import annotations

import dagster as dg

from capillary_adobe.lake import Lake
from capillary_adobe.landing import LandingStore, open_landing_store
from capillary_adobe.settings import StorageSettings, load
from capillary_adobe.state import State


class LandingResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The landing store; `url` replaces `LANDING_URL`."""

    url: str | None = None

    def open(self) -> LandingStore:
        """The open store."""
        return open_landing_store(self.url or load(StorageSettings).landing_url)


class LakeResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The tables; `url` replaces `LAKE_URL`."""

    url: str | None = None

    def open(self) -> Lake:
        """The tables."""
        return Lake(self.url or load(StorageSettings).lake_url)


class StateResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The state database; `url` replaces `STATE_URL`."""

    url: str | None = None

    def open(self) -> State:
        """The open database."""
        return State(self.url or load(StorageSettings).state_url)


def default_resources() -> dict[str, dg.ConfigurableResource]:  # pyright: ignore[reportMissingTypeArgument]
    """Every resource, reading its address from the settings when used."""
    return {"landing": LandingResource(), "lake": LakeResource(), "state": StateResource()}
