"""A history of years: exported, imported, backfilled by partition through the UI's own API, and accounted for.

Run: `.venv/bin/python -m bench.history --events 5000000 --customers 300000 --days 730 [--double] [--without-backfill]`. Prints
JSON; exit code 1 if a day is out of balance or a number differs from the generator's. Everything is in a folder of its own
(`--folder`, else a temporary one): Dagster's programs, the AEP emulator, stores.

Belongs here: the order of the steps, and what they took. Does not belong here: the export (`history_exports.py`), the backfill
(`history_backfill.py`), the account (`history_account.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.history_account import account
from bench.history_backfill import backfill
from bench.history_exports import ORG_ID, ZONE, Figures, Size, write_exports
from capillary_adobe.landing import open_landing_store

# A redemption stands in two templates; the road finds that the two are one.
_TWICE = "pointsRedeemed"


def main() -> int:
    options = _options()
    size = Size(options.events, options.customers, options.days)
    sizes = [_half(size), size] if options.double else [size]
    reports = []
    for one in sizes:
        if options.folder is not None:
            folder = Path(options.folder).resolve() / f"{one.events}"
            folder.mkdir(parents=True)
            reports.append(measured(folder, one, with_backfill=not options.without_backfill))
        else:
            with tempfile.TemporaryDirectory(prefix="capillary-adobe-history-") as place:
                reports.append(measured(Path(place), one, with_backfill=not options.without_backfill))
    told: dict[str, Any] = {"runs": reports}
    if options.double:
        told["doubled"] = _ratios(*reports)
    print(json.dumps(told, indent=2))
    return 1 if any(report["wrong"] for report in reports) else 0


def measured(folder: Path, size: Size, *, with_backfill: bool) -> dict[str, Any]:
    """Generate, import, backfill, account; what each took, and what was `wrong`."""
    figures = write_exports(folder, size)
    _say(f"{figures.total:,} events in {figures.rows.total():,} rows made in {figures.seconds:.0f} s")
    report: dict[str, Any] = {
        "events": figures.total,
        "days": size.days,
        "customers": size.customers,
        "export": {
            "rows": figures.rows.total(),
            "megabytes": round(figures.bytes / 1e6, 1),
            "seconds": round(figures.seconds, 1),
            "events_a_second": round(figures.total / figures.seconds),
        },
    }
    environment = _environment(folder, size)
    report["import"], wrong = _import(folder, environment, figures)
    _say(f"imported in {report['import']['seconds']} s, peak {report['import']['peak_mb']} MB")
    if with_backfill:
        # Rows without a readable date lie on the day of the import.
        days = open_landing_store(environment["LANDING_URL"]).days("history")
        report["backfill"] = backfill(folder, environment, sorted(days), _say)
        report["account"], differences = account(environment, figures)
        wrong += [*differences, *_wrongly_at_aep(report["backfill"]["at_aep"], figures)]
        wrong += [f"backfill ended as {report['backfill']['status']}"] * (
            report["backfill"]["status"] != "COMPLETED_SUCCESS"
        )
    report["wrong"] = wrong
    return report


def _import(folder: Path, environment: dict[str, str], figures: Figures) -> tuple[dict[str, Any], list[str]]:
    """Import everything by the command; what it took, and where its numbers differ from the generator's."""
    started = time.perf_counter()
    with (folder / "import.jsonl").open("wb") as told, (folder / "import.log").open("wb") as log:
        command = [sys.executable, "-m", "capillary_adobe.cli", "import-history", str(folder / "exports"), "--json"]
        program = subprocess.Popen(command, stdout=told, stderr=log, env=environment, cwd=folder)
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    files = [json.loads(line) for line in (folder / "import.jsonl").read_text("utf-8").splitlines()]
    left = [(file["file"], file.get("error") or file.get("left_alone")) for file in files if "version" not in file]
    wrong = [f"{name} was not imported: {why}" for name, why in left]
    if program.returncode and not wrong:
        wrong.append(f"import ended with {program.returncode}; see {folder / 'import.log'}")
    if not wrong:
        wrong = _wrongly_imported(files, figures)
    rows = sum(file.get("rows", 0) for file in files)
    report = {
        "files": len(files),
        "rows": rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "rows_a_second": round(rows / seconds),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }
    return report, wrong


