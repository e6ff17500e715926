"""Insights+ exports of made-up traffic: what Capillary would export of the very events that its webhooks sent.

Belongs here: from lines of webhooks to zip files, in the form of Insights+ (docs.capillarytech.com/docs/export), and
the rules file that fits them. Does not belong here: the rows of an event (`export_rows.py`), of a customer
(`export_members.py`), and spoiled ones (`export_flaws.py`).

All rows are held in memory; a million events want some 3 GB.
"""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import yaml

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import Envelope, NotAnEvent, unwrap
from capillary_adobe.capillary.keys import event_key
from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.days import DAY_MS
from capillary_adobe.demo.dice import dice, pick
from capillary_adobe.demo.export_columns import CUSTOM_FIELDS, EXTENDED_FIELDS, HEADERS
from capillary_adobe.demo.export_flaws import FLAWED, spoiled
from capillary_adobe.demo.export_members import Standings
from capillary_adobe.demo.export_rows import ExportRow, rows_of
from capillary_adobe.demo.mix import USUAL, Mix
from capillary_adobe.demo.rhythm import day_of_lines

TITLES: Mapping[str, str] = {
    "transactions": "Transactions",
    "returns": "Return Transactions",
    "points": "Points",
    "redemptions": "Points Redemption Summary",
    "tiers": "Slab Change Log",
    "merges": "Customer Merge Event Log",
    "members": "Members",
    "profiles": "Profiles",
}
"""The name of each template at Capillary, which is that of its folder."""

RENAMED: Mapping[str, Mapping[str, str]] = {
    "transactions": {"bill_id": "Receipt_Key", "bill_amount": "Receipt_Total", "event_date.date": "Sold_On"},
    "points": {"allocated_points": "Earned", "deducted_points": "Burned", "event_user.user_id": "Shopper"},
    "tiers": {"change_action": "What_Happened", "event_date_time": "At"},
}
"""The organisation's own names of some columns, by the standard ones."""

_COLUMNS = {
    "transactions": {"Receipt_Key": "bill_id", "Receipt_Total": "bill_amount", "Sold_On": "event_date"},
    "points": {"Earned": "allocated_points", "Burned": "deducted_points", "Shopper": "customer_id"},
    "tiers": {"What_Happened": "change_action", "At": "event_moment"},
}
_BILLS = ("transactions", "returns")
_INFLATED = frozenset({"points", "tiers"})
_FLAWS = 1 << 40

Pack = Callable[[Path, Mapping[str, bytes], datetime], None]
"""Writes a zip file at a path: what each file in it holds, and when they were made."""


@dataclass(frozen=True)
class Plan:
    """How an organisation exports.

    `inflated` is the share of earlier days' rows of points and tiers that stand in the file once more, behind all others, as
    the jobs of the month's end leave them (docs.capillarytech.com/docs/data-export-faqs). `broken` is the share of spoiled
    rows that are added to transactions, points and tiers. `parts` is the number of CSV files in a zip file.
    """

    exported_at: datetime
    zone: ZoneInfo
    renamed: bool = False
    delimiter: str = ","
    parts: int = 2
    inflated: float = 0.1
    broken: float = 0.0
    seed: int = 1


@dataclass
class ExportsWritten:
    """What was written. Days are those of the organisation's zone."""

    files: list[Path] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    """Rows by template, repeated and spoiled ones included."""
    repeated: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Events by day and type; one that stands in two templates counts once."""
    sums: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    """Amounts of bills, points of awards and deductions, by day and type; promised points are no points yet."""


def zipped(path: Path, files: Mapping[str, bytes], at: datetime) -> None:
    """Write a zip file without a password."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, at.timetuple()[:6]), data, zipfile.ZIP_DEFLATED)


def write_exports(folder: Path, lines: Iterable[bytes], plan: Plan, pack: Pack = zipped) -> ExportsWritten:
    """Write what Insights+ exports of these lines of webhooks: one zip file a template, in a folder of its own.

    Lines that are no events, or repeat one, leave no row. `pack` writes the zip file, such as one with a password.
    """
    written, standings = ExportsWritten(), Standings(plan.zone)
    rows: dict[str, list[ExportRow]] = {template: [] for template in HEADERS}
    for event_name, envelope in _events(lines):
        standings.learn(event_name, envelope)
        made = list(rows_of(event_name, envelope, plan.zone))
        if made:
            _count(written, event_name, made, plan.zone)
        for row in made:
            rows[row.template].append(row)
    for row in standings.rows():
        rows[row.template].append(row)
    for template, found in rows.items():
        if found:
            written.files.append(_write(folder, template, _with_flaws(template, found, plan, written), plan, pack))
    return written


