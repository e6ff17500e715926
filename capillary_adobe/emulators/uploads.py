"""The endpoints of Batch Ingestion for the files of a batch: in one piece, or in parts.

Belongs here: taking the bytes of a file to the disk. Does not belong here: what they mean (`rows`).

A body goes to the disk as it comes in. A file shows among the files of its batch only when it is there in full; the
parts of a large file are written to their places in it, beside a list of the ranges that have arrived.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from capillary_adobe.emulators.batch_states import Batch
from capillary_adobe.emulators.batch_store import BatchFolder, BatchStore
from capillary_adobe.emulators.batches import no_batch
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.gateway import service_error
from capillary_adobe.emulators.wire import drain, media_type

_LONGEST_NAME = 255
_RANGE = re.compile(r"bytes[ =](\d{1,15})-(\d{1,15})(?:/(?:\d+|\*))?")


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Range(NamedTuple):
    """Bytes of a file, from the first to the last."""

    first: int
    last: int


class _Target(NamedTuple):
    """Where the bytes of a call go."""

    batch: Batch
    folder: BatchFolder
    file: Path
    parts: Path

    @property
    def ranges(self) -> Path:
        return self.parts.with_suffix(".ranges")


class Uploads:
    """Takes files."""

    def __init__(self, behaviour: Behaviour, batches: BatchStore) -> None:
        self._behaviour = behaviour
        self._batches = batches

    async def put(self, request: Request) -> Response:
        """`PUT /import/batches/{batch}/datasets/{dataset}/files/{path}`: a whole file, in place of any before."""
        try:
            target = self._target(request)
            _octets(request)
        except Refused as refused:
            await drain(request)
            return refused.response
        target.folder.incoming.mkdir(exist_ok=True)
        beside = target.folder.incoming / uuid.uuid4().hex
        try:
            if await _receive(request, beside, Range(0, self._behaviour.max_file_bytes - 1)) is None:
                return service_error(413, f"The file is larger than {self._behaviour.max_file_bytes} bytes")
            return self._place(request, beside, 200 if target.file.is_file() else 201)
        except Refused as refused:
            return refused.response
        finally:
            beside.unlink(missing_ok=True)

    async def patch(self, request: Request) -> Response:
        """`PATCH` of the same path: one part of a large file."""
        try:
            target = self._target(request)
            _octets(request)
            part = self._part(request, target)
        except Refused as refused:
            await drain(request)
            return refused.response
        received = await _receive(request, target.parts, part)
        if received != part.last - part.first + 1:
            return service_error(400, "The body is not as long as Content-Range says")
        with target.ranges.open("a", encoding="ascii") as ranges:
            ranges.write(f"{part.first}-{part.last}\n")
        return Response(status_code=200)

    async def post(self, request: Request) -> Response:
        """`POST` of the same path with `action`: begin or end a large file."""
        await drain(request)
        try:
            target = self._target(request)
            match request.query_params.get("action", "").upper():
                case "INITIALIZE":
                    target.parts.parent.mkdir(exist_ok=True)
                    target.parts.write_bytes(b"")
                    target.ranges.write_bytes(b"")
                    return Response(status_code=201)
                case "COMPLETE":
                    return self._complete(request, target)
        except Refused as refused:
            return refused.response
        return service_error(400, "The action must be INITIALIZE or COMPLETE")

    async def head(self, request: Request) -> Response:
        """`HEAD` of the same path: which bytes have arrived."""
        try:
            target = self._target(request, changes=False)
        except Refused as refused:
            return refused.response
        if target.ranges.exists():
            arrived = _joined(_ranges(target))
        elif target.file.is_file():
            arrived = [Range(0, target.file.stat().st_size - 1)]
        else:
            return service_error(404, "The file does not exist")
        text = ",".join(f"{first}-{last}" for first, last in arrived)
        return Response(status_code=200, headers={"Range": f"bytes={text}"} if text else None)

    def _complete(self, request: Request, target: _Target) -> Response:
        if not target.ranges.exists():
            if target.file.is_file():  # said again, because the answer may have been lost
                return Response(status_code=201)
            raise Refused(service_error(404, "The file was not initialized"))
        if not _adjoin(_ranges(target)):
            raise Refused(service_error(400, "Parts of the file are missing or overlap"))
        response = self._place(request, target.parts, 201)
        target.ranges.unlink()
        return response

    def _place(self, request: Request, source: Path, status: int) -> Response:
        target = self._target(request)  # again: the batch may have been completed meanwhile
        try:
            target.file.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target.file)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Refused(service_error(400, "The path is a folder of another file, or has one as a folder")) from None
        return Response(status_code=status)

    def _target(self, request: Request, *, changes: bool = True) -> _Target:
        batch = self._batches.get(request.path_params["batch"])
        if batch is None:
            raise Refused(no_batch(request.path_params["batch"]))
        if request.path_params["dataset"] != batch.dataset_id:
            raise Refused(service_error(404, "The dataset does not exist, or is not the one of the batch"))
        if changes and batch.state != "loading":
            raise Refused(service_error(400, f"The batch {batch.id} takes no more files"))
        path = request.path_params["path"]
        if not all(_is_name(name) for name in path.split("/")):
            raise Refused(service_error(400, "The path of the file is not valid"))
        folder = self._batches.folder(batch.id)
        parts = folder.parts / hashlib.sha256(path.encode()).hexdigest()
        return _Target(batch, folder, folder.files / path, parts)

    def _part(self, request: Request, target: _Target) -> Range:
        if not target.ranges.exists():
            raise Refused(service_error(404, "The file was not initialized"))
        stated = _RANGE.fullmatch(request.headers.get("content-range", ""))
        if stated is None or int(stated[1]) > int(stated[2]):
            raise Refused(service_error(400, "Content-Range must be bytes <first>-<last>"))
        part = Range(int(stated[1]), int(stated[2]))
        if part.last - part.first >= self._behaviour.max_part_bytes:
            raise Refused(service_error(413, f"The part is larger than {self._behaviour.max_part_bytes} bytes"))
        return part


async def _receive(request: Request, path: Path, to: Range) -> int | None:
    """Write the body to its place in a file. The answer is its length, or None when it does not fit."""
    size, most = 0, to.last - to.first + 1
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(to.first)
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                file.write(chunk)
    return size if size <= most else None


def _octets(request: Request) -> None:
    if media_type(request) != "application/octet-stream":
        raise Refused(service_error(415, "The content-type must be application/octet-stream"))


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "\0" not in name and len(name.encode()) <= _LONGEST_NAME


def _ranges(target: _Target) -> list[Range]:
    def read() -> Iterator[Range]:
        for line in target.ranges.read_text(encoding="ascii").splitlines():
            first, _, last = line.partition("-")
            yield Range(int(first), int(last))

    return sorted(set(read()))  # the same part may have been sent again, because the answer was lost


def _joined(ranges: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for part in ranges:
        if joined and part.first <= joined[-1].last + 1:
            joined[-1] = Range(joined[-1].first, max(joined[-1].last, part.last))
        else:
            joined.append(part)
    return joined


def _adjoin(ranges: list[Range]) -> bool:
    expected = 0
    for first, last in ranges:
        if first != expected:
            return False
        expected = last + 1
    return expected > 0
