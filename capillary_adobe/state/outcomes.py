"""What can become of an entity, in one request and in the end.

Belongs here: the words and letters, and which of them leave nothing to be sent. Does not belong here: storing them
(`receipts.py`) and how they follow from several requests (`day_receipts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What became of an entity, as an operator is shown it."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    PENDING = "pending"
    SUPERSEDED = "superseded"
    """Of a profile: a newer one of the customer has left, so this one never does."""


class Fate(Enum):
    """What became of an entity in one request; the value is its letter in the stored row."""

    ACCEPTED = "a"
    REJECTED = "r"
    FAILED = "f"
    PENDING = "p"
    UNKNOWN = "u"
    """On its way, or its answer was lost: AEP may have it."""

    @property
    def outcome(self) -> Outcome:
        """The outcome that an operator is shown."""
        return Outcome.PENDING if self is Fate.UNKNOWN else Outcome[self.name]


class Route(StrEnum):
    """What wrote a receipt."""

    STREAMING = "streaming"
    BATCH = "batch"
    """A file of a batch; what is pending in it waits for AEP and is not sent again."""
    VERDICT = "verdict"
    """AEP had taken the entity and refused it later."""
    REPLAY = "replay"
    """An operator has the entity sent again."""


class Detail(NamedTuple):
    """AEP's words on one entity and the cause it is grouped under; neither repeats a person's value."""

    code: int | None = None
    words: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Known:
    """The state of one entity and the request that brought it there; `attempts` counts the requests that carried it."""

    fate: Fate
    route: Route
    attempts: int
    request_id: str
    answered_ms: int
    aep_id: str | None
    detail: Detail
    doubtful: int
    """Sendings that AEP may have taken although no answer came."""

    @property
    def outcome(self) -> Outcome:
        """The outcome that an operator is shown."""
        return self.fate.outcome

    @property
    def waits_at_aep(self) -> bool:
        """Whether the entity lies in a batch that AEP has not judged yet."""
        return self.route is Route.BATCH and self.fate is Fate.PENDING

    @property
    def settled(self) -> bool:
        """Whether there is nothing to send: the outcome is final, or AEP has the entity and will judge it."""
        return self.fate in (Fate.ACCEPTED, Fate.REJECTED) or self.waits_at_aep
