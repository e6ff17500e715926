"""An export as the CSV files in it, whatever it is packed in.

Belongs here: recognising zip, gzip, PGP and CSV by their first bytes, and any of them within another. Does not belong
here: unpacking (`zipped.py`), decrypting (`pgp.py`), reading rows (`rows.py`), fetching (`places`).

Insights+ writes CSV into a zip, on request with a password or PGP: docs.capillarytech.com/docs/export-data-insights.
Everything streams: memory does not grow with what a file unpacks to, and nothing unpacked or decrypted touches a disk.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from capillary_adobe.capillary.insights.byte_stream import ByteStream, blocks_of
from capillary_adobe.capillary.insights.pgp import decrypted
from capillary_adobe.capillary.insights.unreadable import ExportUnreadable
from capillary_adobe.capillary.insights.zipped import gunzipped, unzipped
from capillary_adobe.settings import InsightsSettings

__all__ = ["CsvFile", "ExportUnreadable", "open_export"]

_LOG = logging.getLogger(__name__)
_HEAD_BYTES: Final = 512
# A CSV in gzip in PGP in a zip in PGP; deeper is no export.
_MOST_LAYERS: Final = 4
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP: Final = b"\x1f\x8b"
_ARMOR: Final = re.compile(rb"\s*-----BEGIN PGP MESSAGE-----")
# The first packet names a key or a password, old form or new, of version 3 to 6: RFC 9580, 4.2 and 5.1 to 5.3.
_PGP: Final = re.compile(rb"(?:[\x84\x8c].|[\x85\x8d]..|[\xc1\xc3](?:[\x00-\xbf]|[\xc0-\xdf].))[\x03-\x06]", re.DOTALL)
_OTHER: Final = {
    b"PAR1": "Parquet",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"%PDF": "PDF",
}
_WORKBOOK: Final = "[Content_Types].xml"
# What tools and people put beside tables.
_BESIDE: Final = (".json", ".xml", ".md", ".pdf", ".html", ".md5", ".sha1", ".sha256", ".sig", ".sql", ".log")


@dataclass(frozen=True)
class CsvFile:
    """A CSV file of an export: its name, with those of what it was packed in before it, and its bytes, to be read once."""

    name: str
    stream: ByteStream


def open_export(path: Path, name: str, settings: InsightsSettings) -> Iterator[CsvFile]:
    """The CSV files of an export one after another; each can be read until the next is asked for.

    `name` is what the file is called at its place. A file that is damaged further on shows when that part is read, also
    where the rest of a file is skipped.

    Raises:
        ExportUnreadable: it cannot be unpacked or decrypted, or holds no CSV; so does the reading of a file.
    """
    with path.open("rb") as file:
        yield from _opened(ByteStream(blocks_of(file)), name, settings, 0)


def _opened(stream: ByteStream, name: str, settings: InsightsSettings, layer: int) -> Iterator[CsvFile]:
    head = stream.peek(_HEAD_BYTES)
    packed = _packing(head)
    if packed is None:
        _refuse_other(head, name)
        yield CsvFile(name, stream)
        return
    if layer == _MOST_LAYERS:
        raise ExportUnreadable(
            "nested_too_deeply",
            f"The export {name} is packed more than {_MOST_LAYERS} times over. Unpack it and import that.",
        )
    if packed == "zip":
        yield from _members(stream, name, settings, layer)
    elif packed == "gzip":
        yield from _opened(ByteStream(gunzipped(stream.blocks(), name)), name, settings, layer + 1)
    else:
        with decrypted(stream.blocks(), name, settings) as blocks:
            inner = ByteStream(blocks)
            yield from _opened(inner, name, settings, layer + 1)
            # That nothing was cut off or changed shows at the end.
            inner.drain()


def _members(stream: ByteStream, name: str, settings: InsightsSettings, layer: int) -> Iterator[CsvFile]:
    password = settings.zip_password.get_secret_value() if settings.zip_password else None
    tables, beside = 0, 0
    for inner_name, blocks in unzipped(stream.blocks(), name, password):
        if inner_name == _WORKBOOK:
            raise _other(name, "an Excel workbook")
        inner = ByteStream(blocks)
        if _is_junk(inner_name):
            beside += 1
        else:
            tables += 1
            yield from _opened(inner, f"{name}/{inner_name}", settings, layer + 1)
        inner.drain()
    if not tables:
        raise ExportUnreadable(
            "no_csv", f"The zip {name} holds no CSV. Export it again, with a template that has columns."
        )
    if beside:
        _LOG.info("The zip %s holds %d files that are no tables; they are left out.", name, beside)


def _packing(head: bytes) -> str | None:
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_GZIP):
        return "gzip"
    return "pgp" if _ARMOR.match(head) or _PGP.match(head) else None


def _refuse_other(head: bytes, name: str) -> None:
    for mark, what in _OTHER.items():
        if head.startswith(mark):
            raise _other(name, what)


def _other(name: str, what: str) -> ExportUnreadable:
    return ExportUnreadable(
        "not_csv", f"The export {name} is {what}, not CSV. Export it as CSV; zip, gzip and PGP are opened."
    )


def _is_junk(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or parts[-1].lower().endswith(_BESIDE)
