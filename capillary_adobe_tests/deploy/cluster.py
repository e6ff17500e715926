"""A stand-in for a cluster's API, as far as Dagster's run launcher calls it.

Belongs here: taking the jobs that are created, and the file that tells a client where the API is. Does not belong here: running
them, and any expectation.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]


class Api(ThreadingHTTPServer):
    """Answers like a cluster in which a job begins; `jobs` are those that were created."""

    def __init__(self) -> None:
        self.jobs: list[Json] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, self.jobs))

    def client_file(self, folder: Path) -> Path:
        """A kubeconfig that leads here."""
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"}}],
            "users": [{"name": "nobody", "user": {}}],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(told))
        return path


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, jobs: list[Json], *connection: Any) -> None:
        self._jobs = jobs
        super().__init__(*connection)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        created = re.fullmatch(r"/apis/batch/v1/namespaces/([\w-]+)/jobs", self.path.partition("?")[0])
        if created:
            body["metadata"]["namespace"] = created[1]
            self._jobs.append(body)
        answer = json.dumps(body if created else {"kind": "Status", "code": 404}).encode()
        self.send_response(201 if created else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has there
        """Nothing: the test says what it saw."""


@contextmanager
def cluster() -> Iterator[Api]:
    """The stand-in while the context lasts."""
    with Api() as api:
        thread = threading.Thread(target=api.serve_forever, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()
