"""Objects for the reader: JSON values, and the forms in which writers leave them.

Belongs here: hypothesis strategies and how a form is written. Does not belong here: any expectation.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from hypothesis import strategies as st

from capillary_adobe.landing import Record, read_records

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
    | st.sampled_from(["{", "}", "[", "]", '"', "\\", '\\"', "},{", "\n{", "\ufeff", "\0", ","])
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=6
)
objects = st.dictionaries(_TEXTS, _VALUES, max_size=4)
"""JSON objects of any content that JSON can hold."""


def compact(value: Any) -> str:
    """On one line, without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pretty(value: Any) -> str:
    """Over several lines, indented."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def spaced(value: Any) -> str:
    """On one line, with blanks."""
    return json.dumps(value)


# How a group of objects is written.
Form = Callable[[Sequence[Any]], str]
FORMS: dict[str, Form] = {
    "lines": lambda group: "\n".join(map(compact, group)),
    "lines with blanks": lambda group: "\n".join(map(spaced, group)),
    "CRLF": lambda group: "\r\n".join(map(compact, group)) + "\r",
    "blank lines": lambda group: "\n  \n\t\n".join(map(compact, group)),
    "byte-order mark": lambda group: "\n".join("\ufeff" + compact(one) for one in group),
    "array": compact,
    "array with blanks": spaced,
    "pretty array": pretty,
    "array by line": lambda group: "[\n" + ",\n".join(map(compact, group)) + "\n]",
    "without breaks": lambda group: "".join(map(compact, group)),
    "with commas": lambda group: ",".join(map(compact, group)),
    "commas at line ends": lambda group: "".join(compact(one) + ",\n" for one in group),
    "pretty": lambda group: "\n".join(map(pretty, group)),
    "pretty without breaks": lambda group: "".join(map(pretty, group)),
    "pretty and compact without breaks": lambda group: "".join(compact(one) + pretty(one) for one in group[::2]),
}
# These say something else than the group itself.
PLAIN_FORMS = sorted(set(FORMS) - {"pretty and compact without breaks"})


class Sipped(io.RawIOBase):
    """A stream that gives at most so many bytes at once, as a socket does."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__()
        self._stream = io.BytesIO(data)
        self._most = most

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, self._most) if size >= 0 else self._most)


def read(data: bytes, most: int | None = None) -> list[Record]:
    """The records of an object's bytes, all at once or sipped."""
    stream: BinaryIO = io.BytesIO(data) if most is None else Sipped(data, most)  # type: ignore[assignment]
    return list(read_records(stream))


def values(data: bytes) -> list[Any]:
    """The values of an object that is whole and sound."""
    records = read(data)
    assert [record for record in records if record.problem is not None] == []
    return [record.value for record in records]


def problems(data: bytes) -> list[str | None]:
    """The code of each record."""
    return [record.problem for record in read(data)]
