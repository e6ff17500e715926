"""Data Access: the files of a batch.

Belongs here: listing the good, the failed and the diagnostic files of a batch, page by page, and giving them out. Does
not belong here: writing them (`uploads`, `batch_check`, `failed_batches`).

Of the files beside the data only `row_errors` is played. A good file is given out as it was uploaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from capillary_adobe.emulators.batch_states import GOOD, Batch
from capillary_adobe.emulators.batch_store import BatchFolder, BatchStore, files_in
from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.gateway import PREFIX, service_error
from capillary_adobe.emulators.wire import json_response

MOST_FILES = 100

_SUCCESS = "_SUCCESS"
_ROW_ERRORS = "row_errors"


class Export:
    """Lists files and gives them out."""

    def __init__(self, behaviour: Behaviour, batches: BatchStore) -> None:
        self._behaviour = behaviour
        self._batches = batches

    async def failed(self, request: Request) -> Response:
        """`GET /export/batches/{batch}/failed`, with `path` for the content of one file."""
        batch = self._batches.get(request.path_params["batch"])
        if batch is None or batch.state != self._behaviour.bad_status:
            return _nothing()
        folder = self._batches.folder(batch.id)
        root = folder.failed if batch.origin == "streaming" else folder.files
        path = request.query_params.get("path")
        if path == _SUCCESS:
            return Response(media_type="application/octet-stream")
        if path is not None:
            return _content(root, path)
        names = [_SUCCESS, *(file.relative_to(root).as_posix() for file in files_in(root))]
        return _page(request, [_file(request, root, name, name) for name in _window(request, names)], len(names))

    async def meta(self, request: Request) -> Response:
        """`GET /export/batches/{batch}/meta`, with `path` for a folder or the content of one file."""
        batch = self._batches.get(request.path_params["batch"])
        path = request.query_params.get("path")
        folder = self._batches.folder(batch.id) if batch else None
        if folder is None or not _has_row_errors(folder):
            return _nothing()
        root = folder.row_errors
        if path is None:
            return _page(request, [_entry(request, _ROW_ERRORS, 0, _ROW_ERRORS)], 1)
        if path.strip("/") == _ROW_ERRORS:
            names = [file.name for file in files_in(root)]
            entries = [_file(request, root, name, f"{_ROW_ERRORS}/{name}") for name in _window(request, names)]
            return _page(request, entries, len(names))
        head, _, name = path.partition("/")
        return _content(root, name) if head == _ROW_ERRORS else _nothing()

    async def files(self, request: Request) -> Response:
        """`GET /export/batches/{batch}/files`."""
        batch = self._batches.get(request.path_params["batch"])
        if batch is None:
            return _nothing()
        count = len(self._good_files(batch))
        entries = [self._data_set_file(request, batch, place) for place in _window(request, list(range(count)))]
        return _page(request, entries, count)

    async def file(self, request: Request) -> Response:
        """`GET /export/files/{file}`, with `path` for the content."""
        batch_id, _, place = request.path_params["file"].rpartition("-")
        batch = self._batches.get(batch_id)
        files = self._good_files(batch) if batch else []
        if batch is None or not place.isdecimal() or int(place) >= len(files):
            return _nothing()
        root = self._batches.folder(batch.id).files
        name = files[int(place)].relative_to(root).as_posix()
        path = request.query_params.get("path")
        if path is None:
            return _page(request, [_file(request, root, name, name)], 1)
        return _content(root, path) if path == name else _nothing()

    def _good_files(self, batch: Batch) -> list[Path]:
        return self._batches.folder(batch.id).uploaded() if batch.state in GOOD else []

    def _data_set_file(self, request: Request, batch: Batch, place: int) -> dict[str, Any]:
        file_id = f"{batch.id}-{place}"
        href = f"{_base(request)}{PREFIX}/export/files/{file_id}"
        return {
            "dataSetFileId": file_id,
            "dataSetViewId": batch.dataset_id,
            "version": "1.0.0",
            "created": str(batch.updated_ms),
            "updated": str(batch.updated_ms),
            "isValid": False,
            "_links": {"self": {"href": href}},
        }


def _has_row_errors(folder: BatchFolder) -> bool:
    return folder.row_errors.is_dir()


def _window(request: Request, items: list[Any]) -> list[Any]:
    start, limit = _paging(request)
    return items[start : start + limit]


def _page(request: Request, entries: list[dict[str, Any]], total: int) -> Response:
    start, limit = _paging(request)
    content: dict[str, Any] = {"data": entries, "_page": {"limit": limit, "count": len(entries)}}
    if start + len(entries) < total:
        following = request.url.include_query_params(start=start + limit, limit=limit)
        content["_links"] = {"next": {"href": _base(request) + str(following.replace(scheme="", netloc=""))}}
    return json_response(200, content)


def _paging(request: Request) -> tuple[int, int]:
    start, limit = (request.query_params.get(name, "") for name in ("start", "limit"))
    most = int(limit) if limit.isdecimal() and limit.isascii() else MOST_FILES
    return (int(start) if start.isdecimal() and start.isascii() else 0, min(max(most, 1), MOST_FILES))


def _file(request: Request, root: Path, name: str, path: str) -> dict[str, Any]:
    size = 0 if name == _SUCCESS else (root / name).stat().st_size
    return _entry(request, name, size, path)


def _entry(request: Request, name: str, size: int, path: str) -> dict[str, Any]:
    href = f"{_base(request)}{request.url.path}?path={quote(path, safe='')}"
    return {"name": name, "length": str(size), "_links": {"self": {"href": href}}}


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _content(root: Path, name: str) -> Response:
    path = root / name
    # A name that leads out of the folder is no name of a file in it.
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
        return _nothing()
    return FileResponse(path, media_type="application/octet-stream")


def _nothing() -> Response:
    return service_error(404, "The batch or path does not exist")