def month_of_lines(first: date, days: int, events: int, seed: int = 1, mix: Mix = USUAL) -> Iterator[bytes]:
    """The lines of some UTC days, about as many on each; see `traffic.day_of_events`."""
    for place in range(days):
        share = events * (place + 1) // days - events * place // days
        if share:
            yield from (line.raw for line in day_of_lines(first + timedelta(days=place), share, seed, mix, ORG_ID))


def rules_of(plan: Plan, live_from: datetime | None) -> str:
    """The rules file, as YAML, by which the exports of a plan are read."""
    rules: dict[str, Any] = {
        **({} if live_from is None else {"live_from": {"default": live_from.isoformat()}}),
        **({"columns": _COLUMNS} if plan.renamed else {}),
        "custom_fields": {template: [*CUSTOM_FIELDS] for template in _BILLS},
        "extended_fields": {template: [*EXTENDED_FIELDS] for template in _BILLS},
    }
    return yaml.safe_dump(rules, sort_keys=False)


def _events(lines: Iterable[bytes]) -> Iterator[tuple[str, Envelope]]:
    """The distinct events of lines, each with the catalogue's name."""
    catalogue, seen = shipped_catalogue(), set[str]()
    for line in lines:
        try:
            envelope = unwrap(orjson.loads(line))
        except (orjson.JSONDecodeError, NotAnEvent):
            continue
        kind = catalogue.find(envelope.event_name)
        if kind is None or _is_masked(envelope):
            continue
        key = event_key(kind, envelope)
        if key not in seen:
            seen.add(key)
            yield kind.name, envelope


def _is_masked(envelope: Envelope) -> bool:
    customer = envelope.data.get("customerIdentifiers")
    return type(customer) is dict and type(customer.get("customerId")) is not int


def _count(written: ExportsWritten, event_name: str, rows: Sequence[ExportRow], zone: ZoneInfo) -> None:
    day = datetime.fromtimestamp(rows[0].happened_ms / 1000, zone).date().isoformat()
    written.events[day, event_name] += 1
    if event_name == "transactionAdded":
        total = Decimal(rows[0].cells["bill_amount"])
    else:
        points = [row.cells for row in rows if row.template == "points" and row.cells["category"] == "redeemable"]
        total = sum((Decimal(row.get("allocated_points") or row["deducted_points"]) for row in points), Decimal(0))
    written.sums[day, event_name] = written.sums.get((day, event_name), Decimal(0)) + total


def _with_flaws(template: str, rows: Sequence[ExportRow], plan: Plan, written: ExportsWritten) -> list[list[str]]:
    """The rows as they stand in the file: sound ones, repeated ones behind them, spoiled ones anywhere."""
    headers, rng = HEADERS[template], dice(plan.seed, *template.encode())
    found = [[row.cells.get(header, "") for header in headers] for row in rows]
    if template in _INFLATED:
        last_ms = max(row.happened_ms for row in rows)
        earlier = [place for place, row in enumerate(rows) if row.happened_ms < last_ms - DAY_MS]
        again = [found[place] for place in earlier if rng.random() < plan.inflated]
        found += again
        written.repeated[template] = len(again)
    if template in FLAWED:
        for number in range(int(len(rows) * plan.broken)):
            row = spoiled(rng, template, headers, pick(rng, rows).cells, _FLAWS + number)
            found.insert(int(rng.random() * len(found)), row)
            written.broken[template] += 1
    written.rows[template] = len(found)
    return found


def _write(folder: Path, template: str, rows: Sequence[Sequence[str]], plan: Plan, pack: Pack) -> Path:
    title, at = TITLES[template], plan.exported_at
    stem = f"Monthly_{title.replace(' ', '_')}_{at:%Y-%m-%d-%H-%M-%S}_{int(at.timestamp() * 1000)}"
    path = folder / title / f"{stem}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    renamed = RENAMED.get(template, {}) if plan.renamed else {}
    header = [renamed.get(column, column) for column in HEADERS[template]]
    cuts = [rows[len(rows) * part // plan.parts : len(rows) * (part + 1) // plan.parts] for part in range(plan.parts)]
    files = {f"{stem}/part-{part:05d}.csv": _csv(header, cut, plan.delimiter) for part, cut in enumerate(cuts)}
    # Under another name until it is whole, so that nobody reads half of it.
    whole = path.with_name(f".{path.name}.tmp")
    pack(whole, files, at)
    whole.replace(path)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
