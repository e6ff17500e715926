"""Settings of judgement: when a mapping rule may go live, and when a check fails.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Folder
from capillary_adobe.settings.source import environment


class MappingSettings(BaseSettings):
    """The tenant's own mapping folder, and when a rule of it may go live."""

    model_config = environment("MAPPING_")

    path: Folder | None = Field(
        default=None,
        description="Folder with the tenant's own mapping files. Without it, the shipped mapping alone applies.",
    )
    publish_after_events: int = Field(
        default=10,
        ge=1,
        description="Real events that a rule must have been tested on without failure before it goes live.",
    )


class Thresholds(BaseSettings):
    """When a check turns from a warning into an error."""

    model_config = environment("CHECK_")

    max_quarantined_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of a run's records in quarantine above which its check is an error.",
    )
    min_quarantined: int = Field(
        default=20,
        ge=1,
        description="Fewer records than this in quarantine are a warning, whatever their share. A micro-batch is small.",
    )
    max_event_age_hours: float = Field(
        default=72, gt=0, description="Time between an event and its landing above which the event counts as old."
    )
    max_skewed_share: float = Field(
        default=0.05, ge=0, le=1, description="Share of old events above which `events_are_fresh` is an error."
    )
    max_not_looked_up_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description=(
            "Share of a run's events without a look-up that they wanted above which `enrichment_is_fresh` is an error."
        ),
    )
    min_not_looked_up: int = Field(
        default=100,
        ge=1,
        description="Fewer events than this without a look-up that they wanted are a warning, whatever their share.",
    )
