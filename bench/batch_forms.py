"""The two forms in which AEP's batch ingestion takes entities, measured: JSON lines and Parquet.

Run: `.venv/bin/python -m bench.batch_forms [--events N]`. Writes the same entities of a generated day in both forms,
alternating, and prints CPU seconds and bytes with their ratios (medians); asserts nothing. JSON lines are the validated
texts one after the other. For Parquet each text is parsed and its columns are built, by pyarrow in C++; types are those
that pyarrow finds, which a real schema would narrow.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.tables import XDM_EVENTS

DAY = "2026-11-19"
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-bench-") as folder:
        print(json.dumps(measure(Path(folder), parser.parse_args().events), indent=2))


def measure(folder: Path, events: int) -> dict[str, object]:
    texts = _entities(folder, events)
    lines: list[tuple[float, int]] = []
    parquet: list[tuple[float, int]] = []
    for _ in range(ROUNDS):
        lines.append(_timed(lambda: _json_lines(texts)))
        parquet.append(_timed(lambda: _parquet(texts)))
    cpu = [statistics.median(seconds for seconds, _ in form) for form in (lines, parquet)]
    size = [lines[0][1], parquet[0][1]]
    return {
        "entities": len(texts),
        "json_lines": {"cpu_seconds": round(cpu[0], 3), "megabytes": round(size[0] / 1e6, 1)},
        "parquet": {"cpu_seconds": round(cpu[1], 3), "megabytes": round(size[1] / 1e6, 1)},
        "parquet_to_json_lines": {"cpu": round(cpu[1] / cpu[0], 1), "bytes": round(size[1] / size[0], 3)},
        "cores": os.cpu_count(),
    }


def _entities(folder: Path, events: int) -> list[bytes]:
    # No AEP is asked: the road stops before delivery.
    os.environ |= {**Tenant.demo().environment("http://127.0.0.1:1"), "CAPILLARY_CURRENCY": "INR"}
    write_day(LocalLandingStore(folder / "landing"), date.fromisoformat(DAY), events)
    lake = Lake(str(folder / "lake"))
    resources = {
        "landing": LandingResource(url=str(folder / "landing")),
        "lake": LakeResource(url=lake.url),
        "state": StateResource(url=f"sqlite:///{folder / 'state.db'}"),
    }
    job = build_defs(resources=resources).resolve_job_def(JOB)
    for stage in ("raw_events", "enriched_events", "xdm_events"):
        job.execute_in_process(
            instance=dg.DagsterInstance.ephemeral(),
            partition_key=DAY,
            asset_selection=[dg.AssetKey(stage)],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    batches = lake.read(XDM_EVENTS, Slice(DAY), ["entity"])
    return [text.encode() for batch in batches for text in batch.column("entity").to_pylist()]


def _json_lines(texts: list[bytes]) -> int:
    file = io.BytesIO()
    for text in texts:
        file.write(text + b"\n")
    return file.tell()


def _parquet(texts: list[bytes]) -> int:
    rows = pj.read_json(
        io.BytesIO(b"\n".join(texts)), read_options=pj.ReadOptions(block_size=64 * 2**20, use_threads=False)
    )
    file = pa.BufferOutputStream()
    pq.write_table(rows, file, compression="snappy")
    return file.tell()


def _timed(form: Callable[[], int]) -> tuple[float, int]:
    started = time.process_time()
    size = form()
    return time.process_time() - started, size


if __name__ == "__main__":
    main()
