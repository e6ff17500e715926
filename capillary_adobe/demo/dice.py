"""Chance that can be repeated: every random draw of the demo comes from a generator made here.

Belongs here: making a generator from numbers, and drawing ids of known forms from it. Does not belong here: what the
draws decide.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_PART_BITS = 40


def dice(*parts: int) -> random.Random:
    """A generator that depends on the given numbers alone."""
    seed = len(parts)
    for part in parts:
        seed = seed << _PART_BITS | part & ((1 << _PART_BITS) - 1)
    return random.Random(seed)  # noqa: S311 - traffic has to repeat, nothing is kept secret with it


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """One of the choices, each as likely; several times as fast as `Random.choice`."""
    return choices[int(rng.random() * len(choices))]


def between(rng: random.Random, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


def hex_id(rng: random.Random, digits: int = 32) -> str:
    """Hexadecimal text, as Capillary writes request ids."""
    return f"{rng.getrandbits(digits * 4):0{digits}x}"


def uuid_text(rng: random.Random) -> str:
    """Text of the form of a version 4 UUID."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
