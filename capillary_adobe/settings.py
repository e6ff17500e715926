"""Settings: the one place that reads the environment (and a `.env` file beside the working directory).

Belongs here: one class per subject, each field with its meaning, unit and default, and the error that names every
missing or malformed variable at once. Does not belong here: anything that acts on a setting.
Nothing is read at import; call `load(AdobeSettings)` where the values are needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from functools import cached_property
from typing import Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import Field, ValidationError, computed_field
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from capillary_adobe.setting_kinds import Currency, Host, Inlet, Name, Secret, Tenant, Text, Zone


class SettingsError(Exception):
    """One or more settings are missing or malformed; the text names each variable with its cure."""


def _environment(prefix: str = "") -> SettingsConfigDict:
    return SettingsConfigDict(
        env_prefix=prefix, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )


class StorageSettings(BaseSettings):
    """Where the bytes are: the landing store, the tables and the state database."""

    model_config = _environment()

    landing_url: Text = Field(default=".data/landing", description="Folder of the landing store.")
    lake_url: Text = Field(default=".data/lake", description="Folder of the Delta tables.")
    state_url: Text = Field(
        default="sqlite:///.data/state.db",
        description="SQLAlchemy URL of the state database: SQLite for one machine, postgresql+psycopg2://… for several.",
    )


class LandingSettings(BaseSettings):
    """How landed objects are gathered into micro-batches."""

    model_config = _environment("LANDING_")

    batch_max_objects: int = Field(default=500, ge=1, description="Most objects in one micro-batch.")
    batch_max_bytes: int = Field(default=64 * 2**20, ge=1, description="Most bytes in one micro-batch, as stored.")
    settle_seconds: float = Field(
        default=1.0,
        ge=0,
        description="An object younger than this waits for the next tick: its writer may still be busy.",
    )
    poll_seconds: int = Field(default=5, ge=1, description="Time between two polls of the landing store.")
    retry_seconds: float = Field(
        default=15.0,
        gt=0,
        description="Pause before a micro-batch that failed is asked for again; doubles with each try, up to 15 minutes.",
    )
    sweep_seconds: int = Field(
        default=60,
        ge=1,
        description="Time between two full listings, which find objects that appeared out of name order.",
    )
    sweep_days: int = Field(default=3, ge=1, description="Days that each sweep lists in full; older days take turns.")


class CapillarySettings(BaseSettings):
    """What Capillary's payloads leave open and only the organisation knows."""

    model_config = _environment("CAPILLARY_")

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

    model_config = _environment("CAPILLARY_API_")

    url: Host | None = Field(
        default=None, description="Host of the organisation's cluster, such as https://eu.api.capillarytech.com."
    )
    key: Text | None = Field(default=None, description="Key of the API client.")
    secret: Secret | None = Field(default=None, description="Secret of that client.")


class HistorySettings(BaseSettings):
    """How far back the partitions go."""

    model_config = _environment("HISTORY_")

    start: date = Field(default=date(2024, 1, 1), description="First daily partition.")


class TenantSettings(BaseSettings):
    """What the XDM mapping needs to know of the AEP organisation."""

    model_config = _environment("ADOBE_")

    tenant_id: Tenant = Field(description="Tenant id without its underscore; it names the object of custom fields.")


class CredentialSettings(BaseSettings):
    """The credential, the sandbox and how patiently AEP is asked; all that set-up itself needs."""

    model_config = _environment("ADOBE_")

    ims_url: Host = Field(default="https://ims-na1.adobelogin.com", description="Host that issues access tokens.")
    platform_url: Host = Field(default="https://platform.adobe.io", description="Host of the Platform API.")
    client_id: Text = Field(description="Client id of the OAuth server-to-server credential.")
    client_secret: Secret = Field(description="Client secret of that credential.")
    scopes: Text = Field(
        default="openid,AdobeID,read_organizations,additional_info.projectedProductContext,session",
        description="Scopes of the credential, separated by commas, as the developer console lists them.",
    )
    org_id: Text = Field(pattern=r"@AdobeOrg$", description="IMS organisation id, <id>@AdobeOrg.")
    sandbox_name: Text = Field(default="prod", description="Sandbox that holds the datasets.")
    timeout_seconds: float = Field(
        default=60,
        gt=0,
        description="Longest wait for one answer: of the inlet to its last byte, of others each silence within it.",
    )
    retry_budget_seconds: float = Field(
        default=120,
        ge=0,
        description="How long one request is repeated before its entities stay pending for the next run.",
    )


