"""Bars are as high as their figures, stand on one another or side by side, and the axis reads well."""

from __future__ import annotations

import pytest

from capillary_adobe.reporting.charts import HEIGHT, WIDTH, seconds, side_by_side, stacked

DAYS = [f"2026-11-{day:02d}" for day in range(1, 15)]


def test_parts_of_a_day_stand_on_one_another() -> None:
    chart = stacked("events", DAYS[:2], {"accepted": [300, 100], "open": [100, 0]})
    first, on_top, second = chart.bars
    assert (first.series, on_top.series, second.series) == (0, 1, 0)
    assert first.height == pytest.approx(3 * on_top.height) == pytest.approx(3 * second.height)
    assert on_top.y + on_top.height == pytest.approx(first.y)
    assert on_top.x == first.x < second.x
    assert first.tip == "2026-11-01: accepted 300"
    assert [label for _, label in chart.grid] == ["0", "100", "200", "300", "400"]


def test_figures_of_a_day_stand_side_by_side() -> None:
    chart = side_by_side("seconds", DAYS, {"p50": [1.5] * 14, "p95": [3.0] * 14})
    assert len(chart.bars) == 28
    assert all(0 <= bar.x <= WIDTH - bar.width for bar in chart.bars)
    assert all(0 < bar.y < bar.y + bar.height <= HEIGHT for bar in chart.bars)
    assert chart.bars[0].x + chart.bars[0].width == pytest.approx(chart.bars[1].x)
    # Every second name, the last day among them: more would run into one another.
    assert [name for _, name in chart.names] == [day[5:] for day in DAYS[1::2]]


def test_large_figures_are_written_out() -> None:
    assert stacked("events", DAYS[:1], {"accepted": [1_234_567]}).bars[0].tip == "2026-11-01: accepted 1,234,567"
    assert side_by_side("seconds", DAYS[:1], {"p99": [43_210.9]}).bars[0].tip == "2026-11-01: p99 43,211"
    assert [seconds(one) for one in (0.01234, 12.345, 999.7, 43_210.9)] == ["0.0123", "12.3", "1,000", "43,211"]


@pytest.mark.parametrize(
    ("top", "highest"),
    [
        (0, "1"),
        (0.3, "0.4"),
        (1, "1"),
        (5, "8"),
        (9, "10"),
        (10, "10"),
        (850, "1k"),
        (81_000, "100k"),
        (3.9e6, "4M"),
        (8e9, "8G"),
    ],
)
def test_the_axis_ends_at_a_round_number(top: float, highest: str) -> None:
    assert stacked("any", DAYS[:1], {"one": [top]}).grid[-1][1] == highest
