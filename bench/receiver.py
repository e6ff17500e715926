"""The webhook receiver, measured: durable events a second, latency at a steady rate, memory over minutes; a folder and S3.

Run: `.venv/bin/python -m bench.receiver [--seconds 10] [--minutes-of-memory 10] [--short] [--json]`. The receiver keeps to
core 0, the load generator to core 1; the S3 server, JuiceFS's gateway over local files, shares core 1 with the generator.
After each measurement every event acknowledged is looked for in the landing store, byte for byte; exit code 1 if one is
missing or an event was answered with another code than 200. Asserts nothing about time.

Two floors show what the figures are made of: the same server without any durability, and with a sync for each event.

Belongs here: the measurements and their table. Does not belong here: the load (`load.py`), the processes
(`receiver_process.py`), what landed (`landed.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.landed import account
from bench.receiver_process import RECEIVE, ReceiverProcess, load_report, start_load
from capillary_adobe.settings import ReceiverSettings
from capillary_adobe.settings import load as load_settings
from capillary_adobe_tests.s3_servers import S3Server, juicefs_gateway

BODY_BYTES = 1500
CONNECTIONS = (20, 64, 220)
"""Capillary's published webhooks have 5 to 220."""
STEADY_RATE = 1000
STEADY_CONNECTIONS = 64
FLOOR_CONNECTIONS = 64
_RECEIVER_CORE, _GENERATOR_CORE = 0, 1
_SYNCS = 200
_SAMPLE_SECONDS = 1.0
_WARMING_SHARE = 0.2
"""Part of a run whose memory is not judged: pools and buffers fill once."""


@dataclass(frozen=True)
class Place:
    """Where events land, and by which program."""

    name: str
    landing_url: str
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = RECEIVE
    lands: bool = True


@dataclass(frozen=True)
class Load:
    """A load on a receiver; `watch`: whether its memory is sampled meanwhile."""

    connections: int
    seconds: float
    rate: float = 0
    watch: bool = False

    def options(self) -> list[str]:
        """The same for the load generator."""
        options = ["--connections", str(self.connections), "--rate", str(self.rate), "--seconds", str(self.seconds)]
        return [*options, "--size", str(BODY_BYTES), "--cpu", str(_GENERATOR_CORE)]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-bench-", dir=options.folder) as folder:
        report = measure(Path(folder), options)
    print(json.dumps(report, indent=2) if options.json else _table(report))
    sound = [one["missing"] == 0 and set(one["by_status"]) == {"200"} for one in report["measurements"]]
    return 0 if all(sound) else 1


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All measurements, one after the other."""
    seconds, minutes = (3.0, 0.25) if options.short else (options.seconds, options.minutes_of_memory)
    loads = [Load(connections, seconds) for connections in CONNECTIONS]
    loads.append(Load(STEADY_CONNECTIONS, seconds, STEADY_RATE))
    if minutes:
        loads.append(Load(STEADY_CONNECTIONS, minutes * 60, STEADY_RATE, watch=True))
    measured = [_measured(folder, place, Load(FLOOR_CONNECTIONS, seconds)) for place in _floors(folder)]
    with ExitStack() as stack:
        places = [Place("folder", str(folder / "landing"))]
        if not options.without_s3:
            server = stack.enter_context(_gateway())
            places.append(Place("S3", f"s3://{server.bucket()}", server.environment))
        measured += [_measured(folder, place, load) for place in places for load in loads]
    floor = measured[0]["events_per_second"]
    for one in measured:
        one["to_nothing_durable"] = None if one["rate"] else round(one["events_per_second"] / floor, 2)
    shown = {"roll_seconds", "roll_bytes", "commits_at_once", "group_seconds", "group_events"}
    return {
        "body_bytes": BODY_BYTES,
        "cores": os.cpu_count(),
        "sync_ms": _sync_ms(folder),
        "settings": load_settings(ReceiverSettings).model_dump(include=shown),
        "measurements": measured,
    }


def _floors(folder: Path) -> list[Place]:
    """The same server with nothing durable, and with a sync for each event."""
    program = (sys.executable, "-m", "bench.receiver_floor")
    return [
        Place("nothing durable", str(folder / "none"), command=(*program, "none"), lands=False),
        Place("a sync for each event", str(folder / "each"), command=(*program, "each")),
    ]


def _measured(folder: Path, place: Place, load: Load) -> dict[str, Any]:
    """One measurement on an empty part of the store."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        own = Path(name)
        landing_url, notes = f"{place.landing_url}/{own.name}", own / "acknowledged"
        with ReceiverProcess(own, landing_url, place.environment, _RECEIVER_CORE, place.command) as receiver:
            began, used = time.monotonic(), receiver.cpu_seconds()
            posting = start_load(receiver.url, notes, *load.options())
            memory = _memory(receiver, load.seconds) if load.watch else {}
            figures = load_report(posting)
            share = (receiver.cpu_seconds() - used) / (time.monotonic() - began)
            memory = {"memory_mb": round(receiver.memory_megabytes()), **memory}
        found = account(notes, landing_url) if place.lands else None
        shutil.rmtree(landing_url, ignore_errors=True)
    return {
        "place": place.name,
        "connections": load.connections,
        "rate": load.rate,
        **figures,
        "receiver_cpu_share": round(share, 2),
        **memory,
        "missing": len(found.missing) if found else 0,
        "objects": found.objects if found else 0,
    }


