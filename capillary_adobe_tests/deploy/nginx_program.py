"""nginx as a program of a test: a certificate, a main file around the shipped ones, and its end.

Belongs here: running it. Does not belong here: the shipped files, and any expectation of them.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from capillary_adobe_tests.cli.programs import answers

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
OPENSSL = shutil.which("openssl")
PATIENCE_SECONDS = 20

needs_nginx = pytest.mark.skipif(not (NGINX and OPENSSL), reason="nginx and openssl are not both installed here")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-days", "1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run([str(OPENSSL), "req", *kind, *files, *subject], check=True, capture_output=True)
    return made, key


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """A shipped text with what is different here; each of it stands there."""
    for shipped, here in pairs:
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    return text


def main_file(folder: Path) -> Path:
    """The main file, which takes the `*.conf` of `conf.d` in the folder as nginx does, in the order of their names."""
    paths = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    main = folder / "nginx.conf"
    main.write_text(
        f"pid {folder}/pid; daemon off; worker_processes 1; events {{ worker_connections 64; }}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {paths} include {folder}/conf.d/*.conf; }}\n"
    )
    return main


@contextmanager
def running(main: Path, port: int) -> Iterator[None]:
    """nginx while the context lasts, from when it answers at the port."""
    errors = main.parent / "error.log"
    process = subprocess.Popen([str(NGINX), "-e", str(errors), "-c", str(main)])
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not answers(port):
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def remarks(main: Path) -> str:
    """What nginx says of the files; empty where it takes them without a warning."""
    seen = subprocess.run(
        [str(NGINX), "-t", "-e", "stderr", "-c", str(main)], capture_output=True, text=True, check=False
    )
    return seen.stderr if seen.returncode or "warn" in seen.stderr else ""
