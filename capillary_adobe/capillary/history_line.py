"""Shape H: a line of the history lane that an import made of rows of an Insights+ export.

Belongs here: reading such a line back, as an event or as a row that no event could be made of. Does not belong here: making
it (`insights`), and the shapes of webhooks (`envelope.py`), in which a line of that lane may come just as well.

Only lines of the history lane are read so: whoever posts to the receiver cannot pass an event off as an export's.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from capillary_adobe.capillary.envelope import Envelope, Export, NotAnEvent, unwrap
from capillary_adobe.capillary.values import Unreadable, text

SHAPE: Final = "H"

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
# What tells where rows came from, and the rows; everything else of a line was made of them.
_OF_THE_ROWS: Final = ("template", "file", "version", "rows")
_LINES_NAMED: Final = 5


def is_history_line(value: Any) -> bool:
    """Whether a record of the history lane was made of rows of an export."""
    return type(value) is dict and type(value.get("export")) is dict


def read_history_line(value: dict[str, Any]) -> Envelope:
    """The event that rows of an export became.

    Raises:
        NotAnEvent: `envelope_unknown`, or the code with which the import refused the row; those of `unwrap`.
    """
    told = value["export"]
    rows = _rows_in_words(told)
    if "refused" in told:
        raise of_rows(_refusal(told), rows)
    key = _text_of(told, "key")
    if key is None or type(value.get("data")) is not dict:
        detail = "The line was made by an import and lacks the event's data or key. Import the file again."
        raise of_rows(NotAnEvent("envelope_unknown", detail), rows)
    try:
        # Without what the export tells of itself, which would else be taken for a field of the event.
        found = unwrap({name: field for name, field in value.items() if name != "export"})
    except NotAnEvent as refused:
        raise of_rows(refused, rows) from refused
    return found.as_export(SHAPE, Export(key, rows))


def of_rows(refused: NotAnEvent, rows: str) -> NotAnEvent:
    """The same refusal, in words that name the rows, too."""
    return NotAnEvent(refused.code, f"{refused.detail.removesuffix('.')}, {rows}.", refused.event_name)


def original_rows(value: Any) -> bytes | None:
    """The rows of an export that a line was made of, as JSON; None for any other line."""
    if not is_history_line(value):
        return None
    export = value["export"]
    return orjson.dumps({"export": {name: export[name] for name in _OF_THE_ROWS if name in export}})


def _refusal(told: dict[str, Any]) -> NotAnEvent:
    code = told["refused"]
    if type(code) is not str or not _CODE.fullmatch(code):
        return NotAnEvent(
            "envelope_unknown", "The line tells that a row was refused, but not why; import the file again."
        )
    return NotAnEvent(code, _text_of(told, "detail") or "The row could not be read")


def _rows_in_words(told: dict[str, Any]) -> str:
    """Files and lines, such as `file bills.zip/1.csv, lines 17, 18 and 4 more`; a row may tell a file of its own."""
    own, lines = _text_of(told, "file") or "unknown", dict[str, list[int]]()
    rows = told.get("rows")
    for row in rows if type(rows) is list else ():
        if type(row) is dict and type(row.get("line")) is int:
            lines.setdefault(_text_of(row, "file") or own, []).append(row["line"])
    return "; ".join(_place(file, of_file) for file, of_file in (lines or {own: []}).items())


def _place(file: str, lines: list[int]) -> str:
    named = ", ".join(map(str, lines[:_LINES_NAMED]))
    more = f" and {len(lines) - _LINES_NAMED} more" if len(lines) > _LINES_NAMED else ""
    return f"file {file}, line{'s' if len(lines) > 1 else ''} {named}{more}" if lines else f"file {file}"


def _text_of(fields: dict[str, Any], name: str) -> str | None:
    try:
        return text(fields.get(name))
    except Unreadable:
        return None
