"""A backfill's run lowers its priority where it may, and goes on where it may not."""

from __future__ import annotations

import os

import pytest

from capillary_adobe.defs import giving_way


@pytest.fixture
def priorities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What this process, taken for one that was started for one run, asks for; it gets nothing."""
    asked: list[int] = []
    monkeypatch.setattr(giving_way, "_for_one_run", lambda: True)
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, level: asked.append(level))
    return asked


def test_the_priority_is_the_one_that_is_set(priorities: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTORY_NICE", "7")
    giving_way.give_way()
    monkeypatch.setenv("HISTORY_NICE", "0")
    giving_way.give_way()
    assert priorities == [7]


def test_a_process_that_may_not_lower_it_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, priorities: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refused)
    giving_way.give_way()
    assert priorities == []
    assert "HISTORY_NICE=10 has no effect" in caplog.text
