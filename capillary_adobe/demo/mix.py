"""What share of the traffic has which flaw or form.

Belongs here: the shares and their bounds. Does not belong here: applying them (`telling.py`, `objects.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from capillary_adobe.demo.envelopes import Shape

_SHAPES = MappingProxyType({Shape.A: 0.93, Shape.B: 0.03, Shape.C: 0.01, Shape.C2: 0.01, Shape.D: 0.01, Shape.E: 0.01})


@dataclass(frozen=True)
class Mix:
    """Shares of the lines, from 0 to 1, except where another whole is named."""

    duplicates: float = 0.03
    """Lines that repeat an earlier line's event."""
    redressed: float = 0.1
    """Share of those duplicates that come in another shape; the others are the same bytes."""
    broken: float = 0.002
    """Lines that cannot become an event, all kinds of `Broken` as often."""
    late_files: float = 0.02
    """Share of the objects that are written after objects whose names sort behind theirs."""
    stragglers: float = 0.005
    """Events that arrive after later events of the same customer."""
    other: float = 0.05
    """Events beyond the fourteen main ones."""
    shapes: Mapping[Shape, float] = field(default_factory=lambda: _SHAPES, hash=False)
    """Weights of the shapes."""

    def __post_init__(self) -> None:
        shares = (self.duplicates, self.redressed, self.broken, self.late_files, self.stragglers, self.other)
        if any(not 0 <= share <= 1 for share in shares) or self.duplicates + self.broken + self.other > 1:
            raise ValueError("the shares of a mix lie between 0 and 1; duplicates, broken and other together reach 1")
        if any(weight < 0 for weight in self.shapes.values()) or not sum(self.shapes.values()):
            raise ValueError("at least one shape has a weight above 0, and none below")

    @classmethod
    def clean(cls) -> Mix:
        """Every line a sound event that comes once and in its turn; shapes and quirks stay."""
        return replace(cls(), duplicates=0, broken=0, late_files=0, stragglers=0)


USUAL = Mix()
"""The shares when nothing else is asked for."""