def _wrongly_imported(files: list[dict[str, Any]], figures: Figures) -> list[str]:
    events, sums, refused = Counter[str](), Counter[str](), 0
    for file in files:
        events.update(file["by_event_type"])
        refused += sum(file["quarantined"].values())
        for name, total in file["totals"].items():
            event, measure = name.split(".")
            sums[event] += int(Decimal(total) * 100) if measure in ("amount", "points") else 0
    expected = Counter[str]()
    expected_sums = Counter[str]()
    for day, by_type in figures.events.items():
        expected.update(by_type)
        expected_sums.update(figures.sums[day])
    expected[_TWICE] *= 2
    expected_sums[_TWICE] *= 2
    wrong = [
        f"imported {events[name]} {name}, not {expected[name]}"
        for name in events | expected
        if events[name] != expected[name]
    ]
    wrong += [
        f"imported {name} sum to {sums[name] / 100}, not {expected_sums[name] / 100}"
        for name in sums | expected_sums
        if sums[name] != expected_sums[name]
    ]
    if refused != figures.refused.total():
        wrong.append(f"{refused} rows refused, not {figures.refused.total()}")
    return wrong


def _wrongly_at_aep(at_aep: dict[str, Any], figures: Figures) -> list[str]:
    """Whether AEP holds each event, and once; profiles, which come again as they change, have no `_id`."""
    events = [one for one in at_aep["in_lake"]["by_dataset"].values() if one["distinct"]]
    held, distinct = (sum(one[name] for one in events) for name in ("records", "distinct"))
    return (
        []
        if held == distinct == figures.total
        else [f"AEP holds {held} records of {distinct} events, not {figures.total}"]
    )


def _environment(folder: Path, size: Size) -> dict[str, str]:
    """The programs' settings; INSIGHTS_URL stands out, so that no sensor imports what the command imports."""
    ours = {
        "LANDING_URL": str(folder / "landing"),
        "LAKE_URL": str(folder / "lake"),
        "STATE_URL": f"sqlite:///{folder / 'state.db'}",
        "HISTORY_START": size.first.isoformat(),
        "CAPILLARY_ORG_TIMEZONE": ZONE,
        "CAPILLARY_CURRENCY": "INR",
        "INSIGHTS_ORG_ID": str(ORG_ID),
        "INSIGHTS_RULES": str(folder / "insights.yaml"),
        "INSIGHTS_WORK_FOLDER": str(folder / "work"),
        # Nobody writes the export any more.
        "INSIGHTS_SETTLE_SECONDS": "0",
        # The emulator has no limit of rate, and no day on which batches are counted.
        "ADOBE_MAX_REQUESTS_PER_SECOND": "0",
        "ADOBE_MAX_RECORDS_PER_SECOND": "0",
        "ADOBE_BATCHES_PER_DAY": "100000",
        "ADOBE_VERDICT_SECONDS": "15",
    }
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
    repository = str(Path(__file__).parents[1])
    return {**{name: os.environ[name] for name in keep if name in os.environ}, **ours, "PYTHONPATH": repository}


def _half(size: Size) -> Size:
    return Size(size.events // 2, size.customers // 2, size.days // 2)


def _ratios(half: dict[str, Any], whole: dict[str, Any]) -> dict[str, float]:
    """How many times as long the whole took as its half; 2 is linear."""
    found = {
        f"{part}_{figure}": whole[part][figure] / half[part][figure]
        for part in ("export", "import", "backfill")
        for figure in ("seconds", "cpu_seconds", "peak_mb")
        if part in whole and figure in whole[part]
    }
    return {name: round(ratio, 2) for name, ratio in found.items()}


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Export, import and backfill a history of years.")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--double", action="store_true", help="Half of it first, then all of it, and the ratios.")
    parser.add_argument("--without-backfill", action="store_true", help="End after the import.")
    parser.add_argument("--folder", help="Where everything is left; it must not hold a former run of this size.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
