"""The form of an organisation's CSV files, as far as the organisation tells it.

Belongs here: plain values. Does not belong here: finding out what is not told (`rows.py`), reading cells (`cells.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """How files are written; None where it is found out from the file.

    `escape` stands before a quote within quotes, and before itself; None where quotes are doubled alone. `dates` are forms as
    `strptime` takes them, tried in this order after ISO 8601. `decimal` is the sign before fractions.
    """

    delimiter: str | None = None
    encoding: str | None = None
    quote: str = '"'
    dates: tuple[str, ...] = ()
    decimal: str = "."
    escape: str | None = None
