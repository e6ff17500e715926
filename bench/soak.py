"""The soak: a large day delivered through faults of every class and kill -9, and the account of it afterwards.

Run: `.venv/bin/python -m bench.soak [--events N] [--kills K] [--fault-share 0.02] [--seed S]`. Prints JSON; exit code 1 if
an entity is lost, a duplicate is not named in the ledger, or kills made more duplicates than requests can be under way.

Belongs here: entities, the emulator with its faults, the runs and the kills. Does not belong here: one run
(`soak_delivery.py`) and the account (`soak_account.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import requests

from bench.soak_account import Account, account, arrivals, in_flight
from bench.soak_delivery import DONE, PERMANENT, TRANSIENT
from capillary_adobe.emulators.aep import Tenant
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.state import Receipt, State
from capillary_adobe.tables import XDM_EVENTS

ROOT = Path(__file__).parents[1]
DAY = "2026-03-04"
TIMEOUT_SECONDS = 2
_ENTITY_BYTES = 1400
_ROWS_AT_ONCE = 5000
_MOST_FAILURES = 500

# Faults that stop a run are rarer than the others: each costs the start of a process.
_RARE = 0.1
_FAULTS: tuple[tuple[float, dict[str, Any]], ...] = (
    (1, {"kind": "status", "status": 429}),
    (1, {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}),
    (1, {"kind": "status", "status": 503, "headers": {"Retry-After": "1"}}),
    (1, {"kind": "status", "status": 500}),
    (1, {"kind": "status", "status": 502}),
    (1, {"kind": "status", "status": 504}),
    (1, {"kind": "status", "status": 408}),
    (1, {"kind": "reset_before"}),
    (2, {"kind": "reset_after"}),
    (1, {"kind": "delay", "seconds": TIMEOUT_SECONDS * 1.5}),
    (1, {"kind": "slow_body", "seconds": 0.5}),
    # Twenty pieces: each comes later than the client waits for the next one.
    (1, {"kind": "slow_body", "seconds": 20 * TIMEOUT_SECONDS * 1.5}),
    (1, {"kind": "html"}),
    (1, {"kind": "revoke_token"}),
    (1, {"kind": "partial", "status": 429, "share_of_messages": 0.2}),
    (1, {"kind": "partial", "status": 503, "share_of_messages": 0.2}),
    (1, {"kind": "partial", "status": 400, "share_of_messages": 0.1}),
    (1, {"kind": "short_items"}),
    (1, {"kind": "status", "status": 413}),
    (1, {"kind": "status", "status": 400}),
    (_RARE, {"kind": "status", "status": 404}),
    (_RARE, {"kind": "status", "status": 415}),
    (_RARE, {"kind": "status", "status": 501}),
)


@dataclass(frozen=True)
class Plan:
    """What is to happen; the same seed draws the same faults and the same moments, as far as threads allow."""

    events: int = 200_000
    kills: int = 10
    fault_share: float = 0.02
    seed: int = 1
    connections: int = 4
    request_bytes: int = 40_000


@dataclass(frozen=True)
class Course:
    """What happened: runs by their end, and for each kill the requests that it caught under way."""

    runs: Counter[str]
    kills: list[list[Receipt]]
    seconds: float


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-soak-") as folder:
        report = soak(Path(folder), Plan(**vars(options)))
    print(json.dumps(report, indent=2))
    return 1 if report["broken"] else 0


def soak(folder: Path, plan: Plan) -> dict[str, Any]:
    """Deliver everything, whatever happens, and give the account; `broken` lists the promises that were not kept."""
    ids = [_id(number) for number in range(plan.events)]
    Lake(str(folder / "lake")).replace(XDM_EVENTS, Slice(DAY), _rows(ids))
    state = State(f"sqlite:///{folder / 'state.db'}")
    try:
        with _emulator(folder) as base_url:
            _arm(base_url, plan)
            course = _deliver(folder, base_url, plan, state)
            faults = requests.get(f"{base_url}/control/faults", timeout=10).json()
            arrived = Counter(arrivals(base_url))
        found = account(state, DAY, ids, arrived, course.kills)
    finally:
        state.engine.dispose()
    return _report(plan, course, found, faults)


def _report(plan: Plan, course: Course, found: Account, faults: list[dict[str, Any]]) -> dict[str, Any]:
    by_kills = found.duplicates_by_kills
    most = plan.connections * found.most_messages
    kept = {
        "nothing is lost": not found.lost and not found.falsely_settled,
        "every duplicate is named": not found.not_named,
        "nothing acknowledged is sent again": not found.acknowledged_twice,
        "a kill catches at most one request of a connection": all(
            len(caught) <= plan.connections for caught in course.kills
        ),
        "a kill repeats at most what was under way": sum(by_kills) <= len(by_kills) * most,
        "as many kills as wanted": len(by_kills) == plan.kills,
    }
    return asdict(plan) | {
        "accepted": found.accepted,
        "distinct": found.distinct,
        "rejected_by_their_own_400": found.rejected,
        "lost": len(found.lost) + len(found.falsely_settled),
        "duplicates": found.accepted - found.distinct,
        "duplicates_not_named": len(found.not_named),
        "doubtful_named": found.doubtful,
        "maybe_twice": found.maybe_twice,
        "acknowledged_twice": found.acknowledged_twice,
        "duplicates_by_lost_answers": found.duplicates_by_faults,
        "duplicates_by_kills": sum(by_kills),
        "most_duplicates_after_one_kill": max(by_kills, default=0),
        "bound_after_one_kill": most,
        "requests_caught_by_kills": [len(caught) for caught in course.kills],
        "messages_per_request": found.messages_per_request,
        "most_messages_in_a_request": found.most_messages,
        "faults": sum(fault["fired"] for fault in faults),
        "kinds_of_fault_met": sum(fault["fired"] > 0 for fault in faults),
        "kinds_of_fault": len(faults),
        "runs": dict(course.runs),
        "seconds": round(course.seconds, 1),
        "broken": [promise for promise, is_kept in kept.items() if not is_kept],
    }


def _deliver(folder: Path, base_url: str, plan: Plan, state: State) -> Course:
    """Run until a run ends well and every kill has been made."""
    chance = random.Random(plan.seed)  # noqa: S311 - chance on request
    moments = sorted(chance.uniform(0.02, 0.92) * plan.events for _ in range(plan.kills))
    runs: Counter[str] = Counter()
    kills: list[list[Receipt]] = []
    started = time.perf_counter()
    while True:
        began_ms = time.time_ns() // 1_000_000
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.soak_delivery",
                state.engine.url.render_as_string(),
                str(folder / "lake"),
                DAY,
            ],
            env=_environment(base_url, plan),
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        moment = moments[len(kills)] if len(kills) < plan.kills else None
        if moment is not None and _killed(process, base_url, moment):
            kills.append(in_flight(state, DAY, began_ms))
            runs["killed"] += 1
            continue
        ends = {DONE: "done", TRANSIENT: "transient", PERMANENT: "permanent"}
        end = ends.get(process.wait())
        if end is None:
            raise SystemExit(f"a run ended with code {process.returncode}")
        runs[end] += 1
        if end == "done" or runs.total() > _MOST_FAILURES:
            return Course(runs, kills, time.perf_counter() - started)


def _killed(process: subprocess.Popen[bytes], base_url: str, moment: float) -> bool:
    """Kill a process as soon as so many entities have arrived; False where it ended before."""
    while process.poll() is None:
        if requests.get(f"{base_url}/summary.json", timeout=30).json()["distinct"] >= moment:
            process.kill()
            return process.wait() < 0
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    return False


@contextmanager
def _emulator(folder: Path) -> Iterator[str]:
    """The emulator in a process of its own, its address."""
    code = (
        "import socket, sys; from pathlib import Path; import uvicorn;"
        "from capillary_adobe.emulators.aep import Behaviour, Tenant, build_app;"
        "listening = socket.create_server(('127.0.0.1', 0));"
        "print(listening.getsockname()[1], flush=True);"
        "app = build_app(Tenant.demo(), Path(sys.argv[1]), Behaviour(validate=False));"
        "uvicorn.Server(uvicorn.Config(app, log_level='error')).run(sockets=[listening])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "emulator")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        # What it holds back for a fault nobody waits for any more.
        process.kill()
        process.wait()


def _arm(base_url: str, plan: Plan) -> None:
    weights = sum(weight for weight, _ in _FAULTS)
    for number, (weight, fault) in enumerate(_FAULTS):
        share = plan.fault_share * weight / weights
        armed = fault | {"path": "/collection/", "times": None, "share": share, "seed": plan.seed * 1000 + number}
        requests.post(f"{base_url}/control/faults", json=armed, timeout=10).raise_for_status()


def _environment(base_url: str, plan: Plan) -> dict[str, str]:
    return {
        **os.environ,
        **Tenant.demo().environment(base_url),
        "ADOBE_CONNECTIONS": str(plan.connections),
        "ADOBE_MAX_REQUEST_BYTES": str(plan.request_bytes),
        "ADOBE_MAX_RECORDS_PER_SECOND": "0",
        # A limit that never binds: without any, AEP's wish to slow down is met by pauses of up to half a minute.
        "ADOBE_MAX_REQUESTS_PER_SECOND": "100000",
        "ADOBE_RETRY_BUDGET_SECONDS": "10",
        "ADOBE_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
    }


def _id(number: int) -> str:
    return sha256(b"soak %d" % number).hexdigest()


def _entity(id_: str) -> str:
    entity = {
        "_id": id_,
        "timestamp": "2026-03-04T05:06:07.000Z",
        "eventType": "loyalty.pointsIssued",
        "identityMap": {"capillaryCustomerId": [{"id": id_[:12], "primary": True}]},
        "note": "",
    }
    return orjson.dumps(entity | {"note": "x" * (_ENTITY_BYTES - len(orjson.dumps(entity)))}).decode()


def _rows(ids: list[str]) -> Iterator[pa.RecordBatch]:
    common = {
        "day": DAY,
        "batch_id": "live-1",
        "lane": "live",
        "object": f"events/{DAY}/00/a.jsonl",
        "line": 1,
        "landed_ms": 1,
        "event_name": "pointsIssued",
        "event_type": "loyalty.pointsIssued",
        "unreadable": [],
        "size": _ENTITY_BYTES,
    }
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        some = ids[start : start + _ROWS_AT_ONCE]
        own: dict[str, list[Any]] = {"event_key": some, "id": some, "entity": [_entity(id_) for id_ in some]}
        columns = {name: own.get(name, [common.get(name)] * len(some)) for name in XDM_EVENTS.schema.names}
        yield pa.RecordBatch.from_pydict(columns, schema=XDM_EVENTS.schema)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=Plan.events)
    parser.add_argument("--kills", type=int, default=Plan.kills)
    parser.add_argument("--fault-share", type=float, default=Plan.fault_share)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
