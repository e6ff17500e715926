"""Settings of history: how far back days go, where Insights+ exports arrive and how they are opened, how a backfill is cut.

Belongs here: the fields. Does not belong here: the columns and watermarks of an organisation, which are a file of its own
(`capillary.insights.rules`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Form, Secret, Text
from capillary_adobe.settings.source import environment


class HistorySettings(BaseSettings):
    """How far back the partitions go, and how the days of history are worked on."""

    model_config = environment("HISTORY_")

    start: date = Field(
        default=date(2024, 1, 1),
        description="First daily partition. Objects of earlier days wait; the sensor's last tick names them.",
    )
    launch: Literal["backfill", "micro_batches"] = Field(
        default="backfill",
        description="Whether imported days wait for a backfill, or the landing sensor takes them as they come.",
    )
    days_per_run: int = Field(
        default=14,
        ge=1,
        le=366,
        description="Most days that one run of a backfill works on; its days share the batches that AEP counts.",
    )
    nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="How far a backfill's run gives way to other programs of its machine, as the command nice counts; 0: not.",
    )


class RulesSettings(BaseSettings):
    """Where the rules of exports stand. Live events need no other setting of exports, so a fault in one cannot stop them."""

    model_config = environment("INSIGHTS_")

    rules: Path | None = Field(
        default=None,
        description=(
            "YAML file with the organisation's columns, file forms and watermarks: [the rules "
            "file](history.md#the-rules-file)."
        ),
    )


class InsightsSettings(RulesSettings):
    """Where Insights+ exports arrive and how they are opened; without INSIGHTS_URL none are looked for."""

    url: Annotated[Text, Form("path, `s3://` or `sftp://` address")] | None = Field(
        default=None,
        description=(
            "Where exports arrive: a folder, `s3://<bucket>/<prefix>`, or "
            "`sftp://<user>@<host>[:port]/<folder>`. Without it none are looked for."
        ),
    )
    org_id: int | None = Field(
        default=None,
        gt=0,
        description="Capillary's number of the organisation; exports do not tell it. Required for an import.",
    )
    poll_seconds: int = Field(default=60, ge=1, description="Time between two looks for new exports.")
    settle_seconds: float = Field(
        default=60.0,
        ge=0,
        description="A file that changed within this time is still being written, and waits.",
    )
    zip_password: Secret | None = Field(default=None, description="Password of the zip files.")
    pgp_key_file: Path | None = Field(
        default=None, description="File with the private key for which Capillary encrypts the exports."
    )
    pgp_passphrase: Secret | None = Field(
        default=None, description="Passphrase of the private key in `INSIGHTS_PGP_KEY_FILE`."
    )
    sftp_password: Secret | None = Field(default=None, description="Password of the user at the SFTP server.")
    sftp_key_file: Path | None = Field(
        default=None, description="File with the private key of the user at the SFTP server."
    )
    sftp_known_hosts: Path | None = Field(
        default=None,
        description="File with the SFTP server's host key, as `ssh-keyscan` writes it; without it `~/.ssh/known_hosts`.",
    )
    work_folder: Path = Field(
        default=Path(".data/imports"),
        description="Folder for what an import sorts; takes about four times the size of the largest export, zipped.",
    )
    memory_bytes: int = Field(
        default=384 * 2**20,
        ge=64 * 2**20,
        description="Memory that sorting the rows of an export may take; what is beyond it goes to the work folder.",
    )
