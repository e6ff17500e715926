"""The error of an export that cannot be opened or read as a table.

Belongs here: the error. Does not belong here: a single row that cannot be read (`rows.py`), a place that cannot be
reached (`places`).
"""

from __future__ import annotations


class ExportUnreadable(Exception):
    """A file that cannot be read as it is; the text names the file and the cure, `code` is a word for its kind."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ExportInterrupted(ExportUnreadable):
    """A file whose reading the machine stopped, such as for want of memory: the same import may succeed later."""
