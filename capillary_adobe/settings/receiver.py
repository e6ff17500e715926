"""Settings of the webhook receiver: its address, who may post, how events are made durable, and its limits.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import HeaderName, Secret, Text, UrlPath
from capillary_adobe.settings.source import environment

_PAGES = ("/healthz", "/readyz", "/metrics")


class ReceiverSettings(BaseSettings):
    """The webhook receiver, `capillary-adobe receive`."""

    model_config = environment("RECEIVE_")

    host: Text = Field(default="127.0.0.1", description="Address to listen on; keep loopback behind a proxy.")
    port: int = Field(default=8790, ge=1, le=65535, description="Port to listen on.")
    path: UrlPath = Field(default="/events", description="Path that Capillary posts to.")
    header: HeaderName = Field(default="Authorization", description="Header that carries the secret.")
    secret: Secret | None = Field(
        default=None,
        description="Value that this header must have, the same as in Capillary's webhook; nothing is received without it.",
    )
    previous_secret: Secret | None = Field(
        default=None, description="A second value that is taken too, while the secret is being changed."
    )
    hmac_header: HeaderName | None = Field(
        default=None,
        description="Header with the HMAC-SHA256 of the body, where a proxy signs it; none means unsigned.",
    )
    hmac_secret: Secret | None = Field(default=None, description="Key of that HMAC.")
    hmac_previous_secret: Secret | None = Field(
        default=None, description="A second key, while the key is being changed."
    )
    certificate_header: HeaderName | None = Field(
        default=None, description="Header in which a proxy tells the client certificate; none means that none is asked."
    )
    certificates: Text | None = Field(
        default=None, description="Values of that header that are let in, separated by semicolons."
    )
    refused_status: Literal[429, 503, 401, 403] = Field(
        default=429,
        description="Answer to a missing or wrong credential; 429 is the one that Capillary documents to send again after.",
    )
    max_body_bytes: int = Field(
        default=2**20, ge=1024, description="Larger bodies land aside: AEP takes no entity above 1 MB."
    )
    max_header_bytes: int = Field(default=16 * 2**10, ge=1024, description="With larger headers a body lands aside.")
    commit_seconds: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Longest wait for the disk or the store before 429; Capillary waits 30 s.",
    )
    commits_at_once: int = Field(default=4, ge=1, le=64, description="Objects that are put at the same time, on S3.")
    group_seconds: float = Field(
        default=0.05, ge=0, description="How long an event waits for others to share its object with, on S3."
    )
    group_events: int = Field(
        default=16, ge=1, description="Events from which on an object is put without waiting for more, on S3."
    )
    roll_seconds: float = Field(
        default=1.0, gt=0, description="Age at which a file becomes a landed object, in a folder."
    )
    roll_bytes: int = Field(default=16 * 2**20, ge=1, description="Size at which it does.")
    queue_events: int = Field(
        default=20_000, ge=1, description="Events waiting to be durable above which 429 is answered."
    )
    queue_bytes: int = Field(default=64 * 2**20, ge=1024, description="The same in bytes.")
    retry_after_seconds: int = Field(default=5, ge=1, description="What a 429 tells the sender to wait.")
    header_seconds: float = Field(default=10.0, gt=0, description="Longest time for the headers of a request.")
    body_seconds: float = Field(default=30.0, gt=0, description="Longest time for its body.")
    idle_seconds: int = Field(default=75, ge=1, description="How long a connection may stay open without a request.")
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Open connections above which the one that has asked for nothing longest is closed.",
    )
    stop_seconds: float = Field(
        default=20.0, gt=0, description="Longest wait for requests under way when it is stopped."
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
