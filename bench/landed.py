"""What was acknowledged, held against what has landed: byte for byte, by the SHA-256 of each body.

Belongs here: reading both and the difference. Does not belong here: the pipeline's reading of landed objects; a bench that
used it would not notice what it loses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from capillary_adobe.landing import open_landing_store
from capillary_adobe.landing.store import is_aside


@dataclass(frozen=True)
class Account:
    """The difference. Of `missing`, the ids; all else are numbers."""

    acknowledged: int
    landed: int
    objects: int
    missing: list[str]
    """Acknowledged, and not in the landing store as sent."""
    repeated: int
    """Landed once more than needed: an answer was lost, so the sender sent again."""
    beyond: int
    """Landed and never acknowledged: the answer was lost for good. Nobody was lied to."""

    @property
    def is_whole(self) -> bool:
        """Whether every acknowledged event has landed as it was sent."""
        return not self.missing


def acknowledged(notes: Path) -> dict[str, str]:
    """Ids and hashes that a load generator noted."""
    return dict(line.split() for line in notes.read_text("ascii").splitlines())


def account(notes: Path, landing_url: str) -> Account:
    """Hold the generator's notes against a landing store that it alone has filled.

    Raises:
        LandingError: the store cannot be read.
    """
    promised = acknowledged(notes)
    found, objects = landed(landing_url)
    hashes = set(promised.values())
    return Account(
        acknowledged=len(promised),
        landed=found.total(),
        objects=objects,
        missing=[id_ for id_, body in promised.items() if body not in found],
        repeated=found.total() - len(found),
        beyond=sum(body not in hashes for body in found),
    )


def landed(landing_url: str) -> tuple[Counter[str], int]:
    """The hash of each body in the live lane and how often it is there, and the number of objects."""
    store = open_landing_store(landing_url)
    keys = [landed.key for day in store.days("live") for landed in store.list("live", day)]
    found: Counter[str] = Counter()
    for key, stream in store.staged(keys):
        content = stream.read()
        bodies = [content] if is_aside(key) else [line for line in content.split(b"\n") if line]
        found.update(sha256(body).hexdigest() for body in bodies)
    return found, len(keys)
