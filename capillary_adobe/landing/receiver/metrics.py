"""The receiver's figures for Prometheus, in a registry of their own.

Belongs here: names, meanings, buckets, and counting. Does not belong here: what counts as which outcome (`app.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from capillary_adobe.landing.receiver import answers, credentials

_PREFIX: Final = "capillary_adobe_receiver_"
# Seconds: a folder commits in 1 ms, an S3 store in 50 ms; above 10 s the request has been answered 429.
_COMMIT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Prometheus sees no growth in a series that begins with its first count, so each is there from the start: an alert on the
# first refusal would not come.
_REQUESTS: Final = {
    answers.LANDED: ("",),
    answers.ASIDE: ("unreadable", "oversize", "headers"),
    answers.REFUSED: (
        credentials.SECRET_MISSING,
        credentials.SECRET_WRONG,
        credentials.SIGNATURE_MISSING,
        credentials.SIGNATURE_WRONG,
        credentials.CERTIFICATE_MISSING,
        credentials.CERTIFICATE_WRONG,
        answers.MALFORMED,
        answers.HEADERS_ENDLESS,
    ),
    answers.NOT_LANDED: ("overload", "store", answers.STARTING, answers.STOPPING, answers.UNEXPECTED),
    answers.ABORTED: ("",),
    answers.TIMED_OUT: ("slow_headers", "slow_body"),
    answers.ELSEWHERE: ("",),
}


class Queue(Protocol):
    """What is asked of the durable core when the figures are read."""

    @property
    def waiting_events(self) -> int:
        """Events taken and not durable."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Their bytes."""
        ...

    def oldest_unlanded_seconds(self) -> float:
        """Age of the oldest event that is taken and not durable."""
        ...


class Metrics:
    """All figures. It is the durable core's `CommitWatch` too."""

    def __init__(self) -> None:
        # Times at which counters were made say nothing here and double the lines.
        disable_created_metrics()
        self._registry = CollectorRegistry()
        # The memory and the open files of this process: what grows where something leaks.
        ProcessCollector(registry=self._registry)
        self._requests = self._counter("requests", "Requests by outcome and reason.", "outcome", "reason")
        self._closed = self._counter("connections_closed", "Connections closed by the receiver, by reason.", "reason")
        self._failures = self._counter("commit_failures", "Commits that failed, by reason.", "reason")
        self._failures.labels("store")
        self._events = self._counter("events_landed", "Events made durable.")
        self._bytes = self._counter("bytes_landed", "Bytes made durable.")
        self._seconds = Histogram(
            f"{_PREFIX}commit_seconds",
            "Time of one commit, which makes many events durable.",
            buckets=_COMMIT_BUCKETS,
            registry=self._registry,
        )
        Info("capillary_adobe_receiver_build", "This software.", registry=self._registry).info(
            {"version": version("capillary-adobe")}
        )
        # `labels` looks up under a lock and costs more than the counting.
        self._known = {
            (outcome, reason): self._requests.labels(outcome, reason)
            for outcome, reasons in _REQUESTS.items()
            for reason in reasons
        }

    def request(self, outcome: str, reason: str = "") -> None:
        """A request has come to its end."""
        counter = self._known.get((outcome, reason))
        if counter is None:
            counter = self._known[outcome, reason] = self._requests.labels(outcome, reason)
        counter.inc()

    def closed(self, reason: str) -> None:
        """The receiver has closed a connection of its own accord."""
        self._closed.labels(reason).inc()

    def committed(self, events: int, bytes: int, seconds: float) -> None:  # noqa: A002 - the interface's name
        """Events have become durable together."""
        self._events.inc(events)
        self._bytes.inc(bytes)
        self._seconds.observe(seconds)

    def failed(self, reason: str, events: int) -> None:  # noqa: ARG002 - they are counted by their requests
        """A commit has failed."""
        self._failures.labels(reason).inc()

    def watch_connections(self, number: Callable[[], int]) -> None:
        """Let the number of open connections be asked for."""
        self._gauge("open_connections", "Open connections.", number)

    def watch_reading(self, number: Callable[[], int]) -> None:
        """Let the bytes of bodies that have not come to their end be asked for."""
        self._gauge("reading_bytes", "Bytes held of bodies that are still being read.", number)

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Let it be asked whether events are taken."""
        self._gauge("ready", "1 where /readyz says so.", ready)

    def watch_queue(self, queue: Queue) -> None:
        """Let the queue before the disk or the store be asked for."""
        self._gauge("queue_events", "Events taken and not durable yet.", lambda: queue.waiting_events)
        self._gauge("queue_bytes", "The same in bytes.", lambda: queue.waiting_bytes)
        self._gauge("oldest_unlanded_seconds", "Age of the oldest of them.", queue.oldest_unlanded_seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text form."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        Gauge(_PREFIX + name, meaning, registry=self._registry).set_function(value)
