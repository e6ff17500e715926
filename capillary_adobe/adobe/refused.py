"""Refused records as AEP writes them down, one JSON line each.

Belongs here: the shapes of a line and of the errors in it. Does not belong here: where the lines come from
(`data_access.py`). Nothing here raises: a line that cannot be read is a record without id, entity and causes.
Sources: experienceleague.adobe.com/docs/experience-platform/ingestion/quality/streaming-validation.html,
.../quality/error-diagnostics.html, and `decodeStreamBatch` of github.com/adobe/aepp, which shows fields that are JSON
written as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from capillary_adobe.adobe.wording import code_within, safe_code, safe_pointer, safe_words

_MOST_CAUSES: Final = 50
_ERRORS: Final = "_errors"
_CORRUPT: Final = "_corrupt_record"
_LISTS: Final = ("_validationErrors", "_streamingValidation", _ERRORS)
_NESTED: Final = (*_LISTS, "errors", "causingExceptions")
_OWN_FIELDS: Final = frozenset((*_LISTS, _CORRUPT, "_filename"))
# A record cut short still tells whose it is if its id comes first: there it cannot be an id of something within it.
_LEADING_ID = re.compile(r'\s*\{\s*"_id"\s*:\s*"([^"\\]{1,256})"')

_LEADING_POINTER = re.compile(r"#(/[^\s:]+): ")


@dataclass(frozen=True)
class Cause:
    """One reason: a keyword ("required", "type") or a code ("1401", "INGEST-1401-400"), where, and in which words.

    `words` and `pointer` are safe to show: values that AEP repeats are cut.
    """

    code: str
    pointer: str
    words: str


@dataclass(frozen=True)
class FailedRecord:
    """A record that AEP refused; `entity` is its JSON text, where it can be read."""

    entity_id: str | None
    causes: tuple[Cause, ...]
    entity: bytes | None


def from_failed_line(line: bytes) -> FailedRecord:
    """A line of a failed batch of streaming ingestion: header, body and errors of one message."""
    message = _opened(line)
    if type(message) is not dict:
        return FailedRecord(None, (), None)
    body = _opened(message.get("body"))
    entity = _opened(body.get("xdmEntity")) if type(body) is dict else None
    if entity is None:
        entity = _opened(message.get("xdmEntity"))
    return FailedRecord(_id_of(entity), causes_of(message), _text_of(entity))


def from_row_error(line: bytes) -> FailedRecord:
    """A line of batch ingestion's diagnostics: the row's own fields, or its text where it could not be parsed."""
    row = _opened(line)
    if type(row) is not dict:
        return FailedRecord(None, (), None)
    corrupt = row.get(_CORRUPT)
    entity = (
        _opened(corrupt)
        if corrupt is not None
        else {key: value for key, value in row.items() if key not in _OWN_FIELDS}
    )
    entity_id = _id_of(entity)
    if entity_id is None and type(corrupt) is str and (leading := _LEADING_ID.match(corrupt)):
        entity_id = leading[1]
    return FailedRecord(entity_id, causes_of(row), _text_of(entity) if entity else None)


def causes_of(record: dict[str, Any]) -> tuple[Cause, ...]:
    """The reasons, from either form of AEP's errors; of nested ones those that have none within."""
    causes: dict[Cause, None] = {}
    for name in _LISTS:
        for cause in _leaves(record.get(name)):
            causes[cause] = None
            if len(causes) == _MOST_CAUSES:
                return tuple(causes)
    return tuple(causes)


def _leaves(errors: Any) -> Iterator[Cause]:
    """The innermost errors, in their order. By a stack of our own: AEP sets no limit to nesting."""
    waiting = [errors]
    while waiting:
        one = _opened(waiting.pop())
        if type(one) is str and one.strip():
            yield _cause({"message": one})
        elif type(one) is list:
            waiting.extend(reversed(one))
        elif type(one) is dict:
            within = [one[name] for name in _NESTED if one.get(name)]
            if within:
                waiting.extend(reversed(within))
            elif one:
                yield _cause(one)


def _cause(error: dict[str, Any]) -> Cause:
    message = str(error.get("message") or error.get("description") or "")
    code = next(filter(None, map(safe_code, (error.get("keyword"), error.get("code")))), "") or code_within(message)
    return Cause(code, safe_pointer(_pointer(error, message)), safe_words(message))


def _pointer(error: dict[str, Any], message: str) -> str:
    """Where the error is: a field of its own, a column, or what its message begins with."""
    pointer = error.get("pointerToViolation")
    if type(pointer) is str:
        return pointer
    column = error.get("column") or error.get("field")
    if type(column) is str:
        return "/" + column.lstrip("/").replace(".", "/")
    leading = _LEADING_POINTER.match(message)
    return leading[1] if leading else ""


def _opened(value: Any) -> Any:
    """A value; where it is JSON written as text, once or more often, what the text says."""
    for _ in range(3):
        if type(value) is bytes or (type(value) is str and value.lstrip()[:1] in {"{", "[", '"'}):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                return value
    return value


def _id_of(entity: Any) -> str | None:
    found = entity.get("_id") if type(entity) is dict else None
    return found if type(found) is str and found else None


def _text_of(entity: Any) -> bytes | None:
    if type(entity) is not dict:
        return None
    try:
        return orjson.dumps(entity)
    except orjson.JSONEncodeError:  # nested deeper than orjson writes
        return None
