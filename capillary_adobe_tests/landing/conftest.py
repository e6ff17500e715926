"""Landing stores of every kind, each empty, with a door behind the store's back.

Belongs here: opening them. Does not belong here: any expectation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from capillary_adobe.landing import LandingStore, open_landing_store
from capillary_adobe.object_store import s3_client
from capillary_adobe_tests.s3_servers import S3Server, juicefs_gateway, moto_server

KINDS = ("folder", "moto", "gateway")


@dataclass(frozen=True)
class Place:
    """A store and what it is made of."""

    store: LandingStore
    url: str
    client: Any = None

    def put(self, key: str, data: bytes = b"x") -> None:
        """Put an object behind the store's back, whatever its name; a name ending in a slash is a mark for a folder."""
        if self.client is not None:
            _, _, bucket, prefix = self.url.split("/", 3)
            self.client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data)
            return
        path = Path(self.url) / key
        if key.endswith("/"):
            path.mkdir(parents=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture(scope="session")
def moto() -> Iterator[tuple[S3Server, str]]:
    """The server that honours conditional writes, and a bucket."""
    with moto_server() as server:
        yield server, server.bucket()


@pytest.fixture(scope="session")
def gateway() -> Iterator[tuple[S3Server, str]]:
    """The server that overwrites, and a bucket."""
    with juicefs_gateway() as server:
        yield server, server.bucket()


@cache
def _clients(server: S3Server) -> tuple[Any, Any]:
    """The package's client and one of the tests' own; making one takes longer than most tests."""
    with pytest.MonkeyPatch.context() as environment:
        server.use(environment)
        return s3_client(), server.client()


def in_bucket(server: S3Server, bucket: str) -> Place:
    """A store under a prefix of its own."""
    url = f"s3://{bucket}/{uuid4().hex}"
    client, own = _clients(server)
    return Place(open_landing_store(url, client), url, own)


def place_of(kind: str, request: pytest.FixtureRequest) -> Place:
    """An empty store of a kind."""
    if kind == "folder":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("landing")
        return Place(open_landing_store(str(folder)), str(folder))
    return in_bucket(*request.getfixturevalue(kind))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty store, one after the other of each kind."""
    return place_of(request.param, request)
