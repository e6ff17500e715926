"""Settings of the source: what only the organisation knows, and access to Capillary's API.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Currency, Form, Host, Names, Secret, Text, WebhookUrl, Zone
from capillary_adobe.settings.source import environment


class CapillarySettings(BaseSettings):
    """What Capillary's payloads leave open and only the organisation knows."""

    model_config = environment("CAPILLARY_")

    org_timezone: Zone = Field(default="UTC", description="Zone of dates that carry none. Capillary sends many such.")
    currency: Currency | None = Field(
        default=None, description="Currency of amounts that carry none, such as redeemed points."
    )
    deliver_other_events: bool = Field(
        default=False,
        description=(
            "Deliver events of one person without a mapping of their own by the generic rule "
            "([mapping.md](mapping.md#the-generic-rule))."
        ),
    )
    identity_with_org: bool = Field(
        default=False,
        description=(
            "Write the customer identity as `<orgId>-<customerId>`. Needed when several organisations share a "
            "sandbox. Choose once: AEP sees the two forms as two persons."
        ),
    )
    clock_skew_seconds: int = Field(
        default=900, ge=0, description="How far an event's time may lie after its landing before it is refused."
    )

    @cached_property
    def zone(self) -> ZoneInfo:
        """The organisation's zone."""
        return ZoneInfo(self.org_timezone)


class CapillaryApiSettings(BaseSettings):
    """Access to Capillary's own API; without these nothing is asked of Capillary."""

    model_config = environment("CAPILLARY_API_")

    url: Host | None = Field(
        default=None, description="Host of the organisation's cluster, such as `https://eu.api.capillarytech.com`."
    )
    key: Text | None = Field(default=None, description="Key of the API client.")
    secret: Secret | None = Field(default=None, description="Secret of the API client.")
    timeout_seconds: float = Field(default=20.0, gt=0, description="Longest wait for one answer of Capillary's.")
    retry_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How long one call is repeated that fails for the moment: 429, 5xx, no answer. 0 tries once.",
    )

    @property
    def complete(self) -> bool:
        """Whether Capillary can be asked at all."""
        return None not in (self.url, self.key, self.secret)


class WebhookSettings(BaseSettings):
    """The webhook that `capillary-adobe subscribe` keeps at Capillary; its header and secret are the receiver's."""

    model_config = environment("CAPILLARY_WEBHOOK_")

    name: Text = Field(
        default="capillary-adobe",
        description=(
            "Name of the webhook, by which it is found again. Unique within Capillary's cluster, and fixed once "
            "it is made."
        ),
    )
    url: WebhookUrl | None = Field(
        default=None, description="Address of the receiver as Capillary reaches it. `https`, but for this machine."
    )
    events: Names | None = Field(
        default=None,
        description="Events to send; without it every one that the mapping uses.",
    )
    connections: int = Field(
        default=10,
        ge=1,
        description="Requests that Capillary may make at the same time. With more than one, order may change on the way.",
    )
    till: bool = Field(default=True, description="Let Capillary add the till's name and code.")
    store: bool = Field(default=True, description="Let Capillary add the store's name and code.")
    identifiers: Annotated[str, Form("names, separated by commas")] = Field(
        default="Instore",
        description="Sources whose identifiers Capillary adds, such as `Instore`, `WeChat`, `WebEngage`; empty for none.",
    )
    child_orgs: bool = Field(default=False, description="Events of connected organisations below this one, too.")


class CapillaryLogSettings(BaseSettings):
    """How Capillary's delivery log is read and compared with what landed."""

    model_config = environment("CAPILLARY_LOG_")

    consumer_group_id: Text | None = Field(
        default=None,
        description="Consumer group of our webhook. Without it, that of the webhook named `CAPILLARY_WEBHOOK_NAME`.",
    )
    page_rows: int = Field(
        default=1000,
        ge=1,
        description="Rows asked for at once. An answer with as many is asked for again in halves of its time.",
    )
    settle_minutes: float = Field(
        default=15.0, ge=0, description="Time after which an event that Capillary delivered must have landed."
    )
