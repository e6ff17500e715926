"""Bodies as senders, proxies and attackers make them.

Belongs here: the strategies. Does not belong here: any expectation.
"""

from __future__ import annotations

import gzip
import json

from hypothesis import strategies as st

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_EVENTS = st.dictionaries(st.text(max_size=5), _VALUES, max_size=4)


def _written(value: object, indent: int | None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def bodies() -> st.SearchStrategy[bytes]:
    """Whole events, compact and indented, with blanks and marks around, cut, doubled, compressed, and any bytes."""
    whole = st.builds(_written, _EVENTS | _VALUES, st.none() | st.integers(0, 2))
    around = st.sampled_from([b"", b"\n", b"\r\n", b" ", b"\xef\xbb\xbf", b"\0", b",", b"{", b"}", b"]"])
    dressed = st.builds(lambda a, b, c: a + b + c, around, whole, around)
    cut = st.builds(lambda body, at: body[: at % (len(body) + 1)], dressed, st.integers(0, 200))
    several = st.lists(dressed, min_size=2, max_size=3).map(b"".join)
    return whole | dressed | cut | several | whole.map(gzip.compress) | st.binary(max_size=40)
