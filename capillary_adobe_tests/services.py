"""Services that tests need and this machine may lack.

Belongs here: finding a service, a clean place in it, and what happens where there is none: a skip with a plain reason,
or a failure where REQUIRE_SERVICES=1. Does not belong here: any expectation.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
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
