"""Claims: one line per key, the same one however the day is cut, and rulings that survive a crash."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.state import Place, State, Verdict
from capillary_adobe.state.claims import Ruling
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.state.taking import DAY, NEXT_DAY, event_key, firsts, rule

EXAMPLE = itertools.count()
several = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
places = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 1))


def place(day: str, raw: tuple[int, int, int]) -> Place:
    return Place(f"events/{day}/{raw[0]}.jsonl", raw[1], raw[2])


@several
@given(
    found=st.dictionaries(places, st.integers(0, 4), min_size=1, max_size=24),
    cuts=st.lists(st.integers(1, 6), max_size=12),
    shuffled=st.randoms(use_true_random=False),
)
def test_within_a_day_the_smallest_place_holds_the_key_however_the_day_is_cut(
    state: State, found: dict[tuple[int, int, int], int], cuts: list[int], shuffled
) -> None:
    salt = next(EXAMPLE)
    day = f"{2000 + salt // 300:04}-{1 + salt // 25 % 12:02}-{1 + salt % 25:02}"
    lines = [(event_key((salt, key)), place(day, raw)) for raw, key in found.items()]
    shuffled.shuffle(lines)
    holders: dict[str, Place] = {}
    verdicts: Counter[Verdict] = Counter()
    gave_way = 0
    rest = list(lines)
    for cut in itertools.chain(cuts, itertools.repeat(5)):
        batch, rest = rest[:cut], rest[cut:]
        if not batch:
            break
        for (key, where), ruling in zip(batch, rule(state, day, batch), strict=True):
            verdicts[ruling.verdict] += 1
            assert ruling.day == day
            if ruling.verdict is Verdict.FIRST:
                assert ruling.replaced == holders.get(key)
                gave_way += ruling.replaced is not None
                holders[key] = where
    smallest: dict[str, Place] = {}
    for key, where in lines:
        smallest[key] = min(where, smallest.get(key, where))
    assert holders == smallest
    assert verdicts[Verdict.FIRST] - gave_way == len(smallest)
    assert verdicts.total() == len(lines)
    again = rule(state, day, lines)
    assert Counter(firsts(lines, again)) == Counter(dict.fromkeys(smallest, 1))


@several
@given(days=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=2, max_size=4))
def test_between_days_the_first_to_be_read_holds_the_key(state: State, days: list[list[int]]) -> None:
    salt = next(EXAMPLE)
    # Later calls are of earlier days: the order of reading counts, not that of the calendar.
    names = [f"{2100 + salt // 300:04}-{1 + salt // 25 % 12:02}-{28 - n:02}" for n in range(len(days))]
    first_day: dict[str, str] = {}
    for day, keys in zip(names, days, strict=True):
        lines = [(event_key((salt, key)), Place(f"events/{day}/a", n, 0)) for n, key in enumerate(keys, 1)]
        for (key, _), ruling in zip(lines, rule(state, day, lines), strict=True):
            is_new = key not in first_day
            assert ruling.verdict is (Verdict.FIRST if is_new else Verdict.DUPLICATE)
            assert ruling.day == first_day.setdefault(key, day)


def test_a_line_that_gave_way_is_named_again_after_a_crash(state: State) -> None:
    key = event_key("k")
    late, early = Place(f"events/{DAY}/b", 7, 1), Place(f"events/{DAY}/a", 2, 0)
    assert rule(state, DAY, [(key, late)]) == [Ruling(Verdict.FIRST, DAY)]
    told = Ruling(Verdict.FIRST, DAY, late)
    for _ in range(3):
        assert rule(state, DAY, [(key, early)]) == [told]
    assert rule(state, DAY, [(key, late)]) == [Ruling(Verdict.DUPLICATE, DAY, None, early)]
    assert rule(state, DAY, [(key, early), (key, late)]) == [told, Ruling(Verdict.DUPLICATE, DAY, None, early)]


def test_the_same_lines_get_the_same_ruling_twice(state: State) -> None:
    lines = [(event_key(n % 30), Place(f"events/{DAY}/a", n, 0)) for n in range(1, 100)]
    assert rule(state, DAY, lines) == rule(state, DAY, lines)
    others = [(key, Place(f"events/{NEXT_DAY}/a", where.line, 0)) for key, where in lines]
    assert {ruling.day for ruling in rule(state, NEXT_DAY, others)} == {DAY}


def test_more_keys_than_one_statement_takes(state: State) -> None:
    lines = [(event_key(n), Place(f"events/{DAY}/a", n, 0)) for n in range(1, 20_001)]
    assert firsts(lines, rule(state, DAY, lines)) == [key for key, _ in lines]
    again = rule(state, NEXT_DAY, [(key, Place(f"events/{NEXT_DAY}/a", where.line, 0)) for key, where in lines])
    assert {(ruling.verdict, ruling.day) for ruling in again} == {(Verdict.DUPLICATE, DAY)}


def test_no_lines_no_rulings(state: State) -> None:
    assert rule(state, DAY, []) == []


def test_writers_of_different_days_never_both_hold_a_key(state: State) -> None:
    days = [f"2026-04-{n:02}" for n in range(1, 5)]
    keys = [event_key(n) for n in range(300)]
    together = threading.Barrier(len(days))

    def write(day: str) -> list[str]:
        mine: list[str] = []
        together.wait()
        for start in range(0, len(keys), 50):
            lines = [(key, Place(f"events/{day}/a", n, 0)) for n, key in enumerate(keys[start : start + 50], 1)]
            mine += firsts(lines, rule(state, day, lines))
        return mine

    with ThreadPoolExecutor(len(days)) as pool:
        held = Counter(key for mine in pool.map(write, days) for key in mine)
    assert held == Counter(dict.fromkeys(keys, 1))


def test_writers_of_one_day_that_hold_its_lock_agree_on_the_smallest_place(state: State) -> None:
    keys = [event_key(n) for n in range(100)]
    batches = [[(key, Place(f"events/{DAY}/{name}", n, 0)) for n, key in enumerate(keys, 1)] for name in "dbac"]
    together = threading.Barrier(len(batches))

    def write(lines: list[tuple[str, Place]]) -> None:
        together.wait()
        with state.day_lock(DAY):
            rule(state, DAY, lines)

    with ThreadPoolExecutor(len(batches)) as pool:
        list(pool.map(write, batches))
    every = [line for batch in batches for line in batch]
    rulings = rule(state, DAY, every)
    held = [where.key for (_, where), ruling in zip(every, rulings, strict=True) if ruling.verdict is Verdict.FIRST]
    assert held == [f"events/{DAY}/a"] * len(keys)
