"""Settings of the source: what only the organisation knows, and access to Capillary's API.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from functools import cached_property
from zoneinfo import ZoneInfo

from pydantic import Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Currency, Host, Secret, Text, Zone
from capillary_adobe.settings.source import environment


class CapillarySettings(BaseSettings):
    """What Capillary's payloads leave open and only the organisation knows."""

    model_config = environment("CAPILLARY_")

    org_timezone: Zone = Field(default="UTC", description="Zone of dates that carry none; Capillary sends many such.")
    currency: Currency | None = Field(
        default=None, description="ISO 4217 code of amounts that carry none, such as redeemed points."
    )
    deliver_other_events: bool = Field(
        default=False, description="Deliver person events without a mapping of their own by the generic rule."
    )
    identity_with_org: bool = Field(
        default=False,
        description="Write the customer identity as <orgId>-<customerId>; needed when several organisations share a sandbox.",
    )
    clock_skew_seconds: int = Field(
        default=900, ge=0, description="How far an event's time may lie after its landing before it is refused."
    )

    @cached_property
    def zone(self) -> ZoneInfo:
        """The organisation's zone."""
        return ZoneInfo(self.org_timezone)


class CapillaryApiSettings(BaseSettings):
    """Access to Capillary's own API, for `capillary-adobe doctor`; without these nothing is asked of Capillary."""

    model_config = environment("CAPILLARY_API_")

    url: Host | None = Field(
        default=None, description="Host of the organisation's cluster, such as https://eu.api.capillarytech.com."
    )
    key: Text | None = Field(default=None, description="Key of the API client.")
    secret: Secret | None = Field(default=None, description="Secret of that client.")
