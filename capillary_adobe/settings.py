"""Settings: the one place that reads the environment (and a `.env` file beside the working directory).

Belongs here: one class per subject, each field with its meaning, unit and default, and the error that names every
missing or malformed variable at once. Does not belong here: anything that acts on a setting.
Nothing is read at import; call `load(AdobeSettings)` where the values are needed.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, SecretStr, ValidationError, computed_field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """One or more settings are missing or malformed; the text names each variable with its cure."""


def _host(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError("give a host without a path, such as https://platform.adobe.io")
    return f"{parts.scheme}://{parts.netloc}"


def _inlet(value: str) -> str:
    if not re.fullmatch(r"https?://[^/?#]+/collection/(?!batch/)[^/?#]+", value):
        raise ValueError("give the address that AEP shows for the inlet, https://<host>/collection/<inlet id>")
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("give an IANA zone name, such as Asia/Kolkata")
    return value


def _tenant(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]\w*", value):
        raise ValueError("give the tenant id without its leading underscore, letters and digits only")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; give a value")
    return value.strip()


def _secret(value: SecretStr) -> SecretStr:
    return SecretStr(_not_blank(value.get_secret_value()))


Host = Annotated[str, AfterValidator(_host)]
Inlet = Annotated[str, AfterValidator(_inlet)]
Zone = Annotated[str, AfterValidator(_zone)]
Tenant = Annotated[str, AfterValidator(_tenant)]
Text = Annotated[str, AfterValidator(_not_blank)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


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


class HistorySettings(BaseSettings):
    """How far back the partitions go."""

    model_config = _environment("HISTORY_")

    start: date = Field(default=date(2024, 1, 1), description="First daily partition.")


class TenantSettings(BaseSettings):
    """What the XDM mapping needs to know of the AEP organisation."""

    model_config = _environment("ADOBE_")

    tenant_id: Tenant = Field(description="Tenant id without its underscore; it names the object of custom fields.")


class AdobeSettings(TenantSettings):
    """The AEP organisation and its inlet, as its one-time set-up left them."""

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
        raise SettingsError(_explain(settings, error)) from None


def load_all(*settings: type[BaseSettings]) -> None:
    """Read several classes of settings and report what is wrong with any of them at once.

    Raises:
        SettingsError: as `load` does, over all classes.
    """
    wrong: dict[str, None] = {}
    for one in settings:
        try:
            load(one)
        except SettingsError as error:
            wrong |= dict.fromkeys(str(error).splitlines())
    if wrong:
        raise SettingsError("\n".join(wrong))


def variable(settings: type[BaseSettings], field: str) -> str:
    """The environment variable of a field, such as `ADOBE_ORG_ID`."""
    return f"{settings.model_config.get('env_prefix') or ''}{field}".upper()


def _explain(settings: type[BaseSettings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        field = str(problem["loc"][0])
        name = field if field.isupper() else variable(settings, field)
        meaning = settings.model_fields[field.lower()].description if field.lower() in settings.model_fields else ""
        if problem["type"] == "missing":
            lines.append(f"{name} is missing. Set it in the environment or in .env: {meaning}")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name} is malformed: {reason}. {meaning}")
    return "\n".join(lines)


Lane = Literal["live", "history"]
