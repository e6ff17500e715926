"""The import of one large export: rows a second, and memory that does not grow with the file.

Run as `python -m bench.history_import --megabytes 1000`; `--double` does half and whole and prints the ratio. The CSV is made
while it is fetched and is gone when the import has read it. Every step is the one of `capillary-adobe import-history`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

HEADER = (
    "bill_id,bill_number,user_id,mobile,event_date,event_time,bill_amount,bill_discount,tax_amount,bill_type,store_code,"
    "store_name,till_code,line_item_id,item_code,description,quantity,rate,line_item_amount,line_item_discount,colour"
)
FIRST = datetime(2024, 11, 1)  # noqa: DTZ001 - the export's, in the organisation's zone
DAYS = 730


def rows(size: int) -> Iterator[bytes]:
    """Line items in the order of no day, until there are so many bytes."""
    dice = random.Random(7)  # noqa: S311 - figures, no secrets
    made, bill = len(HEADER) + 1, 0
    yield f"{HEADER}\n".encode()
    while made < size:
        bill += 1
        when = FIRST + timedelta(seconds=dice.randrange(DAYS * 86_400))
        amount, store = dice.randrange(100, 100_000), dice.randrange(400)
        customer, mobile = dice.randrange(1_000_000, 1_300_000), dice.randrange(10**8)
        head = (
            f"{bill},B/{bill:09},{customer},9199{mobile:08},{when:%Y-%m-%d,%H:%M:%S},"
            f"{amount / 100:.2f},0.00,{amount / 600:.2f},REGULAR,store.{store:03},Shop at the {store}. corner,till.{store:03}.1"
        )
        items = dice.randrange(1, 5)
        text = "".join(
            f'{head},{bill * 10 + item},SKU-{dice.randrange(5000):05},"A thing, number {item}",{item + 1},{amount / 100:.2f},'
            f"{amount / 100 / items:.2f},0.00,red\n"
            for item in range(items)
        ).encode()
        made += len(text)
        yield text


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(megabytes: int, folder: Path) -> dict[str, float]:
    """Import so much in this process, which is to do nothing else; the numbers."""
    from capillary_adobe.capillary.insights.places import FoundFile
    from capillary_adobe.capillary.insights.rules import InsightsRules
    from capillary_adobe.history_importing import import_file
    from capillary_adobe.history_setup import ImportSetup
    from capillary_adobe.landing import open_landing_store
    from capillary_adobe.settings import CapillarySettings, HistorySettings, InsightsSettings, ProfileSettings
    from capillary_adobe.state import State

    size = sum(map(len, rows(megabytes * 10**6)))
    found = FoundFile("transactions.csv", size, int(time.time() * 1000))

    class Generated:
        """A place whose only file is made while it is fetched."""

        def files(self) -> Iterator[FoundFile]:
            yield found

        def fetch(self, name: str, target: Path) -> str:
            assert name == found.name
            digest = hashlib.sha256()
            with target.open("wb") as file:
                for text in rows(megabytes * 10**6):
                    digest.update(text)
                    file.write(text)
            return digest.hexdigest()

        def __str__(self) -> str:
            return "generated"

    insights = InsightsSettings(org_id=100458, work_folder=folder / "work")
    zone = CapillarySettings().zone
    setup = ImportSetup(
        open_landing_store(str(folder / "landing")),
        State(f"sqlite:///{folder}/state.db"),
        insights,
        InsightsRules(),
        InsightsRules().context(100458, zone),
        HistorySettings(),
        ProfileSettings(),
        "Deleted",
        5,
    )
    told: list[tuple[float, float]] = []

    def progress(words: str) -> None:
        told.append((time.perf_counter(), time.process_time()))
        print(f"  {words}; peak {peak_mb():.0f} MB", file=sys.stderr)

    started = time.perf_counter()
    done = import_file(Generated(), found, setup, progress)
    # The first word is that the file has been fetched.
    fetched, cpu_then = told[0]
    seconds, cpu_seconds = time.perf_counter() - fetched, time.process_time() - cpu_then
    return {
        "megabytes": megabytes,
        "rows": done.file.rows,
        "events": done.events,
        "objects": done.objects,
        "seconds_to_make_the_file": round(fetched - started, 1),
        "seconds": round(seconds, 1),
        "rows_a_second": round(done.file.rows / seconds),
        "cpu_seconds": round(cpu_seconds, 1),
        "rows_a_cpu_second": round(done.file.rows / cpu_seconds),
        "peak_mb": round(peak_mb()),
    }


def run(megabytes: int) -> dict[str, float]:
    """Import so much in a process of its own, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as folder:
        command = [sys.executable, "-m", "bench.history_import", "--megabytes", str(megabytes), "--within", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--double", action="store_true", help="half of it first, then all, and the ratio")
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.within:
        print(json.dumps(measure(given.megabytes, given.within)))
        return
    half = run(given.megabytes // 2) if given.double else None
    whole = run(given.megabytes)
    for numbers in filter(None, (half, whole)):
        print("\n".join(f"{name:<26}{value:>14,}" for name, value in numbers.items()), end="\n\n")
    if half:
        times = {name: whole[name] / half[name] for name in ("seconds", "cpu_seconds", "peak_mb")}
        print(
            f"twice the file: {times['seconds']:.2f} times the time, {times['cpu_seconds']:.2f} times the CPU, "
            f"{times['peak_mb']:.2f} times the memory"
        )
    if whole["peak_mb"] > 1000:
        sys.exit("more than 1 GB of memory")


if __name__ == "__main__":
    main()
