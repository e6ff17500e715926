"""Kinds of values that settings have: hosts, zones, times of schedules, texts that are not empty.

Belongs here: the form of one value, what operators are told of it, and the words for a wrong one. Does not belong here:
which settings there are, and reading them (`reading.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, SecretStr


@dataclass(frozen=True)
class Form:
    """What an operator is to write, in Markdown, where the type does not say it."""

    words: str


def _host(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError("give a host without a path, such as https://platform.adobe.io")
    return f"{parts.scheme}://{parts.netloc}"


def _inlet(value: str) -> str:
    if not re.fullmatch(r"https?://[^/?#]+/collection/(?!batch/)[^/?#]+", value):
        raise ValueError("give the address that AEP shows for the inlet, https://<host>/collection/<inlet id>")
    return value


# It reads every file of the time zones, and a run loads settings a dozen times.
_zones = cache(available_timezones)


def _zone(value: str) -> str:
    if value not in _zones():
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


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 _-]{0,38}[A-Za-z0-9])?", value):
        raise ValueError("give at most 40 letters, digits, blanks, _ and -, with a letter or digit at both ends")
    return value


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
        raise ValueError("give the name of an HTTP header, such as X-Capillary-Secret")
    return value


def _path(value: str) -> str:
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", value):
        raise ValueError("give a path that begins with a slash, such as /events")
    return value


def _webhook_url(value: str) -> str:
    parts = urlsplit(value)
    here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or parts.scheme not in ({"http", "https"} if here else {"https"}):
        raise ValueError("give an address that begins with https://, such as https://events.example.com/events")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("give an address without user, query or fragment; the secret goes in the header")
    return value


def _page_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("give an address that begins with http:// or https://")
    if parts.username or parts.query:
        raise ValueError("give an address without user and query: it is shown to everybody who sees the UI")
    return value


_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _cron(value: str) -> str:
    fields = value.split()
    if len(fields) != len(_CRON_BOUNDS) or not all(map(_cron_field, fields, _CRON_BOUNDS)):
        raise ValueError(
            "give minute, hour, day of month, month and day of week in numbers, with *, -, / and commas, such as 30 4 * * *"
        )
    return " ".join(fields)


def _cron_field(text: str, bounds: tuple[int, int]) -> bool:
    return all(_cron_part(part, *bounds) for part in text.split(","))


def _cron_part(text: str, lowest: int, highest: int) -> bool:
    match = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", text)
    if match is None or match[3] == "0":
        return False
    first = int(match[1] or lowest)
    return lowest <= first <= int(match[2] or first) <= highest


def _secret(value: SecretStr) -> SecretStr:
    return SecretStr(_not_blank(value.get_secret_value()))


Text = Annotated[str, AfterValidator(_not_blank)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Host = Annotated[str, AfterValidator(_host), Form("host")]
Inlet = Annotated[str, AfterValidator(_inlet), Form("`https://<host>/collection/<inlet id>`")]
Zone = Annotated[str, AfterValidator(_zone), Form("IANA zone")]
Cron = Annotated[str, AfterValidator(_cron), Form("cron")]
Tenant = Annotated[str, AfterValidator(_tenant), Form("letters and digits")]
Name = Annotated[str, AfterValidator(_name), Form("text of at most 40 letters, digits, blanks, `_` and `-`")]
HeaderName = Annotated[str, AfterValidator(_header), Form("name of a header")]
UrlPath = Annotated[str, AfterValidator(_path), Form("path")]
WebhookUrl = Annotated[str, AfterValidator(_webhook_url), Form("address")]
PageUrl = Annotated[str, AfterValidator(_page_url), Form("address")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), Form("ISO 4217 code")]
File = Annotated[Text, Form("path")]
Folder = Annotated[Text, Form("folder")]
Store = Annotated[Text, Form("path or `s3://` address")]
DatabaseUrl = Annotated[Text, Form("database URL")]
Uri = Annotated[Text, Form("URI")]
Listen = Annotated[Text, Form("address")]
Names = Annotated[Text, Form("names, separated by commas")]
DataPaths = Annotated[Text, Form("paths, separated by commas")]
