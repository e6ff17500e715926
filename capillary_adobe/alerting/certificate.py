"""The certificate that Capillary meets at the webhook's address: when it expires.

Belongs here: the look over the network. Does not belong here: whether the address answers, which only Capillary sees.
"""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from capillary_adobe.alerting.conditions import CERTIFICATE, expiry
from capillary_adobe.settings import AlertSettings, WebhookSettings, load
from capillary_adobe.state.alerts import Problem, Well

EVERY_MS: Final = 3_600_000
"""Time between two looks."""

_SECONDS: Final = 5.0


def certificate(settings: AlertSettings, now_ms: int) -> Problem | Well | None:
    """Whether the certificate at CAPILLARY_WEBHOOK_URL is about to expire; None where there is none to be seen from here."""
    place = _place()
    ends = _ends(*place) if place is not None else None
    if place is None or ends is None:
        return None
    host, _ = place
    days = (ends - datetime.fromtimestamp(now_ms / 1000, UTC)).days
    return expiry(
        _name_of(host),
        f"The certificate of the webhook's address {host}",
        "Have it renewed where TLS ends, the proxy before the receiver. Capillary delivers nothing to an address whose "
        "certificate has expired, and gives an event up after seven days.",
        days,
        settings,
        now_ms,
    )


def certificate_name() -> str | None:
    """The name of the condition, if there is a certificate to look at."""
    place = _place()
    return _name_of(place[0]) if place is not None else None


def _name_of(host: str) -> str:
    return f"{CERTIFICATE} {host}"


def _place() -> tuple[str, int] | None:
    parts = urlsplit(load(WebhookSettings).url or "")
    return (parts.hostname, parts.port or 443) if parts.scheme == "https" and parts.hostname is not None else None


def _ends(host: str, port: int) -> datetime | None:
    """When the certificate ends; whoever signed it is none of our business here, and one that has expired must be seen too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
    except (OSError, ValueError):
        # Many a machine does not reach its own public address; that says nothing about the certificate.
        return None
    return x509.load_der_x509_certificate(shown).not_valid_after_utc if shown else None