class AdobeSettings(TenantSettings, CredentialSettings):
    """The AEP organisation and its inlet, as its one-time set-up left them; read them by `environment.adobe_settings`."""

    inlet_url: Inlet = Field(description="Streaming endpoint, https://<host>/collection/<inlet id>.")
    events_schema_id: Text = Field(description="$id of the ExperienceEvent schema.")
    events_dataset_id: Text = Field(description="Dataset of the events.")
    events_flow_id: Text = Field(description="Dataflow that leads the events from the inlet to their dataset.")
    profiles_schema_id: Text | None = Field(default=None, description="$id of the Profile schema.")
    profiles_dataset_id: Text | None = Field(default=None, description="Dataset of the profiles.")
    profiles_flow_id: Text | None = Field(default=None, description="Dataflow of the profiles.")
    max_requests_per_second: float = Field(default=1000, ge=0, description="Request rate kept; 0 means no limit.")
    max_records_per_second: float = Field(default=1500, ge=0, description="Record rate kept; 0 means no limit.")
    max_request_bytes: int = Field(
        default=1_000_000, ge=20_000, le=1_048_576, description="Size of one request; AEP refuses more than 1 MB."
    )
    connections: int = Field(default=4, ge=1, le=64, description="Requests in flight at once.")
    batch_from_entities: int = Field(
        default=20_000,
        ge=1,
        description="Entities still to be sent from which on a run outside the live lane uses batch ingestion.",
    )
    batch_file_bytes: int = Field(
        default=128 * 2**20, ge=10_000, le=512_000_000, description="Size at which a file of a batch is closed."
    )
    batch_max_files: int = Field(
        default=10_000, ge=1, le=25_000, description="Most files in one batch; AEP advises 10,000 and refuses 25,000."
    )
    batch_max_bytes: int = Field(
        default=100 * 2**30,
        ge=10_000,
        le=2**40,
        description="Most bytes in one batch; AEP advises 100 GB, refuses 1 TB.",
    )
    batch_put_bytes: int = Field(
        default=256_000_000,
        ge=1,
        le=256_000_000,
        description="Largest file that goes in one piece; AEP's gateway takes 256 MB. Larger ones go in parts.",
    )
    batch_part_bytes: int = Field(
        default=64 * 2**20, ge=1, le=512_000_000, description="Size of one part of a file that goes in parts."
    )
    batches_per_day: int = Field(
        default=90,
        ge=0,
        description="Most batches created in a UTC day; Profile takes 90 a day and sandbox. 0 means no limit.",
    )
    batch_error_percent: int = Field(
        default=5, ge=0, le=100, description="Share of bad rows up to which AEP takes the others of their batch."
    )
    batch_wait_seconds: float = Field(
        default=300,
        ge=0,
        description="How long a run waits in all for its batches; later the verdict is read by `verdict_sensor`.",
    )

    @computed_field
    @property
    def batch_url(self) -> str:
        """The inlet's address for several messages at once."""
        head, _, inlet = self.inlet_url.rpartition("/")
        return f"{head}/batch/{inlet}"


class SetupSettings(BaseSettings):
    """Names of what set-up makes, and ids of Adobe's that it refers to."""

    model_config = _environment("ADOBE_SETUP_")

    name: Name = Field(
        default="Capillary", description="First word of the name of every object that set-up makes; choose it once."
    )
    streaming_spec_id: Text = Field(
        default="bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", description="Connection specification of streaming connections."
    )
    dataset_spec_id: Text = Field(
        default="c604ff05-7f1a-43c0-8e18-33bf874cb11c", description="Connection specification of datasets as a target."
    )
    flow_spec_id: Text = Field(
        default="d8a6f005-7eaf-4153-983e-e8574508b877", description="Flow specification, XDM without Data Prep."
    )
    spec_version: Text = Field(default="1.0", description="Version of these specifications.")
    dataset_content_type: Text = Field(
        default="application/vnd.adobe.xed-full+json;version=1", description="Form in which a dataset names its schema."
    )
    target_content_type: Text = Field(
        default="application/vnd.adobe.xed-full+json;version=1.0", description="The same of a target connection."
    )


RECORDED: Final = (
    *("tenant_id", "inlet_url"),
    *(f"{kind}_{part}_id" for kind in ("events", "profiles") for part in ("schema", "dataset", "flow")),
)
"""Fields of `AdobeSettings` that set-up writes to the environment record; what is set in the environment overrides it."""


