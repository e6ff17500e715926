"""A thread that works behind the answers.

Belongs here: starting and ending such a thread, and keeping it from slowing the answers down. Does not belong here: the
work (`promotion`, `validation`).
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

# One thread runs Python at a time. A thread that computes gives way only every few milliseconds by itself, and each
# answer would wait that long several times; stepping aside this often costs the work little and the answers nothing.
_STEPS_PER_PAUSE = 64
_PAUSE_SECONDS = 0.0002

_log = logging.getLogger(__name__)


class Stopping(Exception):
    """The thread was asked to end; what it was doing is begun again at the next start."""


class Background(ABC):
    """Calls `work` again and again until it is stopped; `work` must return, or call `step`, often."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._steps = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, without finishing what is under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @abstractmethod
    def work(self) -> float:
        """Do what there is to do; the answer is the time in seconds until the next call."""

    def wake(self) -> None:
        """Call `work` at once."""
        self._wake.set()

    def step(self) -> None:
        """Say that a small piece of work is done."""
        self._steps += 1
        if self._steps % _STEPS_PER_PAUSE == 0 and self._stopping.wait(_PAUSE_SECONDS):
            raise Stopping

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                seconds = self.work()
            except Stopping:
                return
            except Exception:  # noqa: BLE001 - the emulator goes on answering; its log tells why nothing else happens
                _log.exception("the %s thread of the emulator failed", self._name)
                return
            self._wake.wait(seconds)
