"""Settings of storage: where the bytes are, how S3 is reached, how landed objects become micro-batches.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import DatabaseUrl, Host, Store, Text
from capillary_adobe.settings.source import environment

Lane = Literal["live", "history"]


class StorageSettings(BaseSettings):
    """Where the bytes are: the landing store, the tables and the state database."""

    model_config = environment()

    landing_url: Store = Field(
        default=".data/landing", description="Landing store: a folder, or `s3://<bucket>/<prefix>`."
    )
    lake_url: Store = Field(
        default=".data/lake",
        description=(
            "Delta tables: a folder, or `s3://<bucket>/<prefix>` in a store with [conditional "
            "writes](architecture.md#tables)."
        ),
    )
    state_url: DatabaseUrl = Field(
        default="sqlite:///.data/state.db",
        # It may hold the password of PostgreSQL.
        repr=False,
        description=(
            "State database: SQLite for one machine, `postgresql://<user>:<password>@<host>/<name>` for several "
            "(`pip install -e '.[postgres]'`)."
        ),
    )


class S3Settings(BaseSettings):
    """How S3 is reached. Credentials are not among them: boto3 and delta-rs find those as every AWS tool does."""

    model_config = environment("AWS_")

    endpoint_url: Host | None = Field(
        default=None, description="Address of an S3-compatible store; without it, Amazon's own."
    )
    region: Text | None = Field(
        default=None,
        description=(
            "Region of the buckets. Without it `AWS_DEFAULT_REGION` and the AWS profile are asked, and without "
            "those it is `us-east-1`."
        ),
    )
    virtual_hosted_style_request: bool = Field(
        default=False,
        description="Whether an S3-compatible store wants the bucket in its host name. Amazon's always gets it there.",
    )


class LandingSettings(BaseSettings):
    """How landed objects are gathered into micro-batches."""

    model_config = environment("LANDING_")

    batch_max_objects: int = Field(default=500, ge=1, description="Most objects in one micro-batch.")
    batch_max_bytes: int = Field(
        default=64 * 2**20,
        ge=1,
        description="Most bytes in one micro-batch, as stored. A single larger object goes alone.",
    )
    settle_seconds: float = Field(
        default=1.0,
        ge=0,
        description="An object younger than this waits for the next tick: its writer may still be busy.",
    )
    poll_seconds: int = Field(default=5, ge=1, description="Time between two polls of the landing store.")
    retry_seconds: float = Field(
        default=15.0,
        gt=0,
        description=(
            "Pause before a micro-batch that failed is asked for again. It doubles with each try, up to 15 minutes."
        ),
    )
    sweep_seconds: int = Field(
        default=60,
        ge=1,
        description=(
            "Time between two sweeps. They find what appeared out of name order or in `aside/`, older days, and "
            "the history lane. One that takes long makes [the next one wait](architecture.md#the-landing-store)."
        ),
    )
    sweep_days: int = Field(
        default=3,
        ge=1,
        description=(
            "Latest days with objects that each sweep lists in full. Of the older ones, one takes its turn each sweep."
        ),
    )
