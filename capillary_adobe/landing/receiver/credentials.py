"""Who may post: a secret in a header, and where they are configured an HMAC of the body and a proxy's word on a certificate.

Belongs here: judging a request's credentials, in a time that tells nothing of them. Does not belong here: the answer,
counting, reading bodies. No value of a header leaves this module.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeAlias

from pydantic import SecretStr

from capillary_adobe.settings import ReceiverSettings

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, as they stand in an ASGI scope."""

SECRET_MISSING: Final = "secret_missing"  # noqa: S105 - a reason, not a secret
SECRET_WRONG: Final = "secret_wrong"  # noqa: S105
SIGNATURE_MISSING: Final = "signature_missing"
SIGNATURE_WRONG: Final = "signature_wrong"
CERTIFICATE_MISSING: Final = "certificate_missing"
CERTIFICATE_WRONG: Final = "certificate_wrong"

_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{43}=?")


class Signature(Protocol):
    """The judgement of a body that comes in pieces."""

    def add(self, piece: bytes) -> None:
        """The next piece of the body."""
        ...

    def fits(self) -> bool:
        """Whether the body was signed with one of the keys."""
        ...


class Credentials:
    """What the settings ask of a request.

    Raises:
        ValueError: the settings have no secret; whoever makes this has to ask first.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        if settings.secret is None:
            raise ValueError("RECEIVE_SECRET is not set")
        self._secret = _Known(settings.header, _values(settings.secret, settings.previous_secret))
        self._certificate: _Known | None = None
        if settings.certificate_header and settings.certificates:
            let_in = [one.strip().encode() for one in settings.certificates.split(";") if one.strip()]
            self._certificate = _Known(settings.certificate_header, let_in)
        self._signed = (settings.hmac_header or "").lower().encode()
        self._keys = _values(settings.hmac_secret, settings.hmac_previous_secret)

    def fault(self, headers: Headers) -> str:
        """Why the request is refused before its body is read; empty where it is not."""
        found, fits = self._secret.judge(headers)
        if not fits:
            return SECRET_WRONG if found else SECRET_MISSING
        if self._certificate is not None:
            found, fits = self._certificate.judge(headers)
            if not fits:
                return CERTIFICATE_WRONG if found else CERTIFICATE_MISSING
        if self._signed and not any(name == self._signed for name, _ in headers):
            return SIGNATURE_MISSING
        return ""

    def signature(self, headers: Headers) -> Signature | None:
        """What judges the body; none where no signature is asked for."""
        if not self._signed:
            return None
        return _Hmac(self._keys, [value for name, value in headers if name == self._signed])


class _Known:
    """A header and the values that it may have."""

    def __init__(self, header: str, values: Iterable[bytes]) -> None:
        self._header = header.lower().encode()
        self._digests = [hashlib.sha256(value).digest() for value in values]

    def judge(self, headers: Headers) -> tuple[bool, bool]:
        """Whether the header is there, and whether a value of it is known.

        Digests are compared, of one length, and all of them whatever the first said: the time tells neither how much of
        a value was right nor which of two secrets it was.
        """
        found = fits = False
        for name, value in headers:
            if name != self._header:
                continue
            found = True
            digest = hashlib.sha256(value.strip()).digest()
            for known in self._digests:
                fits |= hmac.compare_digest(digest, known)
        return found, fits


class _Hmac:
    """HMAC-SHA256 of a body in pieces, with each key, against the values of a header."""

    def __init__(self, keys: Iterable[bytes], values: Iterable[bytes]) -> None:
        self._running = [hmac.new(key, digestmod="sha256") for key in keys]
        self._given = [digest for digest in map(_digest, values) if digest]

    def add(self, piece: bytes) -> None:
        for one in self._running:
            one.update(piece)

    def fits(self) -> bool:
        found = False
        for own in [one.digest() for one in self._running]:
            for given in self._given:
                found |= hmac.compare_digest(own, given)
        return found


def _digest(value: bytes) -> bytes:
    """The digest that a header value gives, in hex or base64, with or without `sha256=`; empty if it gives none."""
    text = value.strip()
    if text[:7].lower() == b"sha256=":
        text = text[7:].strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    if not _BASE64.fullmatch(text):
        return b""
    try:
        return base64.b64decode(text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/")) + b"=", validate=True)
    except binascii.Error:
        return b""


def _values(*secrets: SecretStr | None) -> list[bytes]:
    return [one.get_secret_value().encode() for one in secrets if one is not None]
