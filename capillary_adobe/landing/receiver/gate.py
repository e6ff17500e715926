"""Whether events are taken now, and by whom.

Belongs here: starting, open, stopping. Does not belong here: starting or stopping anything (`serving.py`).
"""

from __future__ import annotations

from capillary_adobe.landing.receiver.answers import STARTING, STOPPING
from capillary_adobe.landing.receiver.committer import Committer


class Closed(Exception):
    """No event is taken now; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Gate:
    """Open between the start of the durable core and the wish to stop."""

    def __init__(self) -> None:
        self._committer: Committer | None = None
        self._closed = STARTING

    def open(self, committer: Committer) -> None:
        """Take events from now on."""
        self._committer = committer
        self._closed = ""

    def close(self) -> None:
        """Take no new event; those under way go on."""
        self._closed = STOPPING

    def committer(self) -> Committer:
        """Who makes events durable.

        Raises:
            Closed: nobody yet, or no more.
        """
        if self._closed or self._committer is None:
            raise Closed(self._closed)
        return self._committer

    def why_not_ready(self) -> str:
        """`starting`, `stopping`, `store` where the last commit failed; empty where events are taken."""
        if self._closed or self._committer is None:
            return self._closed
        return "store" if self._committer.failing() else ""