def _memory(receiver: ReceiverProcess, seconds: float) -> dict[str, Any]:
    """Resident memory while a load runs: its bounds once warm, and its slope."""
    samples: list[tuple[float, float]] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        samples.append((passed / 60, receiver.memory_megabytes()))
        time.sleep(_SAMPLE_SECONDS)
    warm = samples[int(len(samples) * _WARMING_SHARE) :]
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
    sizes = [size for _, size in warm]
    return {
        "memory_least_mb": round(min(sizes), 1),
        "memory_most_mb": round(max(sizes), 1),
        "memory_mb_a_minute": round(slope, 3),
        "minutes": round(seconds / 60, 1),
    }


@contextmanager
def _gateway() -> Iterator[S3Server]:
    """An S3 server whose process shares the generator's core."""
    before = {child.pid for child in psutil.Process().children()}
    with juicefs_gateway() as server:
        for child in psutil.Process().children():
            if child.pid not in before:
                for thread in child.threads():
                    psutil.Process(thread.id).cpu_affinity([_GENERATOR_CORE])
        # The account after each measurement reads from it.
        os.environ.update(server.environment)
        yield server


def _sync_ms(folder: Path) -> float:
    """What a sync of one body costs on this disk, the median."""
    taken = []
    descriptor = os.open(folder / "synced", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(_SYNCS):
        began = time.perf_counter()
        os.write(descriptor, b"x" * BODY_BYTES)
        os.fdatasync(descriptor)
        taken.append(time.perf_counter() - began)
    os.close(descriptor)
    return round(statistics.median(taken) * 1000, 2)


_COLUMNS = {
    "place": "place",
    "connections": "connections",
    "rate": "rate",
    "events_per_second": "events/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "max_ms": "max ms",
    "to_nothing_durable": "to nothing durable",
    "receiver_cpu_share": "receiver CPU",
    "generator_cpu_share": "generator CPU",
    "memory_mb": "MB",
    "objects": "objects",
    "missing": "missing",
}


def _table(report: dict[str, Any]) -> str:
    rows = [list(_COLUMNS.values())]
    for one in report["measurements"]:
        shown = one | {"rate": f"{one['rate']:,.0f}" if one["rate"] else "closed loop"}
        rows.append(["" if shown[name] is None else str(shown[name]) for name in _COLUMNS])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    for one in report["measurements"]:
        if "memory_mb_a_minute" in one:
            bounds = f"{one['memory_least_mb']} to {one['memory_most_mb']} MB"
            lines.append(
                f"memory, {one['place']}, {one['minutes']} min: {bounds}, {one['memory_mb_a_minute']:+} MB a minute"
            )
    lines.append(
        f"bodies of {report['body_bytes']} bytes; a sync takes {report['sync_ms']} ms; {report['cores']} cores"
    )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement of speed")
    parser.add_argument("--minutes-of-memory", type=float, default=10, help="length of each of memory; 0: none")
    parser.add_argument("--short", action="store_true", help="a look in a minute: 3 seconds each, memory for 15")
    parser.add_argument("--without-s3", action="store_true", help="only the folder")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to land; the folder of temporary files otherwise"
    )
    parser.add_argument("--json", action="store_true", help="print JSON with every figure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
