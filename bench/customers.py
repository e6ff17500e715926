"""Customers, measured: merging updates into very many documents, and what is asked of these, with bounded memory.

Run: `.venv/bin/python -m bench.customers [--customers 10000000] [--updates 100000] [--postgres URL] [--folder F] [--warm]
[--round N]`.
Fills a state database (10 million customers: about 17 GB), forgets the file's pages in memory (not with `--warm`), then
merges one update each of random customers, in a process of its own, while a thread writes a row now and then as the
pace of a delivery does. Prints JSON; asserts nothing about time. With `--folder` the SQLite database stays there and is
filled once; another `--round` has updates of its own, while those of the same one change nothing the second time.

Belongs here: the size of the database, the updates and their figures. Does not belong here: the merge itself.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp, packed, unpacked
from capillary_adobe.profiles.identities import Identity, fingerprint
from capillary_adobe.state import Customers, LoyaltyHistory, Paces, State
from capillary_adobe.state.customer_table import customers
from capillary_adobe.state.identity_uses import identity_uses
from capillary_adobe.state.loyalty_history import loyalty_history

ORG = 100458
FIRST = 500_000_000
REGISTERED_US = 1_700_000_000_000_000
SPOKE_US = 1_760_000_000_000_000
NOW_US = 1_795_000_000_000_000
ROWS = 20_000
AS_OF_MOMENTS = 50_000
_SPAWN = multiprocessing.get_context("spawn")

# What a registration, the last answer of the API and the last sale have said; 1.3 KB.
DOCUMENT = packed(
    unpacked(
        json.dumps(
            [
                [
                    REGISTERED_US,
                    7_000_001,
                    "0123456789abcdef",
                    {
                        "first_name": "Firstname",
                        "last_name": "Lastname",
                        "email": "e00000000000@mail.example.org",
                        "mobile": "910000000000",
                        "joined_ms": REGISTERED_US // 1000,
                        "source": "INSTORE",
                        "loyalty_type": "loyalty",
                    },
                ],
                [
                    SPOKE_US,
                    0,
                    "api",
                    {
                        "external_id": "X000000000000",
                        "gender": "female",
                        "birth_date": "1988-04-03",
                        "language": "en",
                        "address.city": "Bengaluru",
                        "address.state": "Karnataka",
                        "address.postal_code": "560001",
                        "address.country": "IN",
                        "status": "Active",
                        "consent.email.BULK": "y",
                        "consent.email.TRANS": "y",
                        "consent.sms.BULK": "n",
                        "consent.sms.TRANS": "y",
                        "program.1.name": "Rewards",
                        "program.1.is_default": True,
                        "program.1.tier_expiry": "2027-12-31T00:00:00Z",
                        "program.1.next_tier": "Platinum",
                        "program.1.points_to_next_tier": 1200.0,
                        "program.1.expirations": [{"points": 40, "date": "2027-06-30T00:00:00Z"}],
                        "custom.favourite_store": "MG Road",
                    },
                ],
                [
                    SPOKE_US + 1,
                    8_000_001,
                    "fedcba9876543210",
                    {
                        "program.1.points": 100.0,
                        "program.1.lifetime_points": 900.0,
                        "program.1.redeemed": 500.0,
                        "program.1.expired": 300.0,
                        "program.1.purchases": 12000.5,
                        "program.1.tier_number": 3,
                        "program.1.tier_name": "Gold",
                    },
                ],
            ]
        ).encode()
    )
)


class Updates(NamedTuple):
    """How many, and which: another round updates other customers, later."""

    number: int
    round: int


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="capillary-adobe-customers-") as folder:
        url = options.postgres or f"sqlite:///{Path(options.folder or folder) / 'state.db'}"
        updates = Updates(options.updates, options.round)
        print(json.dumps(measure(url, options.customers, updates, warm=options.warm), indent=2))


def measure(url: str, number: int, updates: Updates, *, warm: bool) -> dict[str, Any]:
    began = time.monotonic()
    filled = fill(url, number)
    figures: dict[str, Any] = {"customers": number, "filled_s": round(time.monotonic() - began, 1) if filled else None}
    for work in (_merge, _merge_again, _ask):
        if not warm:
            _forget_pages(url)
        figures |= _alone(work, url, number, updates)
    path = sa.make_url(url).database or ""
    if url.startswith("sqlite"):
        figures["database_gb"] = round(os.stat(path).st_size / 1e9, 1)  # noqa: PTH116
        figures["wal_mb"] = round(Path(f"{path}-wal").stat().st_size / 1e6) if Path(f"{path}-wal").exists() else 0
    return figures


def fill(url: str, number: int) -> bool:
    """Put the customers in, past the merge; False if they are there already."""
    state = State(url)
    with state.read() as connection:
        if connection.execute(sa.select(customers.c.customer_id).limit(1)).first() is not None:
            return False
    ids = range(FIRST, FIRST + number)
    mail = b"e%012d@mail.example.org"
    now = NOW_US // 1000
    _copy(
        state,
        customers,
        ("org_id", "customer_id", "document", "revision", "settled_revision", "settled_ms", "due_ms", "looked_up_ms"),
        (
            (
                ORG,
                one,
                DOCUMENT.replace(mail % 0, mail % one).replace(b"910000000000", b"91%010d" % one),
                3,
                3,
                now,
                now,
                (now if one % 3 else 0),
            )
            for one in ids
        ),
    )
    said = json.dumps({"program.1.points": 100.0, "program.1.lifetime_points": 900.0, "program.1.tier_number": 3})
    _copy(
        state,
        loyalty_history,
        ("org_id", "customer_id", "at_us", "sequence", "tie", "fields"),
        ((ORG, one, SPOKE_US, 8_000_001, "fedcba9876543210", said.encode()) for one in ids),
    )
    step = 1_000_000
    for start in range(FIRST, FIRST + number, step):
        uses = [
            (fingerprint(identity), ORG, one, identity.kind)
            for one in range(start, min(start + step, FIRST + number))
            for identity in (
                Identity("email", f"e{one:012}@mail.example.org"),
                Identity("phone", f"+91{one:010}"),
            )
        ]
        uses.sort()
        _copy(state, identity_uses, ("fingerprint", "org_id", "customer_id", "kind"), uses)
    with state.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    state.engine.dispose()
    return True


def _copy(state: State, table: sa.Table, names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    coming = iter(rows)
    marks = ", ".join("?" for _ in names)
    into = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES "
    while some := list(islice(coming, ROWS)):
        with state.begin() as connection:
            if state.is_sqlite:
                connection.exec_driver_sql(f"{into}({marks})", some)
                continue
            text = "\n".join("\t".join(_copied(value) for value in row) for row in some)
            cursor: Any = connection.connection.cursor()
            cursor.copy_expert(f"COPY {table.name} ({', '.join(names)}) FROM STDIN", io.StringIO(text))


def _copied(value: Any) -> str:
    return f"\\\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def facts_of(number: int, updates: Updates) -> Iterator[Facts]:
    """One event of each of some random customers: points and tier, for one in ten also another e-mail or name."""
    chance = random.Random(7 + updates.round)  # noqa: S311
    since_us = NOW_US + updates.round * 10**9
    for place, one in enumerate(chance.sample(range(FIRST, FIRST + number), updates.number)):
        points = float(chance.randrange(10_000))
        fields: dict[str, Any] = {
            "program.1.points": points,
            "program.1.lifetime_points": points * 3,
            "program.1.redeemed": points * 2,
            "program.1.purchases": points * 100,
            "program.1.tier_number": 3 if points < 8000 else 4,
            "program.1.tier_name": "Gold" if points < 8000 else "Platinum",
        }
        if place % 10 == 0:
            fields["email"] = f"n{one:012}@mail.example.org"
        elif place % 10 == 1:
            fields["last_name"] = f"Name{one}"
        yield Facts(CustomerKey(ORG, one), Stamp(since_us + place, place, f"{one:016x}"), fields)


def _merge(url: str, number: int, updates: Updates) -> dict[str, Any]:
    cpu = time.process_time()
    seconds, result, waits = _timed_merge(url, number, updates)
    return {
        "updates": updates.number,
        "merge_s": round(seconds, 2),
        "merge_cpu_s": round(time.process_time() - cpu, 2),
        "changed": result.changed,
        "peak_mb": _peak_mb(),
        "other_writer_waits_ms": {
            "median": round(sorted(waits)[len(waits) // 2] * 1000, 1),
            "p99": round(sorted(waits)[len(waits) * 99 // 100] * 1000, 1),
            "worst": round(max(waits) * 1000, 1),
        },
    }


def _merge_again(url: str, number: int, updates: Updates) -> dict[str, Any]:
    seconds, result, _ = _timed_merge(url, number, updates)
    return {"same_again_s": round(seconds, 2), "same_again_changed": result.changed}


def _timed_merge(url: str, number: int, updates: Updates) -> tuple[float, Any, list[float]]:
    state = State(url)
    known = Customers(state)
    with Paces(state).hold("bench", time.time):
        pass
    done = threading.Event()
    waits: list[float] = []

    def pace() -> None:
        other = State(url)
        while not done.wait(0.02):
            began = time.monotonic()
            with Paces(other).hold("bench", time.time) as row:
                row.failures += 1
            waits.append(time.monotonic() - began)

    writer = threading.Thread(target=pace)
    writer.start()
    try:
        began = time.monotonic()
        result = known.merge(facts_of(number, updates))
        seconds = time.monotonic() - began
    finally:
        done.set()
        writer.join()
    return seconds, result, waits or [0.0]


def _ask(url: str, number: int, updates: Updates) -> dict[str, Any]:
    state = State(url)
    known, history = Customers(state), LoyaltyHistory(state)
    keys = [one.key for one in facts_of(number, updates)]
    chance = random.Random(8)  # noqa: S311
    moments = [(key, SPOKE_US + chance.randrange(10**13)) for key in chance.choices(keys, k=AS_OF_MOMENTS)]
    figures: dict[str, Any] = {}

    def timed(name: str, work: Any) -> Any:
        began = time.monotonic()
        result = work()
        figures[name] = round(time.monotonic() - began, 3)
        return result

    due = timed("due_10000_s", lambda: known.due(None, 10_000, NOW_US))
    timed("due_of_all_updated_s", lambda: known.due(keys, 10_000, NOW_US))
    timed("settle_10000_s", lambda: known.settle([(one.key, one.revision) for one in due], NOW_US // 1000))
    timed("as_of_50000_s", lambda: history.registers_as_of(moments))
    timed("not_fresh_s", lambda: known.not_fresh(keys, NOW_US // 1000))
    timed("survivors_s", lambda: known.survivors(keys))
    timed("note_looked_up_10000_s", lambda: known.note_looked_up(keys[:10_000], NOW_US // 1000 + 1))
    timed("counts_s", known.counts)
    return {**figures, "asking_peak_mb": _peak_mb()}


def _alone(work: Any, url: str, number: int, updates: Updates) -> dict[str, Any]:
    hear, tell = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_tell, args=(tell, work, url, number, updates))
    process.start()
    tell.close()
    try:
        return hear.recv()
    finally:
        process.join()


def _tell(tell: Any, work: Any, url: str, number: int, updates: Updates) -> None:
    tell.send(work(url, number, updates))


def _peak_mb() -> int:
    # Not `getrusage`: its peak is inherited from the process that started this one.
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) // 1024


def _forget_pages(url: str) -> None:
    """Have the kernel drop the SQLite file from memory, so that reading it is reading the disk."""
    if not url.startswith("sqlite"):
        return
    descriptor = os.open(sa.make_url(url).database or "", os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the merge of customers.")
    parser.add_argument("--customers", type=int, default=10_000_000)
    parser.add_argument("--updates", type=int, default=100_000)
    parser.add_argument("--round", type=int, default=0, help="of updates; another one for each run in the same folder")
    parser.add_argument("--warm", action="store_true", help="leave the database's pages in memory")
    parser.add_argument("--postgres", help="address of an empty database, instead of SQLite")
    parser.add_argument("--folder", help="where the SQLite database is kept and found again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
