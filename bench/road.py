"""The whole road, measured: a generated day through Dagster into a local emulator, twice.

Run: `.venv/bin/python -m bench.road [--events N] [--landing URL] [--lake URL]`. Prints seconds, events a second and peak
memory of each run, their ratio, and the bytes on disk after the first; asserts nothing about time. The first run does the
work, the second shows what a repeat costs. Addresses may be `s3://<bucket>/<prefix>`, empty; the store is the one that the
AWS_* variables name.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import requests

from bench.disk import used
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import Tenant
from capillary_adobe.landing import open_landing_store
from capillary_adobe.landing.local_store import LocalLandingStore

ROOT = Path(__file__).parents[1]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-bench-") as folder:
        print(json.dumps(measure(Path(folder), options.events, options.landing, options.lake), indent=2))


def measure(folder: Path, events: int, landing: str | None = None, lake: str | None = None) -> dict[str, object]:
    day = datetime.now(UTC).date() - timedelta(days=1)
    started = time.perf_counter()
    written = write_day(LocalLandingStore(folder / "landing"), day, events)
    generated = time.perf_counter() - started
    if landing:
        _land(folder / "landing", landing)
    port, emulator = _emulator(folder)
    try:
        environment = _environment(folder, port, landing, lake)
        first = _materialize(environment, day)
        disk = {} if landing or lake else used(folder, written.lines)
        after_first = requests.get(f"http://127.0.0.1:{port}/summary.json", timeout=10).json()
        second = _materialize(environment, day)
        after_second = requests.get(f"http://127.0.0.1:{port}/summary.json", timeout=10).json()
        balance = _balance(environment, day)
    finally:
        emulator.terminate()
        emulator.wait()
    return {
        "lines": written.lines,
        "landed_megabytes": round(written.bytes / 1e6, 1),
        "generating_seconds": round(generated, 1),
        "first_run": first | {"lines_per_second": round(events / first["seconds"])},
        "second_run": second,
        "second_to_first": round(second["seconds"] / first["seconds"], 2),
        "accepted": after_first["accepted"],
        "sent_by_second_run": after_second["accepted"] - after_first["accepted"],
        "balanced": balance["balanced"],
        "difference": balance["difference"],
        "bytes_a_line": disk,
        "cores": os.cpu_count(),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--landing", help="LANDING_URL; without it a folder of its own")
    parser.add_argument("--lake", help="LAKE_URL; without it a folder of its own")
    return parser.parse_args()


def _land(folder: Path, url: str) -> None:
    store = open_landing_store(url)
    for path in sorted(folder.rglob("*.jsonl*")):
        store.write(path.relative_to(folder).as_posix(), path.read_bytes())


def _emulator(folder: Path) -> tuple[int, subprocess.Popen[str]]:
    code = (
        "import socket, sys; from pathlib import Path; import uvicorn;"
        "from capillary_adobe.emulators.aep import Tenant, build_app;"
        "listening = socket.create_server(('127.0.0.1', 0));"
        "print(listening.getsockname()[1], flush=True);"
        "app = build_app(Tenant.demo(), Path(sys.argv[1]));"
        "uvicorn.Server(uvicorn.Config(app, log_level='error')).run(sockets=[listening])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "emulator")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    return int(process.stdout.readline()), process


def _environment(folder: Path, port: int, landing: str | None, lake: str | None) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return {
        **os.environ,
        **Tenant.demo().environment(f"http://127.0.0.1:{port}"),
        "DAGSTER_HOME": str(home),
        "LANDING_URL": landing or str(folder / "landing"),
        "LAKE_URL": lake or str(folder / "lake"),
        "STATE_URL": f"sqlite:///{folder / 'state.db'}",
        "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
        "CAPILLARY_CURRENCY": "INR",
        "ADOBE_MAX_REQUESTS_PER_SECOND": "0",
        "ADOBE_MAX_RECORDS_PER_SECOND": "0",
    }


def _materialize(environment: dict[str, str], day: date) -> dict[str, float]:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "group:delivery"]
    command += ["--partition", day.isoformat(), "-m", "capillary_adobe.definitions"]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(output[-4000:])
    seconds = time.perf_counter() - started
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_megabytes": round(peak / 1e6)}


def _balance(environment: dict[str, str], day: date) -> dict[str, object]:
    code = (
        "import json, sys; from capillary_adobe.balance import Accounts; from capillary_adobe.lake import Lake;"
        "from capillary_adobe.landing import open_landing_store; from capillary_adobe.settings import StorageSettings, load;"
        "from capillary_adobe.state import State; s = load(StorageSettings);"
        "a = Accounts(open_landing_store(s.landing_url), Lake(s.lake_url), State(s.state_url));"
        "print(json.dumps(a.balance(sys.argv[1]).as_dict()))"
    )
    command = [sys.executable, "-c", code, day.isoformat()]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
