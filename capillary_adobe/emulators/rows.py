"""The rows of an uploaded file, one after another.

Belongs here: reading JSON lines, a JSON array and Parquet into entities, and telling what cannot be read. Does not
belong here: judging an entity (`demands`) and what follows from it (`promotion`).

JSON lines and Parquet are read in pieces, a JSON array as a whole, as AEP warns that it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from capillary_adobe.emulators.batch_states import Format

_ROWS_AT_ONCE = 500
_NO_OBJECT = "The row is not a JSON object"


class UnreadableFile(Exception):
    """The file as a whole is not in its format."""


class Row(NamedTuple):
    """An entity with its JSON text, or what stood there in its place with the reason why it is none."""

    entity: dict[str, Any] | None
    text: bytes
    fault: str = ""


def rows(path: Path, file_format: Format, *, multi_line: bool) -> Iterator[Row]:
    """Every row of a file."""
    match file_format:
        case "json":
            return _array(path) if multi_line else _lines(path)
        case "parquet":
            return _parquet(path)
        case "csv":
            raise UnreadableFile("CSV carries flat schemas only, and the schema of the dataset is nested")


def _lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for line in file:
            if text := line.strip():
                yield _parsed(text)


def _array(path: Path) -> Iterator[Row]:
    text = path.read_bytes().strip()
    if not text:
        return
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        yield Row(None, text, str(error))
        return
    for item in content if isinstance(content, list) else [content]:
        yield _row(item, b"")


def _parsed(text: bytes) -> Row:
    try:
        return _row(orjson.loads(text), text)
    except orjson.JSONDecodeError as error:
        return Row(None, text, str(error))


def _row(content: Any, text: bytes) -> Row:
    if not isinstance(content, dict):
        return Row(None, text or orjson.dumps(content), _NO_OBJECT)
    try:
        return Row(content, orjson.dumps(content))
    except (orjson.JSONEncodeError, TypeError) as error:  # nested deeper than can be written
        return Row(None, text, str(error))


def _parquet(path: Path) -> Iterator[Row]:
    # Nothing else in the emulator needs it, and it takes longer to import than all the rest.
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                for content in batch.to_pylist(maps_as_pydicts="strict"):
                    yield _row(_without_nulls(content), b"")
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UnreadableFile(f"The file is not Parquet that can be read: {error}") from None


def _without_nulls(value: Any) -> Any:
    # A column has a place in every row: what a row does not have is null there, and absent in the entity.
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
    return value
