"""The lake in a bucket of S3, or of what speaks S3.

Belongs here: creating a table without a rename, reading ranges of its files, refusing a store where commits vanish, and
what delta-rs says of S3 in plain words. Does not belong here: rows and commits (`lake.py`).
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from urllib3.exceptions import HTTPError

from capillary_adobe.lake_files import LakeFile, RangedFile, lake_file
from capillary_adobe.lake_storage import LakeError, LakeUnavailable, first_line
from capillary_adobe.object_store import (
    cure,
    keeps_what_is_there,
    may_pass,
    reason,
    s3_client,
    status_of,
    storage_options,
)
from capillary_adobe.s3_address import ObjectStoreError, S3Address

# An outage of some seconds is sat out; one of a minute is told, instead of ten hours of silence: the defaults of delta-rs
# allow three minutes a request, and a step makes hundreds.
_PATIENCE: Final = {
    "connect_timeout": "5s",
    "timeout": "30s",
    "max_retries": "10",
    "retry_timeout": "45s",
    "backoff_config.init_backoff": "100ms",
    "backoff_config.max_backoff": "10s",
}
_FIRST_COMMIT: Final = "_delta_log/00000000000000000000.json"
_CONFLICT: Final = 409
_TAKEN: Final = 412
_NOT_FOUND: Final = 404
_TRIES: Final = 4
_REMOVALS_AT_ONCE: Final = 8
_PAUSE_SECONDS: Final = 0.2

_ADMITTED: Final[set[tuple[str, S3Address]]] = set()
_ADMITTING: Final = threading.Lock()

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code\W+([345]\d\d)\b")
# A refused signature is answered with the access key id and all that was signed.
_TOLD_BACK = re.compile(r"https?://\S+|<.*", re.DOTALL)


@dataclass(frozen=True)
class S3Place:
    """A prefix in a bucket."""

    address: S3Address
    options: dict[str, str]

    @classmethod
    def at(cls, url: str) -> S3Place:
        """The place at `s3://<bucket>/<prefix>`.

        Raises:
            LakeError: the address is none, or S3 cannot be used as the environment says.
        """
        try:
            return cls(S3Address.parse(url, "LAKE_URL"), {**storage_options(), **_PATIENCE})
        except ObjectStoreError as error:
            raise LakeError(str(error)) from error

    @cached_property
    def _client(self) -> Any:
        try:
            return s3_client()
        except ObjectStoreError as error:
            raise LakeError(str(error)) from error

    def uri(self, name: str) -> str:
        """Address of a table."""
        return f"{self.address}/{name}"

    def admit_writing(self) -> None:
        """Try once a process whether the store honours `If-None-Match`, on which every commit rests.

        Where it does not, of two runs that commit at once one is told that it is done and its rows are gone: 11 of 20
        commits, on a gateway that ignores the header.

        Raises:
            LakeError: it does not, or cannot be written at all.
        """
        place = (self.options.get("AWS_ENDPOINT_URL", ""), self.address)
        with _ADMITTING:
            if place in _ADMITTED:
                return
            try:
                kept = keeps_what_is_there(self._client, self.address)
            except ObjectStoreError as error:
                raise self._failure(f"LAKE_URL={self.address}", error.__cause__ or error) from error
            if not kept:
                raise LakeError(
                    f"LAKE_URL={self.address} is refused: the store ignores If-None-Match, so that of two runs that write at "
                    "once one would lose its rows without a word. Name a store with conditional writes in LAKE_URL, such as "
                    "Amazon S3, or a local folder."
                )
            _ADMITTED.add(place)

    def put_in_place(self, name: str, make: Callable[[Path], None]) -> None:
        """Make the table aside, and put its one commit in place unless another writer has.

        Raises:
            LakeError: the store cannot be written.
        """
        with tempfile.TemporaryDirectory(prefix="lake-") as folder:
            make(Path(folder))
            commit = (Path(folder) / _FIRST_COMMIT).read_bytes()
        key = self.address.key(f"{name}/{_FIRST_COMMIT}")
        for attempt in range(_TRIES):
            try:
                self._client.put_object(Bucket=self.address.bucket, Key=key, Body=commit, IfNoneMatch="*")
            except (BotoCoreError, ClientError) as error:
                status = status_of(error) if isinstance(error, ClientError) else 0
                if status == _TAKEN:
                    return
                # Another writer is at it, who may yet fail.
                if status != _CONFLICT or attempt == _TRIES - 1:
                    raise self.failure(name, error) from error
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            else:
                return

    def file(self, name: str, path: str, size: int) -> AbstractContextManager[LakeFile]:
        """A file of a table, read by ranges.

        Raises:
            LakeError: it cannot be read, now or while it is read.
        """
        return lake_file(RangedFile(size, partial(self._fetch, name, path)))

    def _fetch(self, name: str, path: str, start: int, stop: int) -> bytes:
        """Bytes of a file. What breaks half-way is fetched again: the client tries again only until an answer begins."""
        where = {"Bucket": self.address.bucket, "Key": self.address.key(f"{name}/{path}")}
        for attempt in range(_TRIES):
            try:
                piece = self._client.get_object(**where, Range=f"bytes={start}-{stop - 1}")["Body"].read()
            except ClientError as error:
                raise self.failure(name, error) from error
            except (BotoCoreError, HTTPError, OSError) as error:
                if attempt == _TRIES - 1:
                    raise self.failure(name, error) from error
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            else:
                if len(piece) == stop - start:
                    return piece
                break
        raise LakeError(
            f"The table {name} under LAKE_URL={self.address} cannot be read: a file has not the bytes its log names, or the "
            "store does not give ranges. Find out what else writes there; if the table is damaged, move its folder away and "
            "materialize its days from raw_events on."
        )

    def days(self, name: str) -> list[str]:
        """Every day of a table that has files.

        Raises:
            LakeError: the bucket cannot be listed.
        """
        above = f"{self.address.key(name)}/day="
        where = {"Bucket": self.address.bucket, "Prefix": above, "Delimiter": "/"}
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(**where)
            folders = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise self.failure(name, error) from error
        return sorted(folder.removeprefix(above).rstrip("/") for folder in folders)

    def written(self, name: str, day: str) -> dict[str, float]:
        """Every file that lies in a day of a table.

        Raises:
            LakeError: the bucket cannot be listed.
        """
        above = self.address.key(f"{name}/")
        where = {"Bucket": self.address.bucket, "Prefix": f"{above}day={day}/"}
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(**where)
            listed = [found for page in pages for found in page.get("Contents", [])]
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise self.failure(name, error) from error
        return {found["Key"].removeprefix(above): found["LastModified"].timestamp() for found in listed}

    def remove(self, name: str, paths: list[str]) -> None:
        """Remove files of a table, one by one, since not every store takes a list, and several at once.

        Raises:
            LakeError: one cannot be removed.
        """

        def remove_one(path: str) -> None:
            try:
                self._client.delete_object(Bucket=self.address.bucket, Key=self.address.key(f"{name}/{path}"))
            except (BotoCoreError, ClientError, HTTPError) as error:
                raise self.failure(name, error) from error

        # A day of micro-batches leaves ten thousand files a table, and each answer takes a round trip.
        with ThreadPoolExecutor(_REMOVALS_AT_ONCE) as pool:
            for _ in pool.map(remove_one, paths):
                pass

    def holds_commit(self, name: str, after: int, mark: str) -> bool:
        """Whether one of the commits behind a version carries a mark.

        delta-rs would tell, but it holds Python's lock while it asks the store.

        Raises:
            LakeError: the log cannot be read.
        """
        for version in count(after + 1):
            key = self.address.key(f"{name}/_delta_log/{version:020}.json")
            try:
                commit = self._client.get_object(Bucket=self.address.bucket, Key=key)["Body"].read()
            except (BotoCoreError, ClientError, HTTPError) as error:
                if isinstance(error, ClientError) and status_of(error) == _NOT_FOUND:
                    return False
                raise self.failure(name, error) from error
            if mark.encode() in commit:
                return True
        return False

    def failure(self, name: str, error: Exception) -> LakeError:
        """What is wrong with a table, and the cure."""
        return self._failure(f"The table {name} under LAKE_URL={self.address}", error)

    def _failure(self, what: str, error: BaseException) -> LakeError:
        found = _failure_of_s3(error)
        if found is None:
            cause = _TOLD_BACK.sub("…", _COLOUR.sub("", first_line(Exception(str(error)))))
            return LakeError(f"{what} cannot be read or written ({cause}). {_DAMAGED}")
        kind = LakeUnavailable if may_pass(found) else LakeError
        return kind(f"{what} cannot be read or written ({_WORDS.get(type(found)) or reason(found)}). {_cure(found)}")


_DAMAGED: Final = (
    "Check that nothing else writes there; if the table is damaged, move it away and materialize its days from raw_events "
    "on."
)
_WORDS: Final[dict[type[Exception], str]] = {
    EndpointConnectionError: "the connection failed",
    ReadTimeoutError: "no answer in time",
    NoCredentialsError: "no credentials were found",
}


def _failure_of_s3(error: BaseException) -> Exception | None:
    """The failure of the store behind an error; None where the store did what it was asked.

    delta-rs gives no classes, but texts that hold the answer: they are read into the classes that boto3 has for the same.
    """
    if isinstance(error, BotoCoreError | ClientError | HTTPError):
        return error
    text = _COLOUR.sub("", str(error))
    if "credentials" in text or "169.254." in text:
        return NoCredentialsError()
    code, status = _CODE.search(text), _STATUS.search(text)
    if code or status:
        answer = {"Error": {"Code": code[1] if code else "unknown"}}
        return ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": int(status[1]) if status else 0}}, "any")  # pyright: ignore[reportArgumentType]
    if "timed out" in text:
        return ReadTimeoutError(endpoint_url="")
    if "HTTP error" in text or "Generic S3 error" in text:
        return EndpointConnectionError(endpoint_url="")
    return None


def _cure(error: Exception) -> str:
    if isinstance(error, ClientError):
        if status_of(error) == _NOT_FOUND and error.response.get("Error", {}).get("Code") != "NoSuchBucket":
            return f"A file of the table is gone: keep life-cycle rules from deleting what lies there. {_DAMAGED}"
        if may_pass(error):
            return "The store is overloaded or out of order; what was not done is done by the next run."
    return cure(error)
