"""Channels: an address of Apprise's behind a name, and what it said when it took no message.

Belongs here: opening addresses, sending one message, words without secrets. Does not belong here: who hears what
(`settings.alerts`), and when (`due.py`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from capillary_adobe.settings import AlertSettings

Kind = Literal["failure", "warning", "success", "info"]

_LONGEST_WORDS: Final = 300
# Shorter ones stand in any text; a secret is longer.
_SHORTEST_SECRET: Final = 4
_CUT: Final = "***"
_EXCEPTION = re.compile(r"(?:SMTP |Socket |Connection |SSL )?Exception: ")


class AlertError(Exception):
    """A channel cannot be used, or took no message; the text names it with the cure, never its address."""


class Channel:
    """A channel, ready to send."""

    def __init__(self, name: str, address: str) -> None:
        """Open an address.

        Raises:
            AlertError: it is none that Apprise knows.
        """
        # Not at the top: most ticks send nothing.
        import apprise

        self.name = name
        self._secrets = _secrets(address)
        # What it says of an address that it cannot read may hold any part of it.
        with _listening():
            self._plugin: Any = apprise.Apprise.instantiate(address)
        self.scheme = urlsplit(address).scheme
        if self._plugin is None:
            raise AlertError(
                f"The channel {name} of ALERT_CHANNELS cannot be used: {self.scheme}:// is no service that Apprise knows, or "
                "the address lacks a part that it needs. Write it as https://appriseit.com/services/ shows; in a password, "
                "write @ as %40, : as %3A and / as %2F."
            )

    def send(self, title: str, body: str, kind: Kind) -> None:
        """Send one message of plain text.

        Raises:
            AlertError: the service did not take it.
        """
        import apprise

        outlet = apprise.Apprise()
        outlet.add(self._plugin)
        with _listening() as said:
            taken = outlet.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
        if not taken:
            why = self._plain(said) or "it gave no reason"
            raise AlertError(
                f"The channel {self.name} ({self.scheme}) took no message: {why}. It is tried again "
                "with the next tick; mend the service or the address, then try `capillary-adobe alerts test`."
            )

    def _plain(self, said: list[str]) -> str:
        """What Apprise logged, without the parts of the address."""
        text = "; ".join(dict.fromkeys(" ".join(line.split()).rstrip(".") for line in said))
        for secret in self._secrets:
            text = text.replace(secret, _CUT)
        return text[:_LONGEST_WORDS]


class _Said(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # Below a warning stand whole messages and answers, and what a server said in refusing.
        if record.levelno >= logging.WARNING or _EXCEPTION.match(text):
            self.lines.append(text)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Hear what Apprise logs, and keep it from any other log: it may name parts of an address."""
    logger, said = logging.getLogger("apprise"), _Said()
    before = logger.propagate, logger.level
    logger.addHandler(said)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield said.lines
    finally:
        logger.removeHandler(said)
        logger.propagate = before[0]
        logger.setLevel(before[1])


def open_channels(settings: AlertSettings, only: str | None = None) -> tuple[list[Channel], list[AlertError]]:
    """The channels that can be used, and what is wrong with the others; with `only`, this one of them."""
    opened: list[Channel] = []
    errors: list[AlertError] = []
    for name, address in settings.addresses.items():
        if only not in (None, name):
            continue
        try:
            opened.append(Channel(name, address))
        except AlertError as error:
            errors.append(error)
    return opened, errors


def _secrets(address: str) -> list[str]:
    """The parts of an address that may be secret, longest first: all but the scheme, host and port."""
    try:
        parts = urlsplit(address)
        found = [parts.username, parts.password, parts.path, *parts.path.split("/")]
        found += [value for _, value in parse_qsl(parts.query)]
    except ValueError:
        found = re.split(r"[/:@?&=]", address)[1:]
    both = {one for part in found if part for one in (part, unquote(part))}
    # Where the token stands in the place of the host, as with Slack and PagerDuty, it is no address of a machine.
    host = address.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].partition("?")[0]
    if "." not in host and host != "localhost":
        both.add(host)
    return sorted((one for one in both if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)
