"""A pump: an iterator that runs in a thread of its own, a few items ahead of its reader.

Belongs here: handing items and failures from one thread to another. Does not belong here: what the items are.

The lake needs it for correctness: its writer pulls rows from within its own asynchronous runtime, where nothing may
open another table; and it lets the next rows be made while the last ones are compressed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_WAIT_SECONDS = 0.1


class Pump(Generic[T]):
    """Run `items` in a thread; iterate over the pump to get them. Use as a context manager.

    A failure of `items` ends the iteration with `PumpStopped` and waits in `failure`.
    """

    def __init__(self, items: Iterable[T], ahead: int = 2) -> None:
        self._items = items
        self._queue: Queue[T | None] = Queue(maxsize=ahead)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failure: BaseException | None = None

    def __enter__(self) -> Pump[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._next()
            if item is None:
                if self.failure is not None:
                    raise PumpStopped
                return
            yield item

    def _next(self) -> T | None:
        while True:
            try:
                return self._queue.get(timeout=_WAIT_SECONDS)
            except Empty:
                if not self._thread.is_alive() and self._queue.empty():
                    return None

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as failure:  # noqa: BLE001 - it is raised again by the reader's side
            self.failure = failure
        self._put(None)

    def _put(self, item: T | None) -> bool:
        while not self._stopping.is_set():
            try:
                self._queue.put(item, timeout=_WAIT_SECONDS)
            except Full:
                continue
            return True
        return False


class PumpStopped(Exception):
    """The pumped iterator failed; its failure is in `Pump.failure`."""
