"""Lines of history: the rows of one event become one line in the form of a webhook's, rows refused become lines of their own.

Belongs here: grouping sorted rows, and what a line holds. Does not belong here: what the event is
(`capillary.insights.becoming`), objects (`history_objects.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, Final, NamedTuple

import orjson

from capillary_adobe.capillary.insights.becoming import events_of
from capillary_adobe.capillary.insights.model import Exported, Row, RowIgnored, RowRefused
from capillary_adobe.history_counts import Counts
from capillary_adobe.history_reading import Reading, line_at
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.history_sorting import Staged

LINE_BYTES: Final = 16 * 2**20
"""Most bytes of a line; the reader of the landing store takes 32 MiB, and what is made of it on the way takes much more."""
TOO_LARGE: Final = "event_too_large"
_TOO_LARGE: Final = f"the rows of one event are more than a line of {LINE_BYTES // 2**20} MiB holds"


class Line(NamedTuple):
    """A line, without its end, and where it lands."""

    day: str
    template: str
    text: bytes


@dataclass(frozen=True)
class Lines:
    """Makes lines of sorted rows, and counts them."""

    setup: ImportSetup
    reading: Reading
    counts: Counts
    version: str

    def of(self, rows: Iterable[Staged]) -> Iterator[Line]:
        """The lines, in the order of the rows; rows of one event come one behind the other."""
        for (day, template, key), group in groupby(rows, lambda row: (row.day, row.template, row.key)):
            if key:
                yield from self._of_event(day, template, group)
            else:
                for row in group:
                    yield from self._refused([row], row.code or "", row.detail or "")

    def _of_event(self, day: str, template: str, group: Iterator[Staged]) -> Iterator[Line]:
        rows = self._bounded(group)
        if (after := next(group, None)) is not None:
            # Row by row, since a line cannot hold them and memory need not.
            for row in chain(rows, [after], group):
                yield from self._refused([row], TOO_LARGE, _TOO_LARGE)
            return
        try:
            events, lines = self._told(template, rows)
        except RowRefused as why:
            yield from self._refused(rows, why.code, why.detail)
        except RowIgnored as why:
            self.counts.ignored(template, day, why.reason, len(rows))
        else:
            if max(map(len, lines), default=0) > LINE_BYTES:
                yield from self._refused(rows, TOO_LARGE, _TOO_LARGE)
                return
            self.counts.events(template, day, events)
            yield from (Line(day, template, line) for line in lines)

    def _told(self, template: str, rows: list[Staged]) -> tuple[list[Exported], list[bytes]]:
        shown = {row.place: self._row(row) for row in rows}
        named = [Row(place, self.reading.file_at(place).matched.named(one["cells"])) for place, one in shown.items()]
        events = events_of(template, named, self.setup.context)
        return events, [self._line(template, event, {place: shown[place] for place in event.lines}) for event in events]

    def _line(self, template: str, event: Exported, rows: dict[int, dict[str, Any]]) -> bytes:
        told: dict[str, Any] = {
            "eventName": event.event_name,
            "orgId": self.setup.context.org_id,
            "createdAt": event.created_ms,
        }
        if event.event_log_id is not None:
            told["eventLogId"] = event.event_log_id
        return orjson.dumps({**told, "data": event.data, "export": {**self._export(template, rows), "key": event.key}})

    def _refused(self, rows: list[Staged], code: str, detail: str) -> Iterator[Line]:
        """The line of rows refused together; a line for each of them where one would be too long."""
        day, template = rows[0].day, rows[0].template
        shown = {row.place: self._row(row) for row in rows}
        text = orjson.dumps({"export": {**self._export(template, shown), "refused": code, "detail": detail}})
        if len(text) > LINE_BYTES and len(rows) > 1:
            for row in rows:
                yield from self._refused([row], code, detail)
            return
        self.counts.refused(template, day, code, len(rows))
        yield Line(day, template, text)

    def _export(self, template: str, rows: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """Where rows stand; with the file's name at each that is in another than the first."""
        names = {place: self.reading.file_at(place).name for place in rows}
        first = next(iter(names.values()))
        told = [row if names[place] == first else {"file": names[place], **row} for place, row in rows.items()]
        return {"template": template, "file": first, "version": self.version[:12], "rows": told}

    def _row(self, row: Staged) -> dict[str, Any]:
        """A row as its file has it: cells, or the text where they could not be told apart."""
        content = self.reading.content_of(row)
        return {"line": line_at(row.place), "text" if isinstance(content, str) else "cells": content}

    def _bounded(self, group: Iterator[Staged]) -> list[Staged]:
        """The next rows, until a line could not hold them."""
        rows: list[Staged] = []
        size = 0
        for row in group:
            rows.append(row)
            size += len(row.payload) + self.reading.file_at(row.place).names_bytes
            if size > LINE_BYTES:
                break
        return rows
