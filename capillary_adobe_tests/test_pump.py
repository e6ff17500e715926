"""The pump: items in order, a few ahead, failures carried over, no thread left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.pump import Pump, PumpStopped


@given(st.lists(st.integers(), max_size=50), st.integers(1, 5))
def test_items_come_in_order(items: list[int], ahead: int) -> None:
    with Pump(iter(items), ahead) as pump:
        assert list(pump) == items
    assert pump.failure is None


def test_no_more_than_a_few_items_are_made_ahead() -> None:
    made: list[int] = []
    waiting = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number >= 3:
                waiting.set()
            yield number

    with Pump(items(), ahead=2) as pump:
        assert next(iter(pump)) == 0
        assert waiting.wait(5)
        # One was taken, two lie ready, one is in hand.
        assert len(made) <= 4


def test_a_failure_ends_the_items_and_waits_for_the_reader() -> None:
    class OwnError(Exception):
        pass

    def items() -> Iterator[int]:
        yield 1
        raise OwnError

    got: list[int] = []
    with Pump(items()) as pump:
        with pytest.raises(PumpStopped):
            got.extend(pump)
        assert type(pump.failure) is OwnError


def test_a_reader_that_leaves_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with Pump(iter(range(1000))) as pump:
        for item in pump:
            if item == 3:
                break
    with Pump(iter(range(1000))):
        pass
    assert threading.active_count() == before


def test_the_items_are_made_in_a_thread_of_their_own() -> None:
    with Pump(threading.get_ident() for _ in range(3)) as pump:
        assert threading.get_ident() not in set(pump)
