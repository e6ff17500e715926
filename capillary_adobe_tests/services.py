"""Services that tests need and this machine may lack.

Belongs here: finding a service, a clean place in it, and what happens where there is none: a skip with a plain reason,
or a failure where REQUIRE_SERVICES=1. Does not belong here: any expectation.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

POSTGRES_VARIABLE = "TEST_POSTGRES_URL"
_POSTGRES_DEFAULT = "postgresql://postgres@127.0.0.1:5432/test"


def missing(reason: str) -> None:
    """Skip the test, or fail it where every service must be there."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{reason}, and REQUIRE_SERVICES=1 demands it")
    pytest.skip(reason)


@contextmanager
def postgres_database() -> Iterator[str]:
    """The address of an empty PostgreSQL database that is gone afterwards."""
    address = os.environ.get(POSTGRES_VARIABLE, _POSTGRES_DEFAULT)
    url = sa.make_url(address.replace("postgresql://", "postgresql+psycopg2://", 1))
    name = f"capillary_adobe_{uuid.uuid4().hex}"
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    try:
        with server.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    except SQLAlchemyError:
        missing(f"no PostgreSQL that lets databases be created at {url.render_as_string()} ({POSTGRES_VARIABLE})")
    try:
        yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def redis_server() -> Iterator[str]:
    """The address of an empty Redis of its own, which keeps nothing on disk and is gone afterwards."""
    program = shutil.which("redis-server")
    if program is None:
        missing("no redis-server on this machine (apt-get install redis-server)")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="redis-")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder, "--loglevel", "warning"]
    process = subprocess.Popen([str(program), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        with redis.Redis(port=port) as client:
            while not _answers(client):
                assert process.poll() is None, "redis-server ended"
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.05)  # a pause between two looks at the condition
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
