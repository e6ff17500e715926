"""Settings of the target: tenant, credential, inlet, set-up, and how its verdict and schemas are fetched.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, computed_field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Form, Host, Inlet, Name, Names, Secret, Tenant, Text, Uri
from capillary_adobe.settings.source import environment


class TenantSettings(BaseSettings):
    """What the XDM mapping needs to know of the AEP organisation."""

    model_config = environment("ADOBE_")

    tenant_id: Tenant = Field(description="Tenant id without its underscore. It names the object of custom fields.")


class CredentialSettings(BaseSettings):
    """The credential, the sandbox and how patiently AEP is asked; all that set-up itself needs."""

    model_config = environment("ADOBE_")

    ims_url: Host = Field(default="https://ims-na1.adobelogin.com", description="Host that issues access tokens.")
    platform_url: Host = Field(
        default="https://platform.adobe.io",
        description="Host of the Platform API: batch ingestion, Catalog, Data Access, Schema Registry, Flow Service.",
    )
    client_id: Text = Field(description="Client id of the OAuth server-to-server credential.")
    client_secret: Secret = Field(description="Client secret of the OAuth server-to-server credential.")
    scopes: Names = Field(
        default="openid,AdobeID,read_organizations,additional_info.projectedProductContext,session",
        description="Scopes of the credential, separated by commas, as the developer console lists them.",
    )
    org_id: Annotated[Text, Form("`<id>@AdobeOrg`")] = Field(pattern=r"@AdobeOrg$", description="IMS organisation id.")
    sandbox_name: Text = Field(
        default="prod",
        description="Sandbox that holds the datasets. Do not change it while a batch waits for its verdict.",
    )
    timeout_seconds: float = Field(
        default=60,
        gt=0,
        description=(
            "Longest wait for one answer: of the inlet to its last byte, of the other services each silence within it."
        ),
    )
    retry_budget_seconds: float = Field(
        default=120,
        ge=0,
        description=(
            "How long one request is repeated before its entities stay pending for the next run. Holds for every "
            "service of AEP."
        ),
    )


class AdobeSettings(TenantSettings, CredentialSettings):
    """The AEP organisation and its inlet, as its one-time set-up left them; read them by `environment.adobe_settings`."""

    inlet_url: Inlet = Field(
        description="Streaming endpoint, as AEP shows it. Requests go to `/collection/batch/<inlet id>` of the same host."
    )
    events_schema_id: Uri = Field(description="`$id` of the ExperienceEvent schema.")
    events_dataset_id: Text = Field(
        description="Dataset of the events, for both lanes. Do not change it while a batch waits for its verdict."
    )
    events_flow_id: Text = Field(description="Dataflow that leads the events from the inlet to their dataset.")
    profiles_schema_id: Uri | None = Field(
        default=None,
        description=(
            "`$id` of the Profile schema. While schema, dataset or dataflow of the profiles is unknown, no "
            "profile is sent."
        ),
    )
    profiles_dataset_id: Text | None = Field(default=None, description="Dataset of the profiles; likewise.")
    profiles_flow_id: Text | None = Field(
        default=None, description="Dataflow that leads the profiles from the inlet to their dataset; likewise."
    )
    max_requests_per_second: float = Field(
        default=1000,
        ge=0,
        description="Request rate that all runs of the installation keep together. 0 means no limit.",
    )
    max_records_per_second: float = Field(
        default=1500, ge=0, description="Record rate that all runs of the installation keep together. 0 means no limit."
    )
    max_request_bytes: int = Field(
        default=1_000_000, ge=20_000, le=1_048_576, description="Size of one request. AEP refuses more than 1 MB."
    )
    connections: int = Field(default=4, ge=1, le=64, description="Requests in flight at once, for each run.")
    batch_from_entities: int = Field(
        default=20_000,
        ge=1,
        description="Entities still to be sent from which on a run outside the live lane uses batch ingestion.",
    )
    batch_file_bytes: int = Field(
        default=128 * 2**20,
        ge=10_000,
        le=512_000_000,
        description=(
            "Size at which a file of a batch is closed. The file stands in the temporary folder until it is uploaded."
        ),
    )
    batch_max_files: int = Field(
        default=10_000, ge=1, le=25_000, description="Most files in one batch. AEP advises 10,000 and refuses 25,000."
    )
    batch_max_bytes: int = Field(
        default=100 * 2**30,
        ge=10_000,
        le=2**40,
        description="Most bytes in one batch. AEP advises 100 GB and refuses 1 TB.",
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
        description=(
            "Most batches created in a UTC day. Profile takes 90 a day and sandbox: lower it if other programs "
            "make batches there. 0 means no limit."
        ),
    )
    batch_error_percent: int = Field(
        default=5, ge=0, le=100, description="Share of bad rows up to which AEP takes the others of their batch."
    )
    batch_wait_seconds: float = Field(
        default=300,
        ge=0,
        description=(
            "How long a run waits in all for AEP to ingest its batches. After that `verdict_sensor` has the "
            "verdict read."
        ),
    )

    @computed_field
    @property
    def batch_url(self) -> str:
        """The inlet's address for several messages at once."""
        head, _, inlet = self.inlet_url.rpartition("/")
        return f"{head}/batch/{inlet}"


class SetupSettings(BaseSettings):
    """Names of what set-up makes, and ids of Adobe's that it refers to."""

    model_config = environment("ADOBE_SETUP_")

    name: Name = Field(
        default="Capillary",
        description=(
            "First word of the name of every object that set-up makes. Another name makes other objects; choose "
            "it once."
        ),
    )
    streaming_spec_id: Text = Field(
        default="bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", description="Connection specification of streaming connections."
    )
    dataset_spec_id: Text = Field(
        default="c604ff05-7f1a-43c0-8e18-33bf874cb11c", description="Connection specification of datasets as a target."
    )
    flow_spec_id: Text = Field(
        default="d8a6f005-7eaf-4153-983e-e8574508b877",
        description="Flow specification of a dataflow from a streaming connection without Data Prep.",
    )
    spec_version: Text = Field(default="1.0", description="Version of Adobe's connection and flow specifications.")
    dataset_content_type: Text = Field(
        default="application/vnd.adobe.xed-full+json;version=1", description="Form in which a dataset names its schema."
    )
    target_content_type: Text = Field(
        default="application/vnd.adobe.xed-full+json;version=1.0",
        description="Form in which a target connection names its schema.",
    )


RECORDED: Final = (
    *("tenant_id", "inlet_url"),
    *(f"{kind}_{part}_id" for kind in ("events", "profiles") for part in ("schema", "dataset", "flow")),
)
"""Fields of `AdobeSettings` that set-up writes to the environment record; what is set in the environment overrides it."""


class VerdictSettings(BaseSettings):
    """How AEP's later verdict is read back; apart, so that the code location loads before AEP is set up."""

    model_config = environment("ADOBE_VERDICT_")

    seconds: int = Field(
        default=300,
        ge=5,
        description="Time between two looks at AEP's failed batches and at our own. `make run` sets 15.",
    )
    days: int = Field(
        default=7,
        ge=1,
        le=30,
        description="Age of a failed batch up to which it is read. AEP keeps diagnostics 30 days.",
    )


class SchemaSettings(BaseSettings):
    """How often the tenant's schema is fetched; apart, so that the code location loads before AEP is set up."""

    model_config = environment("ADOBE_SCHEMA_")

    seconds: int = Field(
        default=900,
        ge=0,
        description=(
            "Age up to which the tenant's schema in the state database is used without asking AEP again; AEP "
            "caches as long itself. Read when the code location loads, too."
        ),
    )
