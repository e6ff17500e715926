"""Settings of alerts: the channels and who hears what on which, when a message is due, and from when on a condition is told.

Belongs here: the fields, and the reading of their small languages. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import File, Form, Secret, Text, Zone
from capillary_adobe.settings.source import environment

Severity = Literal["warning", "error"]
SEVERITIES: Final[tuple[str, ...]] = ("warning", "error")
"""From the lesser to the greater."""

_CHANNEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,39})=(\S+://\S*)")
_ROUTE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,39})=(warning|error)((?:,[^\s,]+)*)")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_EXPIRY = re.compile(r"([A-Za-z0-9_.-]+)=(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class ChannelRoute:
    """What a channel hears: from which severity on, and of which owners; nobody named means everybody's."""

    least: Severity
    owners: frozenset[str]

    def takes(self, severity: str, owners: frozenset[str]) -> bool:
        """Whether an alert goes there; what has no owner goes to every channel of its severity."""
        return SEVERITIES.index(self.least) <= SEVERITIES.index(severity) and (
            not self.owners or not owners or bool(self.owners & owners)
        )


def _channels(text: str) -> dict[str, str]:
    """ALERT_CHANNELS, read: addresses by name.

    Raises:
        ValueError: an entry is none, or a name occurs twice; never with the address.
    """
    found: dict[str, str] = {}
    lines = (line.strip() for line in text.splitlines())
    for place, entry in enumerate((one for line in lines if not line.startswith("#") for one in line.split()), 1):
        match = _CHANNEL.fullmatch(entry)
        if match is None:
            raise ValueError(f"entry {place} is no <name>=<address>, such as data=mailto://…")
        if match[1] in found:
            raise ValueError(f"the channel {match[1]} is named twice")
        found[match[1]] = match[2]
    return found


def _routes(text: str) -> dict[str, ChannelRoute]:
    found: dict[str, ChannelRoute] = {}
    for entry in text.split():
        match = _ROUTE.fullmatch(entry)
        if match is None:
            raise ValueError(f"{entry} is no <channel>=<warning or error>[,<owner>…], such as data=warning,team:data")
        found[match[1]] = ChannelRoute(
            "error" if match[2] == "error" else "warning", frozenset(match[3].split(",")) - {""}
        )
    return found


def _hours(text: str) -> tuple[time, time]:
    match = _HOURS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError("give hours such as 22:00-07:00")
    first, last = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if first == last:
        raise ValueError("begins and ends at the same time; to hold warnings back for good, route errors alone")
    return first, last


def _expiries(text: str) -> dict[str, date]:
    found: dict[str, date] = {}
    for entry in text.split():
        match = _EXPIRY.fullmatch(entry)
        try:
            found[match[1] if match else ""] = date.fromisoformat(match[2] if match else "")
        except ValueError:
            raise ValueError(f"{entry} is no <name>=<YYYY-MM-DD>, such as ADOBE_CLIENT_SECRET=2027-03-31") from None
    return found


