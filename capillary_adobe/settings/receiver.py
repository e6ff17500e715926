"""Settings of the webhook receiver: its address, who may post, how events are made durable, and its limits.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import Form, HeaderName, Listen, Secret, Text, UrlPath
from capillary_adobe.settings.source import environment

HeaderSecret = Annotated[Secret, Form("secret of ASCII signs")]

_PAGES = ("/healthz", "/readyz", "/metrics")


class ReceiverSettings(BaseSettings):
    """The webhook receiver, `capillary-adobe receive`."""

    model_config = environment("RECEIVE_")

    host: Listen = Field(
        default="127.0.0.1", description="Address to listen on. Keep it where a proxy on this machine passes on."
    )
    port: int = Field(default=8790, ge=1, le=65535, description="Port to listen on.")
    path: UrlPath = Field(
        default="/events", description="Path that Capillary posts to. A slash behind it changes nothing."
    )
    header: HeaderName = Field(default="Authorization", description="Header that carries the secret.")
    secret: HeaderSecret | None = Field(
        default=None,
        description=(
            "Value of the header `RECEIVE_HEADER`, the same as in Capillary's webhook. `receive` does not start "
            "without it."
        ),
    )
    previous_secret: HeaderSecret | None = Field(
        default=None, description="A second value of that header that is taken too, while the secret is being changed."
    )
    hmac_header: HeaderName | None = Field(
        default=None,
        description=(
            "Header with the HMAC-SHA256 of the body in hex or base64, with or without `sha256=`, where a proxy "
            "signs it."
        ),
    )
    hmac_secret: Secret | None = Field(default=None, description="Key of the HMAC in `RECEIVE_HMAC_HEADER`.")
    hmac_previous_secret: Secret | None = Field(
        default=None, description="A second key of that HMAC, while the key is being changed."
    )
    certificate_header: HeaderName | None = Field(
        default=None,
        description=(
            "Header in which a proxy tells the client's certificate. The proxy must remove it from what clients send."
        ),
    )
    certificates: Annotated[Text, Form("texts, separated by semicolons")] | None = Field(
        default=None, description="Values of `RECEIVE_CERTIFICATE_HEADER` that are let in."
    )
    refused_status: Literal[429, 503, 401, 403] = Field(
        default=429,
        description="Answer to a missing or wrong credential. Of these, 429 alone is documented to be sent again.",
    )
    max_body_bytes: int = Field(
        default=2**20, ge=1024, description="Larger bodies land aside, through the disk and not through memory."
    )
    max_header_bytes: int = Field(
        default=16 * 2**10,
        ge=1024,
        description="With larger headers a body lands aside. Eight times as much ends the connection.",
    )
    commit_seconds: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Longest wait for the disk or the store, then 429. Capillary waits 30 s.",
    )
    commits_at_once: int = Field(default=4, ge=1, le=64, description="On S3: objects that are put at the same time.")
    group_seconds: float = Field(
        default=0.05,
        ge=0,
        description=(
            "On S3: how long an event waits for others to share its object with; at most half of "
            "`RECEIVE_COMMIT_SECONDS`."
        ),
    )
    group_events: int = Field(
        default=16, ge=1, description="On S3: number of events from which on an object is put without waiting for more."
    )
    roll_seconds: float = Field(
        default=1.0, gt=0, description="In a folder: age at which a file becomes a landed object."
    )
    roll_bytes: int = Field(
        default=16 * 2**20, ge=1, description="In a folder: size at which a file becomes a landed object."
    )
    queue_events: int = Field(
        default=20_000, ge=1, description="Events that may wait to be durable; above it 429 is answered."
    )
    queue_bytes: int = Field(
        default=64 * 2**20,
        ge=1024,
        description=(
            "Bytes that may wait to be durable, with bodies that are still coming in; above it 429 is answered. "
            "At least `RECEIVE_MAX_BODY_BYTES`."
        ),
    )
    retry_after_seconds: int = Field(default=5, ge=1, description="What a 429 tells the sender to wait.")
    header_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Longest time for the headers of a request, from its first byte or the connection's beginning.",
    )
    body_seconds: float = Field(default=30.0, gt=0, description="Longest time for the body of a request.")
    idle_seconds: int = Field(
        default=75,
        ge=1,
        description="How long a connection may stay open without a request. Give a proxy's own connections less.",
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Most open connections. For another one, the one that has asked for nothing longest is closed.",
    )
    stop_seconds: float = Field(
        default=20.0,
        gt=0,
        description=(
            "How long a stop may take: half of it for requests that still come in, most of the rest for what was taken."
        ),
    )

    @field_validator("refused_status", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        # The environment holds texts, which are none of the numbers.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("path")
    @classmethod
    def _own(cls, value: str) -> str:
        if value in _PAGES:
            raise ValueError(f"{value} is a page of the receiver's own; give another path, such as /events")
        return value

    @field_validator("secret", "previous_secret")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        # Whoever sends anything else in a header sends it in an encoding that nobody has agreed upon.
        if value is not None and not all(" " <= character <= "~" for character in value.get_secret_value()):
            raise ValueError("give letters, digits and signs of ASCII on one line")
        return value

    @model_validator(mode="after")
    def _whole(self) -> ReceiverSettings:
        if (self.hmac_header is None) != (self.hmac_secret is None):
            raise ValueError("RECEIVE_HMAC_HEADER and RECEIVE_HMAC_SECRET belong together; set both, or none")
        if (self.certificate_header is None) != (self.certificates is None):
            raise ValueError("RECEIVE_CERTIFICATE_HEADER and RECEIVE_CERTIFICATES belong together; set both, or none")
        if self.certificates is not None and not self.certificates.strip("; "):
            raise ValueError("RECEIVE_CERTIFICATES names no certificate; give the values, separated by semicolons")
        if self.group_seconds > self.commit_seconds / 2:
            raise ValueError(
                "RECEIVE_GROUP_SECONDS is more than half of RECEIVE_COMMIT_SECONDS: events would be refused while they wait "
                "for others"
            )
        if self.queue_bytes < self.max_body_bytes:
            raise ValueError("RECEIVE_QUEUE_BYTES is less than RECEIVE_MAX_BODY_BYTES: such a body would never land")
        return self
