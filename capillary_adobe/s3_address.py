"""Addresses of S3, judged before anything is asked.

Belongs here: telling one from a folder, and its parts. Does not belong here: reaching it (`object_store.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SCHEME: Final = "s3://"
# delta-rs reads an address as a URL and boto3 a key as it stands: the table's first commit would be elsewhere.
_UNSAFE: Final = re.compile(r"[%?#\[\]^|\\\x00-\x1f\x7f]")


class ObjectStoreError(Exception):
    """S3 cannot be used as asked; the text names the place and the cure."""


@dataclass(frozen=True)
class S3Address:
    """A place in a bucket; `prefix` has no slash at its ends and is empty for the whole bucket."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, url: str, variable: str) -> S3Address:
        """The address in `s3://<bucket>/<prefix>`.

        Raises:
            ObjectStoreError: it is none; `variable` is the setting that the text names.
        """
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
        if match is None:
            shown = re.sub(r"//.*@", "//…@", url)
            raise ObjectStoreError(f"{variable}={shown} is no address of S3: give s3://<bucket>/<prefix>.")
        prefix = (match[2] or "").strip("/")
        if _UNSAFE.search(prefix) or (prefix and {"", ".", ".."} & set(prefix.split("/"))):
            raise ObjectStoreError(
                f"{variable}={url} is no address of S3 that every tool reads alike: give s3://<bucket>/<prefix>, the prefix "
                "without % ? # [ ] ^ | \\ and without parts that are empty or dots."
            )
        return cls(match[1], prefix)

    def key(self, name: str) -> str:
        """The key in the bucket of a name under this place."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """The name under this place of a key in the bucket."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


def is_s3(url: str) -> bool:
    """Whether an address is one of S3."""
    return url.startswith(SCHEME)
