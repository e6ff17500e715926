"""A landing store in a bucket of S3, or of what speaks S3.

Belongs here: listing behind a key, and writing so that nothing is replaced. Does not belong here: reading one object to
its end over a bad network (`s3_reading.py`), what the store and its failures are called (`object_store`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from botocore.exceptions import BotoCoreError, ClientError

from capillary_adobe.landing.s3_reading import failure, opened, same_bytes
from capillary_adobe.landing.s3_staging import staged
from capillary_adobe.landing.store import (
    LANE_FOLDERS,
    LandedObject,
    LandingError,
    is_day,
    is_hidden,
    may_hold,
    taken_error,
)
from capillary_adobe.object_store import s3_client, status_of
from capillary_adobe.s3_address import ObjectStoreError, S3Address
from capillary_adobe.settings import Lane

# One request takes at most 5 GiB, and one that breaks begins anew: from here on in parts.
PART_BYTES: Final = 16 * 2**20
_PARTS_AT_ONCE: Final = 4
# Another writer of the same key is at work: docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
_CONFLICT: Final = 409
_TAKEN: Final = 412
_NOT_IMPLEMENTED: Final = 501
_TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True)
class S3LandingStore:
    """A prefix in a bucket."""

    address: S3Address
    client: Any = field(repr=False, compare=False)

    @classmethod
    def at(cls, url: str, client: Any | None = None) -> S3LandingStore:
        """The store at `s3://<bucket>/<prefix>`, through a client of its own where none is given.

        Raises:
            LandingError: the address is none, or S3 cannot be used as the environment says.
        """
        try:
            return cls(S3Address.parse(url, "LANDING_URL"), client or s3_client())
        except ObjectStoreError as error:
            raise LandingError(str(error)) from error

    def days(self, lane: Lane) -> list[str]:
        """Days with a folder in the lane, in order.

        Raises:
            LandingError: the store cannot be listed.
        """
        found: set[str] = set()
        for folder in LANE_FOLDERS[lane]:
            for page in self._pages(Prefix=self.address.key(f"{folder}/"), Delimiter="/"):
                names = (self.address.name(one["Prefix"]).split("/")[1] for one in page.get("CommonPrefixes", []))
                found.update(name for name in names if is_day(name))
        return sorted(found)

    def list(self, lane: Lane, day: str, after: str = "") -> Iterator[LandedObject]:
        """Objects of a day whose key sorts after `after`, in key order over all folders of the lane.

        Raises:
            LandingError: the store cannot be listed, or lists in another order.
        """
        for folder in LANE_FOLDERS[lane]:
            prefix = f"{folder}/{day}/"
            if may_hold(prefix, after):
                yield from self._listed(prefix, max(prefix, after))

    def _listed(self, prefix: str, after: str) -> Iterator[LandedObject]:
        before = after
        for page in self._pages(Prefix=self.address.key(prefix), StartAfter=self.address.key(after)):
            for found in page.get("Contents", []):
                key = self.address.name(found["Key"])
                if key <= before:
                    raise LandingError(
                        f"{self.address} does not list in the order of its keys, or not behind a key: {key} came after "
                        f"{before}. Events would be missed; land them in a bucket that does, such as a general purpose one."
                    )
                before = key
                if not _left_out(key.removeprefix(prefix), found["Size"]):
                    yield LandedObject(key, found["Size"], int(found["LastModified"].timestamp() * 1000))

    def _pages(self, **what: Any) -> Iterator[dict[str, Any]]:
        try:
            yield from self.client.get_paginator("list_objects_v2").paginate(Bucket=self.address.bucket, **what)
        except (BotoCoreError, ClientError) as error:
            raise failure(f"LANDING_URL={self.address} cannot be listed", error) from error

    def open(self, key: str) -> BinaryIO:
        """The bytes of an object as stored; a connection that breaks is taken up again where it broke.

        Raises:
            LandingError: the object is gone or unreadable, now or while it is read.
        """
        return opened(self.client, self.address, key)

    def staged(self, keys: Iterable[str]) -> Iterator[tuple[str, BinaryIO]]:
        """Objects opened one by one in the order given, fetched ahead; a stream is closed when the next is asked for.

        Raises:
            LandingError: the object whose turn it is is gone or unreadable.
        """
        return staged(self.client, self.address, keys)

    def write(self, key: str, data: bytes) -> None:
        """Store an object so that a reader sees all of it or nothing; one with the same bytes may be there already.

        A store that does not know `If-None-Match` replaces what is there.

        Raises:
            LandingError: the store cannot be written, or another object is there under this key.
        """
        try:
            placed = self._placed(key, data)
        except (BotoCoreError, ClientError) as error:
            raise failure(f"LANDING_URL={self.address} cannot be written", error) from error
        # A request that was sent twice, since its answer was lost, finds its own bytes.
        if not placed and not same_bytes(self.open(key), data):
            raise taken_error(f"LANDING_URL={self.address}", key)

    def _placed(self, key: str, data: bytes) -> bool:
        """Put an object unless its key is taken; whether it was put."""
        condition = {"IfNoneMatch": "*"}
        for attempt in range(_TRIES):
            try:
                self._put(key, data, **condition)
            except ClientError as error:
                if status_of(error) == _TAKEN or _is_completed(error):
                    return False
                if status_of(error) == _NOT_IMPLEMENTED and condition:
                    condition = {}
                elif status_of(error) != _CONFLICT or attempt == _TRIES - 1:
                    raise
                else:
                    time.sleep(_PAUSE_SECONDS * 2**attempt)
            else:
                return True
        return False

    def _put(self, key: str, data: bytes, **condition: str) -> None:
        place = {"Bucket": self.address.bucket, "Key": self.address.key(key)}
        if len(data) <= PART_BYTES:
            self.client.put_object(**place, Body=data, **condition)
            return
        upload = place | {"UploadId": self.client.create_multipart_upload(**place)["UploadId"]}

        def put_part(number: int) -> dict[str, Any]:
            piece = memoryview(data)[(number - 1) * PART_BYTES : number * PART_BYTES]
            return {
                "PartNumber": number,
                "ETag": self.client.upload_part(**upload, PartNumber=number, Body=bytes(piece))["ETag"],
            }

        try:
            with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
                parts = list(pool.map(put_part, range(1, -(-len(data) // PART_BYTES) + 1)))
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            # Parts that nobody completes are paid for until somebody looks; what went wrong matters more.
            with suppress(BotoCoreError, ClientError):
                self.client.abort_multipart_upload(**upload)
            raise


def _is_completed(error: ClientError) -> bool:
    """Whether the parts of an upload are gone: an earlier request, whose answer was lost, has put them together."""
    return error.response.get("Error", {}).get("Code") == "NoSuchUpload"


def _left_out(path: str, size: int) -> bool:
    """Whether an object under its day is none: hidden, or the mark by which consoles show an empty folder."""
    return (path.endswith("/") and size == 0) or any(is_hidden(name) for name in path.split("/"))
