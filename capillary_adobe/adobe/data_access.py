"""Data Access: the records that AEP refused, with its reasons.

Belongs here: finding and reading the files of failed records and of row errors, and the shapes in which they are
written. Does not belong here: which batches failed (`catalog.py`) and what becomes of a refused record.
Sources: data-access.yaml of github.com/AdobeDocs/experience-platform-apis, and
experienceleague.adobe.com/docs/experience-platform/ingestion/quality/retrieve-failed-batches.html and
.../quality/error-diagnostics.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import requests

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.platform import NotThere, Platform, json_of, segment
from capillary_adobe.adobe.refused import FailedRecord, from_failed_line, from_row_error

_PAGE: Final = 100
_CHUNK: Final = 64 * 1024
_LONGEST_LINE: Final = 16 * 2**20
_ROW_ERRORS: Final = "row_errors"


@dataclass(frozen=True)
class _Folder:
    """A list of files of a batch, and the folder that AEP leaves out of their names."""

    address: str
    params: dict[str, str]
    inside: str = ""


class DataAccess:
    """The files of one sandbox; safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def failed_records(self, batch_id: str) -> Iterator[FailedRecord]:
        """The records of a failed batch of streaming ingestion.

        None where AEP keeps them no longer, or not yet: compare with `Batch.failed_records`.
        """
        address = f"/data/foundation/export/batches/{segment(batch_id)}/failed"
        return self._records(_Folder(address, {}), from_failed_line)

    def row_errors(self, batch_id: str) -> Iterator[FailedRecord]:
        """The rows that batch ingestion left out of a batch; none where there are no diagnostics."""
        address = f"/data/foundation/export/batches/{segment(batch_id)}/meta"
        return self._records(_Folder(address, {"path": _ROW_ERRORS}, f"{_ROW_ERRORS}/"), from_row_error)

    def _records(self, folder: _Folder, read: Callable[[bytes], FailedRecord]) -> Iterator[FailedRecord]:
        for name in self._files(folder):
            for line in self._lines(folder.address, folder.inside + name.removeprefix(folder.inside)):
                yield read(line) if line is not None else FailedRecord(None, (), None)

    def _files(self, folder: _Folder) -> Iterator[str]:
        seen: set[str] = set()
        start: int | None = 0
        while start is not None:
            try:
                params = {**folder.params, "start": start, "limit": _PAGE}
                body = json_of(self._platform.call("GET", folder.address, params=params))
            except NotThere:
                return
            listed = _entries(body)
            new = [one for one in listed if one["name"] not in seen]
            seen.update(one["name"] for one in new)
            yield from (one["name"] for one in new if _holds_records(one))
            start = _next_start(body, start, len(listed)) if new else None

    def _lines(self, address: str, name: str) -> Iterator[bytes | None]:
        """The lines of a file, None for one that is too long; goes on where a connection broke off."""
        given = 0
        backoff = self._platform.backoff()
        while True:
            before = given
            try:
                answer = self._platform.call("GET", address, params={"path": name}, stream=True)
            except NotThere:
                return
            try:
                with closing(answer):
                    for number, line in enumerate(split_lines(answer.iter_content(_CHUNK))):
                        if number >= given:
                            given += 1
                            yield line
            except requests.RequestException as error:
                if given > before:
                    backoff = self._platform.backoff()
                if not backoff.wait():
                    raise TransientDeliveryError(
                        f"A file of AEP's Data Access breaks off again and again ({type(error).__name__}). The verdict on its "
                        "batch is read again later; if this lasts, check the network and ADOBE_PLATFORM_URL."
                    ) from error
            else:
                return


def split_lines(chunks: Iterable[bytes], longest: int = _LONGEST_LINE) -> Iterator[bytes | None]:
    """The lines that are not blank, None for one longer than `longest`; never more than one line in memory."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            held.append(piece)
            size += len(piece)
            line = b"".join(held).strip() if size <= longest else None
            held, size = [], 0
            if line != b"":
                yield line
        size += len(rest)
        if size <= longest:
            held.append(rest)
        else:
            held = []
    line = b"".join(held).strip() if size <= longest else None
    if line != b"":
        yield line


def _entries(body: Any) -> list[dict[str, Any]]:
    listed = body.get("data") if type(body) is dict else None
    entries = [one for one in listed if type(one) is dict] if type(listed) is list else []
    return [one for one in entries if type(one.get("name")) is str and one["name"]]


def _holds_records(entry: dict[str, Any]) -> bool:
    """Whether a file has anything to read; its length is a text, and one without a length is read to see."""
    return not entry["name"].rpartition("/")[2].startswith("_") and str(entry.get("length")).strip() != "0"


def _next_start(body: dict[str, Any], start: int, listed: int) -> int | None:
    """Where the next page begins: as AEP's link says, or, without one, after a full page."""
    links = body.get("_links")
    following = links.get("next") if type(links) is dict else None
    href = following.get("href") if type(following) is dict else None
    if type(href) is str:
        given = parse_qs(urlsplit(href).query).get("start", [""])[0]
        if given.isascii() and given.isdigit() and int(given) > start:
            return int(given)
    return start + listed if listed >= _PAGE else None
