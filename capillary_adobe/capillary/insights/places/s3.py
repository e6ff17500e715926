"""A prefix in a bucket of S3, or one object of it.

Belongs here: listing, and reading an object to its end over connections that break. Does not belong here: addresses,
the client and the words for its failures (`object_store`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from capillary_adobe.capillary.insights.byte_stream import BLOCK_BYTES
from capillary_adobe.capillary.insights.places.place import (
    FoundFile,
    PlaceError,
    PlaceUnavailable,
    changed,
    gone,
    is_left_out,
    store,
)
from capillary_adobe.object_store import cure, may_pass, reason, s3_client, status_of
from capillary_adobe.s3_address import ObjectStoreError, S3Address

_GONE: Final = 404
_REPLACED: Final = 412
# In a row without one byte; the client's own tries for each request come on top.
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True)
class S3Place:
    """What lies under a prefix, or the object that has exactly this key."""

    address: S3Address
    client: Any = field(repr=False, compare=False)

    @classmethod
    def at(cls, url: str, client: Any | None = None) -> S3Place:
        """The place at `s3://<bucket>/<prefix>`, through the client that the AWS_* variables describe where none is
        given.

        Raises:
            PlaceError: the address is none, or S3 cannot be used as the environment says.
        """
        try:
            return cls(S3Address.parse(url, "INSIGHTS_URL"), client or s3_client())
        except ObjectStoreError as error:
            raise PlaceError(str(error)) from error

    def __str__(self) -> str:
        return str(self.address)

    def files(self) -> Iterator[FoundFile]:
        """Every object, by name; the one alone whose key is the address.

        Raises:
            PlaceError: the bucket cannot be listed.
        """
        if single := self._single():
            yield _found(_last_part(single["Key"]), single)
            return
        names = ((self.address.name(one["Key"]), one) for one in self._listed(self.address.key("")))
        # A name that ends in a slash is the mark by which consoles show an empty folder.
        yield from sorted(
            _found(name, one)
            for name, one in names
            if not name.endswith("/") and not any(is_left_out(part) for part in name.split("/"))
        )

    def _single(self) -> dict[str, Any] | None:
        """The object whose key is the address: of all keys that begin so it is the first."""
        prefix = self.address.prefix
        first = next(self._listed(prefix, MaxKeys=1), None) if prefix else None
        return first if first and first["Key"] == prefix else None

    def _listed(self, prefix: str, **more: Any) -> Iterator[dict[str, Any]]:
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.address.bucket, Prefix=prefix, **more
            )
            for page in pages:
                yield from page.get("Contents", [])
        except (BotoCoreError, ClientError) as error:
            raise _failure(f"{self} cannot be listed", error) from error

    def fetch(self, name: str, target: Path) -> str:
        """Store an object here, and give the hex SHA-256 of its bytes.

        Raises:
            PlaceError: it is gone or cannot be read, or there is no room for it here.
            PlaceUnavailable: the store does not answer, or the object was replaced meanwhile.
        """
        whole = self._request(name, self._key(name))

        def check(size: int) -> None:
            if size != whole["ContentLength"]:
                raise changed(name, self)

        return store(self._blocks(name, whole), target, check)

    def _key(self, name: str) -> str:
        """The key of a file; the place may itself be that file."""
        is_single = _last_part(self.address.prefix) == name and self._single()
        return self.address.prefix if is_single else self.address.key(name)

    def _blocks(self, name: str, answer: dict[str, Any]) -> Iterator[bytes]:
        key, tag, size = answer["Key"], answer["ETag"], answer["ContentLength"]
        place, tries = 0, 0
        body = answer["Body"]
        while place < size:
            try:
                block = body.read(BLOCK_BYTES)
                if not block:
                    return
            except (BotoCoreError, HTTPError, OSError) as error:
                body.close()
                tries += 1
                if tries == _TRIES:
                    raise _failure(f"The export {name} at {self} cannot be read to its end", error) from error
                time.sleep(_PAUSE_SECONDS * 2**tries)
                body = self._request(name, key, Range=f"bytes={place}-", IfMatch=tag)["Body"]
            else:
                tries = 0
                place += len(block)
                yield block

    def _request(self, name: str, key: str, **more: str) -> dict[str, Any]:
        try:
            answer = self.client.get_object(Bucket=self.address.bucket, Key=key, **more)
        except (BotoCoreError, ClientError) as error:
            status = status_of(error) if isinstance(error, ClientError) else 0
            if status == _REPLACED:
                raise changed(name, self) from error
            if status == _GONE and "Bucket" not in reason(error):
                raise gone(name, self) from error
            raise _failure(f"The export {name} at {self} cannot be read", error) from error
        if more and not answer.get("ContentRange", "").startswith(more["Range"].replace("=", " ")):
            raise PlaceUnavailable(
                f"The export {name} at {self} cannot be read on from where the connection broke: the store does not know "
                "Range. Import it again over a better network."
            )
        return {**answer, "Key": key}


def _last_part(key: str) -> str:
    return key.rpartition("/")[2]


def _found(name: str, listed: dict[str, Any]) -> FoundFile:
    return FoundFile(name, listed["Size"], int(listed["LastModified"].timestamp() * 1000))


def _failure(what: str, error: Exception) -> PlaceError:
    kind = PlaceUnavailable if may_pass(error) else PlaceError
    return kind(f"{what} ({reason(error)}). {cure(error)}")
