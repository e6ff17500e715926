"""Reading one object of S3 to its end, over connections that break.

Belongs here: the stream, and what to say where it cannot be read. Does not belong here: which objects (`s3_store.py`).
"""

from __future__ import annotations

import io
import time
from typing import Any, BinaryIO, Final

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from capillary_adobe.landing.store import LandingError, LandingUnavailable
from capillary_adobe.object_store import cure, may_pass, reason, status_of
from capillary_adobe.s3_address import S3Address

BUFFER_BYTES: Final = 2**18
# In a row without one byte; the client's own tries for each request come on top.
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.2
_CHANGED: Final = 412
_BROKEN = (BotoCoreError, HTTPError, OSError)


def opened(client: Any, address: S3Address, key: str) -> BinaryIO:
    """The bytes of an object; its first byte is under way.

    Raises:
        LandingError: it cannot be read; so does the stream.
    """
    return io.BufferedReader(S3Stream(client, address, key), BUFFER_BYTES)


class S3Stream(io.RawIOBase):
    """The bytes of one object; what breaks is asked for again from where it broke, and only of the same object."""

    def __init__(self, client: Any, address: S3Address, key: str) -> None:
        super().__init__()
        self._client = client
        self._address = address
        self._key = key
        self._place = 0
        self._etag = ""
        self._body = self._request()
        self.size: Final[int] = self._length

    def _request(self) -> Any:
        resumed = {"Range": f"bytes={self._place}-", "IfMatch": self._etag} if self._place else {}
        try:
            answer = self._client.get_object(Bucket=self._address.bucket, Key=self._address.key(self._key), **resumed)
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(self._address, self._key, error) from error
        if resumed and not answer.get("ContentRange", "").startswith(f"bytes {self._place}-"):
            raise LandingError(
                f"The landed object {self._key} of LANDING_URL={self._address} cannot be read: the connection broke, and the "
                "store does not give the rest of an object alone. Mend the network, or use a store that knows Range."
            )
        if not resumed:
            self._etag, self._length = answer["ETag"], answer["ContentLength"]
        return answer["Body"]

    def readable(self) -> bool:
        """As the interface wants it."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes; 0 at the end.

        Raises:
            LandingError: they cannot be read.
        """
        for attempt in range(_TRIES):
            try:
                if self._body is None:
                    self._body = self._request()
                piece = (
                    self._body.read(min(len(buffer), self._length - self._place)) if self._place < self._length else b""
                )
            except _BROKEN as error:
                self._drop()
                if attempt == _TRIES - 1:
                    raise _unreadable(self._address, self._key, error) from error
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            else:
                buffer[: len(piece)] = piece
                self._place += len(piece)
                return len(piece)
        return 0

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        """Give the connection back, or close it where bytes are left on it."""
        if not self.closed:
            self._drop()
        super().close()


def same_bytes(stream: BinaryIO, data: bytes) -> bool:
    """Whether a stream holds exactly these bytes."""
    with stream:
        place = 0
        while piece := stream.read(BUFFER_BYTES):
            if data[place : place + len(piece)] != piece:
                return False
            place += len(piece)
        return place == len(data)


def _unreadable(address: S3Address, key: str, error: Exception) -> LandingError:
    if isinstance(error, ClientError) and status_of(error) in {404, _CHANGED} and "Bucket" not in reason(error):
        what = "it is gone" if status_of(error) != _CHANGED else "it was replaced while it was read"
        return LandingError(
            f"The landed object {key} of LANDING_URL={address} cannot be read: {what}. Landed objects must stay as they are "
            "until their day is delivered; put it back, and keep life-cycle rules from deleting what is young."
        )
    return failure(f"The landed object {key} of LANDING_URL={address} cannot be read", error)


def failure(what: str, error: Exception) -> LandingError:
    """What S3 could not do, why, and the cure."""
    kind = LandingUnavailable if may_pass(error) else LandingError
    return kind(f"{what} ({reason(error)}). {cure(error)}")
