"""Micro-batches: any cut of a day, in any order, gives what one run over the whole day gives."""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.tables import ENRICHED_EVENTS, QUARANTINE, RAW_EVENTS, SET_ASIDE, XDM_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events, summary
from capillary_adobe_tests.examples import examples

DAY = "2026-11-19"
TABLES = (RAW_EVENTS, ENRICHED_EVENTS, XDM_EVENTS, QUARANTINE)


def event(number: int, variant: int) -> dict[str, Any]:
    """Event `number`; its variants are one event with other contents, as a repeat after a change of set-up is."""
    # Without an eventId the content names the event, so such an event has no variants.
    named = {"eventId": f"event-{number}"} if number % 3 else {}
    variant = variant if named else 0
    return {
        **named,
        "eventName": "pointsIssued",
        "orgId": 7,
        "createdAt": 1795000000000 + number,
        "data": {
            "customerIdentifiers": {"customerId": 100 + number},
            "loyaltyProgramId": 5,
            "totalPointsIssued": number,
            "regularPointsIssued": number,
            "programCurrentPoints": variant,
        },
    }


lines = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(0, 2)).map(lambda pair: json.dumps(event(*pair)).encode()),
    st.sampled_from([b'{"eventName": "cut', b"[]", b'{"no": "event"}']),
    st.just(
        json.dumps(
            {"eventName": "groupCreated", "orgId": 7, "createdAt": 1795000000000, "data": {"groupId": 1}}
        ).encode()
    ),
)
objects = st.lists(st.lists(lines, min_size=1, max_size=4), min_size=2, max_size=4)


@st.composite
def cut_days(draw: st.DrawFn) -> tuple[list[list[bytes]], list[list[int]]]:
    """Objects of a day, and key ranges of them run in any order, some of them more than once."""
    day = draw(objects)
    cuts = sorted(draw(st.sets(st.integers(1, len(day) - 1), min_size=1)))
    ranges = [list(range(a, b)) for a, b in pairwise([0, *cuts, len(day)])]
    again = draw(st.lists(st.sampled_from(ranges), max_size=1))
    return day, [*draw(st.permutations(ranges)), *again]


# The history of loyalty once kept what both variants of event 2 said, and the order of the runs decided which was told.
VARIANTS_OF_ONE = (
    [[json.dumps(event(2, 0)).encode()], [json.dumps(event(2, 1)).encode()], [json.dumps(event(1, 0)).encode()]],
    [[1], [0], [2]],
)


@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut_day=cut_days())
@example(cut_day=VARIANTS_OF_ONE)
def test_any_cut_and_order_gives_the_tables_of_the_whole_day(
    emulator: RunningEmulator, cut_day: tuple[list[list[bytes]], list[list[int]]]
) -> None:
    day, batches = cut_day
    with tempfile.TemporaryDirectory() as folder:
        landing = Path(folder) / "landing"
        whole = Installation(Path(folder) / "whole", landing)
        cut = Installation(Path(folder) / "cut", landing)
        for number, content in enumerate(day):
            whole.store.write(f"events/{DAY}/10/{number}.jsonl", b"\n".join(content))
        whole.run(DAY, until="xdm_events")
        for numbers in batches:
            config = MicroBatchConfig(
                batch_id=f"batch-{numbers[0]}",
                after_key=f"events/{DAY}/10/{numbers[0] - 1}.jsonl~" if numbers[0] else "",
                up_to_key=f"events/{DAY}/10/{numbers[-1]}.jsonl",
            )
            cut.run(DAY, batch=config, until="xdm_events")
        for table in TABLES:
            assert cut.rows(table, DAY, without=("batch_id",)) == whole.rows(table, DAY, without=("batch_id",))
        aside = ("batch_id", "replaced")
        assert cut.rows(SET_ASIDE, DAY, without=aside) == whole.rows(SET_ASIDE, DAY, without=aside)
        differences = cut.balance(DAY).differences
        assert differences == {} or set(differences) == {"outcomes"}


