"""Real S3 servers for the tests, on free ports, gone afterwards.

Belongs here: starting and ending them, with an empty bucket. Does not belong here: any expectation.

Two, since they differ where it matters: moto honours `If-None-Match`, so tables may live there; the gateway of JuiceFS
(MinIO's code over local files) silently overwrites, as many a store does.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer

_ACCESS_KEY = "tests-access-key"
_SECRET_KEY = "tests-secret-key"
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which it is reached."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
        }

    def client(self) -> Any:
        """A client of its own, for looking at what is there."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=_ACCESS_KEY,
            aws_secret_access_key=_SECRET_KEY,
        )

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the store of this process while a test lasts."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """A server that honours conditional writes; it runs in a thread and keeps everything in memory."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def juicefs_gateway() -> Iterator[S3Server]:
    """A server of its own process that overwrites whatever `If-None-Match` says."""
    program = Path(sys.executable).parent / "juicefs"
    folder = Path(tempfile.mkdtemp(prefix="juicefs-"))
    meta = f"sqlite3://{folder}/meta.db"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "MINIO_ROOT_USER": _ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": _SECRET_KEY,
    }
    subprocess.run(
        [program, "format", "--storage", "file", "--bucket", f"{folder}/data/", meta, "tests"],
        env=environment,
        check=True,
        capture_output=True,
    )
    port, metrics = _free_ports(2)
    options = ["--no-banner", "--multi-buckets", "--sort-dir", "--keep-etag", "--no-bgjob", "--backup-meta", "0"]
    places = ["--log", str(folder / "gateway.log"), "--cache-dir", str(folder / "cache")]
    gateway = subprocess.Popen(
        [program, "gateway", *options, *places, "--metrics", f"127.0.0.1:{metrics}", meta, f"127.0.0.1:{port}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        server = S3Server(f"http://127.0.0.1:{port}")
        _wait_until_it_answers(server, gateway)
        yield server
    finally:
        gateway.terminate()
        gateway.wait()
        shutil.rmtree(folder)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_until_it_answers(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            server.client().list_buckets()
        except (BotoCoreError, ClientError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
