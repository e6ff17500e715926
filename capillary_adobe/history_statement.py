"""What was imported, as a person reads it at the terminal.

Belongs here: words, order and alignment. Does not belong here: the numbers (`history_importing.py`, `history_look.py`) and
printing (`cli_history.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from capillary_adobe.history_importing import Imported
from capillary_adobe.history_look import Looked, LookedCsv
from capillary_adobe.history_place import NotImported


def of_file(one: Imported | Looked | NotImported) -> str:
    """What became of a file, or would become of it."""
    if isinstance(one, NotImported):
        return f"{one.name}: not imported: {one.error}" if one.error else f"{one.name}: left alone, {one.reason}"
    if isinstance(one, Looked):
        return "\n".join([_account(one.would_be, "would be"), *_columns(one.files), *_wanted(one.wanted)])
    if one.already:
        return f"{one.file.name}: imported before, as version {one.file.version[:12]}; nothing is done"
    return _account(one, "")


def _account(one: Imported, would_be: str) -> str:
    days = one.event_days
    span = f", {len(days)} days from {days[0]} to {days[-1]}" if days else ""
    follows = f", which follows version {one.follows[:12]}" if one.follows else ""
    before = " (imported before)" if would_be and one.already else ""
    ignored = sum(one.ignored.values())
    rows: list[tuple[str, Any, str]] = [
        ("rows", one.file.rows, ", ".join(one.templates)),
        ("  of events", one.event_rows, ""),
        ("  quarantined", sum(one.quarantined.values()), _named(one.quarantined)),
        ("  ignored", ignored, _named(one.ignored)),
        ("events", one.events, _named(one.by_event_type)),
        *((f"  {name}", f"{total:,}", "") for name, total in one.totals.items()),
    ]
    if not would_be:
        rows += [
            ("objects", one.objects, ""),
            ("facts of customers", one.facts, f"{one.changed_customers} customers changed"),
        ]
        rows += [("seconds", f"{one.seconds:.1f}", "")]
    aligned = ("left", "right", "left")
    table = tabulate(rows, tablefmt="plain", colalign=aligned, preserve_whitespace=True, disable_numparse=True)
    head = f"{one.file.name}, version {one.file.version[:12]}{follows}{before}{span}"
    return "\n".join([head, table, *_loud(one)])


def _loud(one: Imported) -> list[str]:
    told = []
    if one.before_start:
        told.append(
            f"{one.before_start} rows lie before HISTORY_START, the first on {one.first_before_start}: they are no events. To "
            "have them, set HISTORY_START to an earlier day, restart Dagster, and import the file with --again."
        )
    if one.ignored_files:
        told.append(f"Left out by the rules file: {', '.join(one.ignored_files)}.")
    return told


def _columns(files: Iterable[LookedCsv]) -> list[str]:
    """The columns of CSV files: once for all that are alike, as the parts of a large export are."""
    alike: dict[tuple[object, ...], list[LookedCsv]] = {}
    for csv in files:
        alike.setdefault((csv.template, *csv.columns.items(), *csv.unread), []).append(csv)
    return [_columns_of(found[0], len(found) - 1) for found in alike.values()]


def _columns_of(csv: LookedCsv, more: int) -> str:
    found = [f"  {header} = {column}" if header != column else f"  {header}" for header, column in csv.columns.items()]
    which = f"{csv.name} is" if not more else f"{csv.name} and {more} more of the same columns are"
    lines = [f"{which} of the template {csv.template}; its columns:", *found]
    if csv.unread:
        lines.append(f"  not read: {', '.join(csv.unread)}")
    if csv.absent:
        lines.append(f"  not there: {', '.join(csv.absent)}")
    return "\n".join(lines)


def _wanted(event_types: list[str]) -> list[str]:
    if not event_types:
        return []
    return [f"A watermark is wanted for {', '.join(event_types)}: set live_from in the file of INSIGHTS_RULES."]


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