class VerdictSettings(BaseSettings):
    """How AEP's later verdict is read back; apart, so that the code location loads before AEP is set up."""

    model_config = _environment("ADOBE_VERDICT_")

    seconds: int = Field(default=300, ge=5, description="Time between two looks at AEP's failed batches.")
    days: int = Field(
        default=7,
        ge=1,
        le=30,
        description="Age of a failed batch up to which it is read; AEP keeps diagnostics 30 days.",
    )


class MappingSettings(BaseSettings):
    """The tenant's own mapping folder, and when a rule of it may go live."""

    model_config = _environment("MAPPING_")

    path: Text | None = Field(
        default=None, description="Folder with the tenant's own mapping files; none means the shipped mapping alone."
    )
    publish_after_events: int = Field(
        default=10,
        ge=1,
        description="Real events that a rule must have been tested on without failure before it goes live.",
    )


class SchemaSettings(BaseSettings):
    """How often the tenant's schema is fetched; apart, so that the code location loads before AEP is set up."""

    model_config = _environment("ADOBE_SCHEMA_")

    seconds: int = Field(
        default=900,
        ge=0,
        description="Age up to which the tenant's schema in the cache is used without asking AEP, which caches as long itself.",
    )


class Thresholds(BaseSettings):
    """When a check turns from a warning into an error."""

    model_config = _environment("CHECK_")

    max_quarantined_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of a run's records in quarantine above which its check is an error.",
    )
    min_quarantined: int = Field(
        default=20,
        ge=1,
        description="Fewer records than this in quarantine are a warning whatever their share: a micro-batch is small.",
    )
    max_event_age_hours: float = Field(
        default=72, gt=0, description="Time between an event and its landing above which the skew check counts it."
    )
    max_skewed_share: float = Field(
        default=0.05, ge=0, le=1, description="Share of such events above which the check fails."
    )


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **values: Any) -> S:
    """Read one class of settings from the environment.

    Raises:
        SettingsError: naming every variable that is missing or malformed, with the cure; never with its value.
    """
    try:
        return settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(settings, error.errors())) from None


def given(settings: type[BaseSettings]) -> dict[str, Any]:
    """What the environment and `.env` set of a class, by field, as written there."""
    found = {**DotEnvSettingsSource(settings)(), **EnvSettingsSource(settings)()}
    return {name: value for name, value in found.items() if name in settings.model_fields}


def every_class() -> list[type[BaseSettings]]:
    """Every class of settings, in the order of this module."""
    found = [one for one in globals().values() if isinstance(one, type) and issubclass(one, BaseSettings)]
    return [one for one in found if one is not BaseSettings]


def names_in_use() -> set[str]:
    """Names of all variables in the environment and in `.env`, whoever reads them."""
    return {*os.environ, *dotenv_values(".env")}


def load_partly(settings: type[S], values: dict[str, Any]) -> None:
    """Judge these values alone, whatever else the class wants.

    Raises:
        SettingsError: naming every one that is malformed.
    """
    try:
        settings(**values)
    except ValidationError as error:
        wrong = [one for one in error.errors() if str(one["loc"][0]) in values]
        if wrong:
            raise SettingsError(_explain(settings, wrong)) from None


def load_all(*settings: type[BaseSettings] | Callable[[], BaseSettings]) -> None:
    """Read several classes of settings, or call what reads them, and report what is wrong with any of them at once.

    Raises:
        SettingsError: as `load` does, over all classes.
    """
    wrong: dict[str, None] = {}
    for one in settings:
        try:
            load(one) if isinstance(one, type) else one()
        except SettingsError as error:
            wrong |= dict.fromkeys(str(error).splitlines())
    if wrong:
        raise SettingsError("\n".join(wrong))


def variable(settings: type[BaseSettings], field: str) -> str:
    """The environment variable of a field, such as `ADOBE_ORG_ID`."""
    return f"{settings.model_config.get('env_prefix') or ''}{field}".upper()


def _explain(settings: type[BaseSettings], problems: list[ErrorDetails]) -> str:
    lines = []
    for problem in problems:
        field = str(problem["loc"][0])
        name = field if field.isupper() else variable(settings, field)
        meaning = settings.model_fields[field.lower()].description if field.lower() in settings.model_fields else ""
        if problem["type"] == "missing":
            recorded = field.lower() in RECORDED and settings.model_config.get("env_prefix") == "ADOBE_"
            made = ", or run `capillary-adobe setup`, which makes and records it" if recorded else ""
            lines.append(f"{name} is missing. Set it in the environment or in .env{made}: {meaning}")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name} is malformed: {reason}. {meaning}")
    return "\n".join(lines)


Lane = Literal["live", "history"]