def test_a_late_object_that_sorts_first_takes_over_and_nothing_is_sent_twice(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(f"events/{DAY}/10/2.jsonl", event(1, variant=2), event(2, variant=2))
    later = MicroBatchConfig(batch_id="later", after_key="", up_to_key=f"events/{DAY}/10/2.jsonl")
    installation.run(DAY, batch=later)
    installation.land(f"events/{DAY}/10/1.jsonl", event(1, variant=1))
    earlier = MicroBatchConfig(batch_id="earlier", after_key="", up_to_key=f"events/{DAY}/10/1.jsonl")
    for _ in range(2):
        installation.run(DAY, batch=earlier)
        rows = installation.rows(RAW_EVENTS, DAY)
        held = {row["event_id"]: (row["object"], row["batch_id"]) for row in rows}
        assert held == {
            "event-1": (f"events/{DAY}/10/1.jsonl", "earlier"),
            "event-2": (f"events/{DAY}/10/2.jsonl", "later"),
        }
        balance = installation.balance(DAY)
        assert (balance.landed_lines, balance.raw, balance.duplicates, balance.balanced) == (3, 2, 1, True)
        assert summary(emulator.base_url)["accepted"] == 2


def test_a_micro_batch_run_twice_changes_nothing(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(f"events/{DAY}/10/1.jsonl", event(1, 0), event(1, 1), event(2, 0))
    batch = MicroBatchConfig(batch_id="only", after_key="", up_to_key=f"events/{DAY}/10/1.jsonl")
    installation.run(DAY, batch=batch)
    before = [installation.rows(table, DAY) for table in (*TABLES, SET_ASIDE)]
    installation.run(DAY, batch=batch)
    assert [installation.rows(table, DAY) for table in (*TABLES, SET_ASIDE)] == before
    assert len(events(emulator.base_url)) == 2


def test_a_whole_day_after_its_micro_batches_replaces_their_rows(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(f"events/{DAY}/10/1.jsonl", event(1, 0))
    installation.land(f"events/{DAY}/10/2.jsonl", event(2, 0), event(1, 1))
    installation.run(DAY, batch=MicroBatchConfig(batch_id="one", up_to_key=f"events/{DAY}/10/1.jsonl"))
    installation.run(DAY)
    assert {row["batch_id"] for row in installation.rows(RAW_EVENTS, DAY)} == {"day"}
    balance = installation.balance(DAY)
    assert (balance.raw, balance.duplicates, balance.balanced) == (2, 1, True)
    assert summary(emulator.base_url)["accepted"] == 2


def test_a_batch_id_that_is_none_is_refused_plainly(installation: Installation, emulator: RunningEmulator) -> None:
    batch = MicroBatchConfig(batch_id="x' OR '1'='1", up_to_key=f"events/{DAY}/10/1.jsonl")
    result = installation.run(DAY, batch=batch, raise_on_error=False)
    assert not result.success
    assert installation.rows(RAW_EVENTS, DAY) == []


def test_a_line_that_took_a_place_and_gave_it_away_leaves_the_holder_alone(
    installation: Installation, emulator: RunningEmulator
) -> None:
    batches = {}
    for number in (3, 2, 1):
        installation.land(f"events/{DAY}/10/{number}.jsonl", event(1, variant=number))
        batches[number] = MicroBatchConfig(
            batch_id=f"b{number}",
            after_key=f"events/{DAY}/10/{number - 1}.jsonl~",
            up_to_key=f"events/{DAY}/10/{number}.jsonl",
        )
        installation.run(DAY, batch=batches[number], until="xdm_events")
    for number in (2, 3, 1):
        installation.run(DAY, batch=batches[number])
        (row,) = installation.rows(RAW_EVENTS, DAY)
        assert row["batch_id"] == "b1"
    balance = installation.balance(DAY)
    assert (balance.landed_lines, balance.raw, balance.duplicates, balance.balanced) == (3, 1, 2, True)
    assert summary(emulator.base_url)["accepted"] == 1


def test_many_micro_batches_leave_few_files(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        installation.land(f"events/{DAY}/10/{number}.jsonl", event(number + 1, 0))
    monkeypatch.setattr("capillary_adobe.lake.FILES_A_DAY", 2)
    for number in range(4):
        key = f"events/{DAY}/10/{number}.jsonl"
        installation.run(DAY, batch=MicroBatchConfig(batch_id=f"b{number}", after_key=key[:-7], up_to_key=key))
        files, _ = installation.lake.files(RAW_EVENTS, Slice(DAY))
        assert files <= 2
    assert {row["batch_id"] for row in installation.rows(RAW_EVENTS, DAY)} == {f"b{number}" for number in range(4)}
    assert installation.balance(DAY).balanced
    assert summary(emulator.base_url)["accepted"] == 4
