"""Names sort as they were given, whatever the clock does, and are given once."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.landing.receiver.naming import Names

_NOW_MS = 1_795_661_234_567


@given(st.lists(st.integers(-50_000, 100_000), min_size=1, max_size=30))
def test_names_sort_as_they_were_given_though_the_clock_is_set_back(steps_ms: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        names, keys, furthest = Names(), [], _NOW_MS
        for step in steps_ms:
            furthest = max(furthest, _NOW_MS + step)
            patch.setattr(time, "time_ns", lambda step=step: (_NOW_MS + step) * 10**6)
            if furthest - (_NOW_MS + step) <= 60_000:
                keys.append(names.key("events", ".jsonl"))
    assert keys == sorted(set(keys))


def test_a_clock_that_was_wrong_for_long_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()
    monkeypatch.setattr(time, "time_ns", lambda: (_NOW_MS + 86_400_000) * 10**6)
    assert names.key("events", ".jsonl").startswith("events/2026-11-27/")
    monkeypatch.setattr(time, "time_ns", lambda: _NOW_MS * 10**6)
    assert names.key("events", ".jsonl").startswith(f"events/2026-11-26/02/{_NOW_MS}-")


def test_receivers_that_start_together_give_different_names() -> None:
    assert len({Names().hidden("") for _ in range(50)}) == 50
