"""The encoding of a CSV file: told, or found out from its first megabyte.

Belongs here: naming the encoding, and decoding so that a byte that does not belong spoils its row and no other. Does
not belong here: lines (`lines.py`).
"""

from __future__ import annotations

import codecs
from typing import Final

from capillary_adobe.capillary.insights.unreadable import ExportUnreadable

UNDECODABLE: Final = "\udcff"
"""Stands where bytes could not be decoded; no decoder makes it of bytes that can."""

_MARKED: Final = "capillary_adobe_marked"
_UTF_8: Final = "utf-8"
_FALLBACK: Final = "cp1252"
_BOMS: Final = {codecs.BOM_UTF8: _UTF_8, codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def _mark(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return UNDECODABLE, error.end
    raise error


codecs.register_error(_MARKED, _mark)


def decoder(head: bytes, told: str | None, name: str) -> codecs.IncrementalDecoder:
    """The decoder for a file that begins with these bytes.

    A mark of UTF-8 or UTF-16 counts before all else. Without one and without a told encoding it is UTF-8, unless the
    bytes that are no UTF-8 outnumber the letters beyond ASCII that are: then it is Windows-1252, which holds Latin-1.

    Raises:
        ExportUnreadable: no such encoding of text is known.
    """
    marked = next((encoding for mark, encoding in _BOMS.items() if head.startswith(mark)), None)
    encoding = marked or told or (_UTF_8 if _is_utf_8(head) else _FALLBACK)
    try:
        # Some codecs know no text, and this refuses them.
        "".encode(encoding)
        return codecs.getincrementaldecoder(encoding)(_MARKED)
    except LookupError as error:
        raise ExportUnreadable(
            "encoding_unknown",
            f"The export {name} cannot be read: no encoding is called {encoding}. Correct form.encoding in the file of "
            "INSIGHTS_RULES, such as utf-8, utf-16 or cp1252.",
        ) from error


def _is_utf_8(head: bytes) -> bool:
    text = codecs.getincrementaldecoder(_UTF_8)(_MARKED).decode(head)
    wrong = text.count(UNDECODABLE)
    return not wrong or sum(one > "\x7f" for one in text) - wrong > wrong
