"""Zip files and gzip, unpacked as a stream.

Belongs here: the members of a zip with their names and bytes, and what is wrong with one. Does not belong here: which
members are tables, and what is nested in them (`opened.py`).

A zip is read from its first byte to its last, so memory does not depend on what it unpacks to.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from stream_unzip import (
    IncorrectPasswordError,
    MissingPasswordError,
    UnsupportedFeatureError,
    UnzipError,
    stream_unzip,
)

from capillary_adobe.capillary.insights.byte_stream import BLOCK_BYTES
from capillary_adobe.capillary.insights.unreadable import ExportUnreadable

_GZIP = 16 + zlib.MAX_WBITS


def unzipped(blocks: Iterable[bytes], name: str, password: str | None) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of a zip with their bytes; each must be read to its end before the next is asked for.

    Both encryptions are read: ZipCrypto and AES.

    Raises:
        ExportUnreadable: the zip is damaged, cut short, of a form that cannot be streamed, or its password is missing
        or wrong;
            so does the reading of a member.
    """
    with _told(name, password):
        for raw_name, _, chunks in stream_unzip(blocks, password.encode() if password else None, BLOCK_BYTES):
            inner = _decoded(raw_name)
            if inner.endswith("/"):
                # A folder has no bytes, and its end must be seen all the same.
                for _ in chunks:
                    pass
                continue
            yield inner, _read(chunks, f"{name}/{inner}", password)


def _read(chunks: Iterable[bytes], name: str, password: str | None) -> Iterator[bytes]:
    with _told(name, password):
        yield from chunks


@contextmanager
def _told(name: str, password: str | None) -> Iterator[None]:
    try:
        yield
    except MissingPasswordError as error:
        raise ExportUnreadable(
            "zip_password_missing",
            f"The export {name} is protected by a password. Set INSIGHTS_ZIP_PASSWORD to the one set at the SFTP server in "
            "Capillary.",
        ) from error
    except IncorrectPasswordError as error:
        raise ExportUnreadable(
            "zip_password_wrong",
            f"The export {name} has another password. Correct INSIGHTS_ZIP_PASSWORD: it is the one set at the SFTP server in "
            "Capillary.",
        ) from error
    except UnsupportedFeatureError as error:
        raise ExportUnreadable(
            "zip_unsupported",
            f"The zip {name} is of a form that cannot be read as a stream ({type(error).__name__}). Pack it again with "
            "deflate.",
        ) from error
    except UnzipError as error:
        # One password in 256 passes the check of the older encryption, and shows as damage.
        doubt = ", or INSIGHTS_ZIP_PASSWORD is not its password" if password else ""
        raise ExportUnreadable(
            "zip_damaged",
            f"The zip {name} is damaged or cut short ({type(error).__name__}){doubt}. Send or export it again.",
        ) from error


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp437")
    return text.replace("\\", "/").lstrip("/")


def gunzipped(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The bytes of a gzip file of one or more members, in blocks of bounded size.

    Raises:
        ExportUnreadable: it is damaged or cut short.
    """
    unpack = zlib.decompressobj(_GZIP)
    try:
        for block in blocks:
            left = block
            while left:
                if unpack.eof:
                    # Zeroes that fill the file up may follow the last member.
                    left = left.lstrip(b"\0")
                    if not left:
                        break
                    unpack = zlib.decompressobj(_GZIP)
                if piece := unpack.decompress(left, BLOCK_BYTES):
                    yield piece
                left = unpack.unconsumed_tail or unpack.unused_data
        while not unpack.eof and (piece := unpack.decompress(unpack.unconsumed_tail, BLOCK_BYTES)):
            yield piece
    except zlib.error as error:
        raise _gzip_damaged(name) from error
    if not unpack.eof:
        raise _gzip_damaged(name)


def _gzip_damaged(name: str) -> ExportUnreadable:
    return ExportUnreadable("gzip_damaged", f"The gzip file {name} is damaged or cut short. Send or export it again.")
