"""The receiver's log: one JSON object a line on standard error.

Belongs here: the form of a line, what may stand in it, and lines that could come a thousand times a second. Does not
belong here: what is worth a line.

No line holds a payload, the value of a header, a query or a path that a client sent. Messages of other packages are
told as their template, without what was filled in, and exceptions as their class and where they came from.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections import Counter
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TypeAlias

import orjson

LOG: Final = logging.getLogger("capillary_adobe.receiver")
SECONDS_BETWEEN: Final = 5.0
"""Time between two lines on the same matter, where anybody can cause it at will."""

_OURS: Final = "capillary_adobe"
_FRAMES: Final = 8

_Caught: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class JsonLines(logging.Formatter):
    """A record as one line: time, level, event, and the fields given with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            # What other packages fill in may be a part of a request.
            "event": record.getMessage() if record.name.startswith(_OURS) else str(record.msg),
        }
        if not record.name.startswith(_OURS):
            line["logger"] = record.name
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info is not True:
            line |= _told(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def log_as_json() -> None:
    """Let every logger of this process write such lines, and no others."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    # Loggers that `library_logs` holds above DEBUG have a level of their own, which root's does not raise.
    handler.addFilter(lambda record: record.name.startswith(_OURS) or record.levelno >= logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    # It warns of each request that is no HTTP, which anybody can send; those are counted and told by `Seldom`.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # A line that cannot be written must not be told with its arguments instead.
    logging.raiseExceptions = False


def tell(event: str, level: int = logging.INFO, caught: BaseException | None = None, **fields: Any) -> None:
    """Write one line; of an exception its class and place, never its message."""
    trace = (type(caught), caught, caught.__traceback__) if caught else None
    LOG.log(level, event, exc_info=trace, extra={"fields": fields})


class Seldom:
    """A line for what may happen at any rate: the first at once, the others as one with their numbers."""

    def __init__(self, event: str, level: int = logging.WARNING) -> None:
        self._event = event
        self._level = level
        self._counts: Counter[str] = Counter()
        self._due: asyncio.TimerHandle | None = None

    def note(self, reason: str, caught: BaseException | None = None) -> None:
        """Count one more. Call it on the loop."""
        self._counts[reason] += 1
        if self._due is None:
            self._write(caught)

    def _write(self, caught: BaseException | None = None) -> None:
        self._due = None
        if self._counts:
            counts, self._counts = dict(self._counts), Counter()
            tell(self._event, self._level, caught, times=sum(counts.values()), reasons=counts)
            self._due = asyncio.get_running_loop().call_later(SECONDS_BETWEEN, self._write)


def _told(caught: _Caught) -> dict[str, Any]:
    frames = traceback.extract_tb(caught[2])[-_FRAMES:]
    return {
        "exception": caught[0].__name__ if caught[0] else "",
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
