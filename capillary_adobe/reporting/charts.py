"""Charts: figures by day as bars, laid out for the template.

Belongs here: places and heights. Does not belong here: colours and drawing (`bars.html`).

Bars by hand in a template of 40 lines: a chart library with its fonts weighs 50 MB and a second of each run, for three charts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 200
NARROW: Final = 460
"""Width of a chart that stands beside another."""

_LEFT, _TOP, _BOTTOM = 48.0, 10.0, 26.0
_GAP: Final = 0.25
_STEPS: Final = 4
_ROOM_OF_A_NAME: Final = 56
_SHORT_OF_THOUSAND: Final = 999


@dataclass(frozen=True)
class Bar:
    """One part of a bar; `tip` tells its day and figure."""

    series: int
    x: float
    y: float
    width: float
    height: float
    tip: str


@dataclass(frozen=True)
class Chart:
    """Bars with their axes; lengths are those of the drawing."""

    title: str
    series: Sequence[str]
    bars: Sequence[Bar]
    grid: Sequence[tuple[float, str]]
    names: Sequence[tuple[float, str]]
    width: int
    height: int = HEIGHT
    left: float = _LEFT


def stacked(title: str, days: Sequence[str], values: Mapping[str, Sequence[float]], width: int = WIDTH) -> Chart:
    """Parts of a day on top of one another."""
    top = max((sum(parts) for parts in zip(*values.values(), strict=True)), default=0)
    return _laid_out(title, days, values, top, width, beside=False)


def side_by_side(title: str, days: Sequence[str], values: Mapping[str, Sequence[float]], width: int = WIDTH) -> Chart:
    """Figures of a day beside one another."""
    top = max((max(parts) for parts in zip(*values.values(), strict=True)), default=0)
    return _laid_out(title, days, values, top, width, beside=True)


def _laid_out(
    title: str, days: Sequence[str], values: Mapping[str, Sequence[float]], top: float, width: int, *, beside: bool
) -> Chart:
    scale = _round_up(top)
    room = HEIGHT - _TOP - _BOTTOM
    slot = (width - _LEFT) / max(1, len(days))
    bars: list[Bar] = []
    for place, day in enumerate(days):
        left, wide, foot = _LEFT + slot * (place + _GAP / 2), slot * (1 - _GAP), HEIGHT - _BOTTOM
        for number, (name, listed) in enumerate(values.items()):
            height = listed[place] / scale * room
            if height <= 0:
                continue
            tip = f"{day}: {name} {_whole_or_short(listed[place])}"
            if beside:
                thin = wide / len(values)
                bars.append(Bar(number, left + thin * number, foot - height, thin, height, tip))
            else:
                foot -= height
                bars.append(Bar(number, left, foot, wide, height, tip))
    grid = [(HEIGHT - _BOTTOM - room * step / _STEPS, _short(scale * step / _STEPS)) for step in range(_STEPS + 1)]
    every = math.ceil(_ROOM_OF_A_NAME / slot)
    names = [
        (_LEFT + slot * (place + 0.5), day[5:])
        for place, day in enumerate(days)
        if (len(days) - 1 - place) % every == 0
    ]
    return Chart(title, list(values), bars, grid, names, width)


def _round_up(top: float) -> float:
    """The next of 1, 2, 4, 8 and their tens, so that a quarter of it reads well."""
    size = 10.0 ** math.floor(math.log10(top)) if top > 0 else 1.0
    return next((size * step for step in (1, 2, 4, 8) if size * step >= top), size * 10)


def seconds(value: float) -> str:
    """Seconds for people: after an outage they are thousands, of which `3g` alone would make `1.2e+04`."""
    return f"{value:.3g}" if value < _SHORT_OF_THOUSAND else f"{value:,.0f}"


def _whole_or_short(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else seconds(value)


def _short(value: float) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
