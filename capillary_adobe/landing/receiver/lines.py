"""Whether a body can stand as it is among the lines of a landed object.

Belongs here: the judgement. Does not belong here: reading landed objects (`landing.records`), which it asks.
"""

from __future__ import annotations

from io import BytesIO
from itertools import islice

import orjson

from capillary_adobe.landing.records import MAX_RECORD_BYTES, read_records

_GZIP = b"\x1f\x8b"
# Reading lines takes up to 1 ms a kilobyte, and all other requests wait meanwhile. Longer ones are as well off aside.
_LONGEST_OF_LINES = 32 * 1024


def stands_as_line(body: bytes) -> bool:
    """Whether the reader of landed objects gives exactly what this body means, whatever stands before and behind it."""
    if len(body) > MAX_RECORD_BYTES:
        return False
    if b"\n" in body or b"\r" in body:
        return _stands_as_lines(body)
    try:
        return type(orjson.loads(body)) in (dict, list)
    except orjson.JSONDecodeError:
        return False


def _stands_as_lines(body: bytes) -> bool:
    # Compressed bytes are only told at the beginning of an object, where this body may not stand.
    if len(body) > _LONGEST_OF_LINES or body.startswith(_GZIP):
        return False
    # The reader gives a value up where a later line begins as one does: it may be the next event.
    if any(line.startswith((b"{", b"[")) for line in body.split(b"\n")[1:]):
        return False
    # Two tell enough: each of those behind may take as long as the first.
    records = list(islice(read_records(BytesIO(body)), 2))
    return len(records) == 1 and records[0].problem is None and type(records[0].value) is dict