def _ui(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("give the address of the UI as a browser has it, such as https://dagster.example.com")
    return value.rstrip("/")


def _checked_channels(value: SecretStr) -> SecretStr:
    _channels(value.get_secret_value())
    return value


def _checked_routes(value: str) -> str:
    _routes(value)
    return value


def _checked_hours(value: str) -> str:
    _hours(value)
    return value


def _checked_expiries(value: str) -> str:
    _expiries(value)
    return value


class AlertSettings(BaseSettings):
    """Where alerts go, and when."""

    model_config = environment("ALERT_")
    reads_files: ClassVar[bool] = True

    channels: Annotated[Secret, AfterValidator(_checked_channels)] | None = Field(
        default=None,
        description=(
            "Channels, separated by blanks or line ends: `<name>=<address>`, an address [as Apprise writes "
            "it](alerts.md#channels)."
        ),
    )
    channels_file: File | None = Field(
        default=None, description="File with more channels, one a line. Lines that begin with `#` are left out."
    )
    routes: Annotated[Text, AfterValidator(_checked_routes)] | None = Field(
        default=None,
        description=(
            "What a channel hears, separated by blanks: `<channel>=<warning or error>[,<owner>…]`. A channel "
            "without a route hears everything."
        ),
    )
    repeat_minutes: float = Field(
        default=60,
        gt=0,
        description=(
            "Time in which a failure is told once; repeats within it are counted. It doubles with each message "
            "about repeats, up to a day."
        ),
    )
    settle_seconds: float = Field(
        default=120,
        ge=0,
        description=(
            "How long something must be well before that is told, and how long a backlog must last before it is told."
        ),
    )
    quiet_hours: Annotated[Text, AfterValidator(_checked_hours), Form("`<HH:MM>-<HH:MM>`")] | None = Field(
        default=None, description="Hours in which no warning is sent, such as `22:00-07:00`. It is sent when they end."
    )
    timezone: Zone = Field(default="UTC", description="Zone of the quiet hours.")
    ui_url: Annotated[Text, AfterValidator(_ui), Form("address")] | None = Field(
        default=None, description="Address of Dagster's UI, for the links. Without it messages name runs by their id."
    )
    keep_days: int = Field(default=90, ge=1, description="How long an alert that is over stays in the list.")
    silence_minutes: float = Field(
        default=60,
        gt=0,
        description="Shortest time without a landed event that is told, [where events are usual](alerts.md#silence).",
    )
    stale_minutes: float = Field(
        default=30,
        gt=0,
        description="Time for which landed events wait and no delivery ends, above which that is told.",
    )
    lag_minutes: float = Field(
        default=15, gt=0, description="How far one sensor of alerts may be behind before the other one tells."
    )
    quota_share: float = Field(default=0.8, gt=0, le=1, description="Share of a quota from which on its use is told.")
    credentials: Annotated[Text, AfterValidator(_checked_expiries)] | None = Field(
        default=None,
        description="When secrets expire, separated by blanks: `<name>=<YYYY-MM-DD>`. None of them tells that itself.",
    )
    credential_days: int = Field(
        default=30, ge=0, description="Days before a credential or certificate expires from which on that is told."
    )

    @model_validator(mode="after")
    def _known_channels(self) -> AlertSettings:
        unknown = sorted(set(self.route_of) - set(self.addresses))
        if unknown:
            raise ValueError(
                f"ALERT_ROUTES names {', '.join(unknown)}, which is no channel of ALERT_CHANNELS or ALERT_CHANNELS_FILE: "
                "add the channel, or mend its name"
            )
        return self

    @cached_property
    def addresses(self) -> dict[str, str]:
        """Addresses by the name of their channel; they hold secrets."""
        found = _channels(self.channels.get_secret_value()) if self.channels else {}
        if self.channels_file is None:
            return found
        try:
            text = Path(self.channels_file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"ALERT_CHANNELS_FILE={self.channels_file} cannot be read ({type(error).__name__}): name a text file that the "
                "user of Dagster may read"
            ) from None
        try:
            more = _channels(text)
        except ValueError as error:
            raise ValueError(f"ALERT_CHANNELS_FILE={self.channels_file}: {error}") from None
        if twice := sorted(set(found) & set(more)):
            raise ValueError(f"the channel {twice[0]} is named in ALERT_CHANNELS and in ALERT_CHANNELS_FILE: keep one")
        return found | more

    @cached_property
    def route_of(self) -> dict[str, ChannelRoute]:
        """Routes by channel, of those that have one."""
        return _routes(self.routes) if self.routes else {}

    def route(self, channel: str) -> ChannelRoute:
        """What a channel hears."""
        return self.route_of.get(channel, ChannelRoute("warning", frozenset()))

    @cached_property
    def expiries(self) -> dict[str, date]:
        """Days on which credentials expire, by the name given to each."""
        return _expiries(self.credentials) if self.credentials else {}

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of the quiet hours."""
        return ZoneInfo(self.timezone)

    def quiet(self, now_ms: int) -> bool:
        """Whether a moment lies in the quiet hours; they may go over midnight."""
        if self.quiet_hours is None:
            return False
        first, last = _hours(self.quiet_hours)
        here = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self.zone).time()
        return first <= here < last if first < last else here >= first or here < last
