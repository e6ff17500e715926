"""Resources: how an asset comes by the landing store, the lake, the state database and the settings.

Belongs here: turning settings into open domain objects when a step needs them, never at import. Does not belong here:
the objects themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import dagster as dg

from capillary_adobe.adobe import Delivery
from capillary_adobe.adobe.batch_lane import BatchLane
from capillary_adobe.adobe.catalog import Catalog
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.profile_delivery import ProfileDelivery
from capillary_adobe.adobe.schema_registry import SchemaRegistry
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.adobe.verdict import VerdictReader
from capillary_adobe.adobe.verdict_owners import ProfileOwner
from capillary_adobe.lake import Lake
from capillary_adobe.landing import LandingStore, open_landing_store
from capillary_adobe.pacing import AEP_PLATFORM
from capillary_adobe.settings import (
    AdobeSettings,
    ProfileSettings,
    StorageSettings,
    VerdictSettings,
    load,
)
from capillary_adobe.state import State
from capillary_adobe.state.failed_calls import FailedCalls

_MAY_HOLD_SECRETS: Final = ("landing", "state")
_SHORT_TIMEOUT_SECONDS = 10.0
_SHORT_BUDGET_SECONDS = 2.0


class LandingResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The landing store; `url` replaces `LANDING_URL`.

    In a bucket it is reached by boto3 with the `AWS_*` variables, as the tables are. dagster-aws's `S3Resource` would bring
    fields for addresses and keys, which no run may set, and 0.4 s to the start of each process, which a folder pays too.
    """

    url: str | None = None

    def open(self) -> LandingStore:
        """The open store.

        Raises:
            LandingError: the address is of a kind that is not supported, or S3 cannot be used as the environment says.
        """
        return open_landing_store(self.url or load(StorageSettings).landing_url)


class LakeResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The tables; `url` replaces `LAKE_URL`."""

    url: str | None = None

    def open(self) -> Lake:
        """The tables, the same for every step of a run, which so need not read their logs anew."""
        return _lake(self.url or load(StorageSettings).lake_url)


@lru_cache(1)
def _lake(url: str) -> Lake:
    return Lake(url)


class StateResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The state database; `url` replaces `STATE_URL`."""

    url: str | None = None

    def open(self) -> State:
        """The open database, the same for every step of a run: to look whether its tables are all there takes 20 ms."""
        return _state(self.url or load(StorageSettings).state_url)


@lru_cache(1)
def _state(url: str) -> State:
    return State(url)


class AdobeResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """AEP; every client of this process shares one access token. `batch_wait_seconds` replaces `ADOBE_BATCH_WAIT_SECONDS`."""

    batch_wait_seconds: float | None = None

    def delivery(self, settings: AdobeSettings, state: State) -> Delivery:
        """Delivery to the events dataset."""
        return Delivery(self._patient(settings, self.batch_wait_seconds), state, shared_token(settings))

    def profile_delivery(self, settings: AdobeSettings, state: State) -> ProfileDelivery:
        """Delivery to the profiles dataset."""
        spacing = load(ProfileSettings).spacing_seconds
        return ProfileDelivery(settings, state, shared_token(settings), spacing_seconds=spacing)

    def batch_lane(self, settings: AdobeSettings, state: State, wait_seconds: float) -> BatchLane:
        """The batch lane, waiting no longer than this for a verdict."""
        return BatchLane(self._patient(settings, wait_seconds), state, _platform(settings, state))

    def _patient(self, settings: AdobeSettings, wait_seconds: float | None) -> AdobeSettings:
        return settings if wait_seconds is None else settings.model_copy(update={"batch_wait_seconds": wait_seconds})

    def verdict_readers(self, settings: AdobeSettings, state: State) -> list[VerdictReader]:
        """The readers of AEP's failed batches, one for each dataset."""
        platform, days = _platform(settings, state), load(VerdictSettings).days
        readers = [VerdictReader(settings.events_dataset_id, days, state, platform)]
        if settings.profiles_dataset_id is not None:
            owner = ProfileOwner(state, days)
            readers.append(VerdictReader(settings.profiles_dataset_id, days, state, platform, owner=owner))
        return readers

    def schema_registry(self, settings: AdobeSettings) -> SchemaRegistry:
        """AEP's Schema Registry, asked with little patience: whoever asks can do without the answer."""
        timeout = min(settings.timeout_seconds, _SHORT_TIMEOUT_SECONDS)
        budget = min(settings.retry_budget_seconds, _SHORT_BUDGET_SECONDS)
        impatient = settings.model_copy(update={"retry_budget_seconds": budget, "timeout_seconds": timeout})
        return SchemaRegistry(Platform(impatient, shared_token(settings)))

    def catalog(self, settings: AdobeSettings) -> Catalog:
        """AEP's Catalog."""
        return Catalog(Platform(settings, shared_token(settings)))


def _platform(settings: AdobeSettings, state: State) -> Platform:
    return Platform(settings, shared_token(settings), failed_calls=FailedCalls(state, AEP_PLATFORM))


def default_resources() -> dict[str, dg.ConfigurableResource]:  # pyright: ignore[reportMissingTypeArgument]
    """Every resource, reading its address from the settings when used."""
    return {
        "landing": LandingResource(),
        "lake": LakeResource(),
        "state": StateResource(),
        "adobe": AdobeResource(),
    }


def closed_to_runs(resources: Mapping[str, Any]) -> dict[str, Any]:
    """These resources, of which those with an address or keys that may be secret take nothing from a run's config.

    What stands there is kept in Dagster's database and shown in the UI. Dagster refuses it before it keeps the run.
    """
    return {name: _closed(one) if name in _MAY_HOLD_SECRETS else one for name, one in resources.items()}


def _closed(resource: Any) -> dg.ResourceDefinition:
    def given(_: dg.InitResourceContext) -> Any:
        return resource

    # The UI shows it as the kind of the resource.
    given.__name__ = type(resource).__name__
    return dg.ResourceDefinition(given, config_schema={}, description=type(resource).__doc__)
