"""Delivery of profiles: sent once, never an older one, after lost answers, kills, refusals and a newer record elsewhere."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from capillary_adobe.adobe import PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.adobe.profile_delivery import PROFILES, ProfileDelivery, foreseen
from capillary_adobe.adobe.profile_status import COLUMNS, profile_outcomes
from capillary_adobe.adobe.replay import open_by_cause, reopen_profiles
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.profiles.document import DELETED, Facts, Stamp
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import DaysToSettle, Receipts, State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.open_profiles import OpenProfiles, ProfileRow
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.scripted import refuse_all, take_all
from capillary_adobe_tests.adobe.sending import settings_for
from capillary_adobe_tests.adobe.sending_profiles import (
    DAY,
    OTHER_DAY,
    arrived,
    at_aep,
    deliver,
    due_records,
    fact,
    key,
    tally,
)
from capillary_adobe_tests.emulators.platform_client import eventually
from capillary_adobe_tests.forked import Forked

DELIVERING = "from capillary_adobe_tests.adobe.delivering_profiles import main; main()"
_MOMENTS = itertools.count(1_700_000_000_000_000)
NO_PATIENCE = {"retry_budget_seconds": 0, "connections": 1}


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    name = f"sqlite:///{tmp_path}/state.db"
    opened = State(name if request.param == "sqlite" else request.getfixturevalue("empty_postgres"))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[RunningEmulator]:
    with RunningEmulator(tmp_path / "aep", behaviour=Behaviour(validate=False)) as running:
        yield running


@pytest.fixture
def settings(emulator: RunningEmulator) -> AdobeSettings:
    return settings_for(emulator.environment, **NO_PATIENCE)


def killed(*_given: Any, **_more: Any) -> None:
    """Take the place of what a process was killed before."""
    raise KeyboardInterrupt


def changed(state: State, value: str, *numbers: int) -> None:
    """Something newer is known of these customers."""
    at_us = next(_MOMENTS)
    Customers(state).merge([fact(number, at_us, value) for number in numbers])


def revisions(state: State, day: str, value: str, *numbers: int) -> pa.RecordBatch:
    """The records of these customers after something has changed."""
    changed(state, value, *numbers)
    return due_records(state, [key(number) for number in numbers], day)


def test_a_record_is_sent_once_whatever_runs_again(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    rows = revisions(state, DAY, "first", 1, 2, 3)
    assert deliver(settings, state, rows).outcomes == {"accepted": 3}
    again = deliver(settings, state, rows)
    assert (again.sent, again.already_settled) == (0, 3)
    elsewhere = deliver(settings, state, rows, day=OTHER_DAY)
    assert (elsewhere.sent, elsewhere.outcomes) == (0, {"superseded": 3})
    assert len(arrived(emulator.base_url)) == 3
    assert (tally(state, rows), tally(state, rows, day=OTHER_DAY)) == ({"accepted": 3}, {"superseded": 3})
    assert not Customers(state).counts().due


def test_a_record_made_before_an_identity_was_shared_is_not_sent(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    def email(number: int, value: str | None) -> None:
        stamp = Stamp(next(_MOMENTS))
        Customers(state).merge([Facts(key(number), stamp, {"first_name": "one", "email": value})])

    for number, value in ((1, "a@mail.example.org"), (2, "b@mail.example.org"), (3, "c@mail.example.org")):
        email(number, value)
    rows = due_records(state, [key(number) for number in (1, 2, 3)])
    email(4, "a@mail.example.org")
    email(2, None)
    changed(state, "other", 3)
    assert foreseen(state, DAY, lambda columns: [rows.select(columns)]) == (3, 1, 2)
    assert deliver(settings, state, rows).outcomes == {"superseded": 2, "accepted": 1}
    assert arrived(emulator.base_url) == [(3, 1)]
    assert tally(state, rows) == {"superseded": 2, "accepted": 1}
    again = due_records(state)
    assert deliver(settings, state, again).outcomes == {"accepted": 4}


def test_an_older_record_never_follows_a_newer_one(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    old = revisions(state, OTHER_DAY, "old", 1, 2)
    new = revisions(state, DAY, "new", 1)
    assert deliver(settings, state, new).outcomes == {"accepted": 1}
    assert foreseen(state, OTHER_DAY, lambda columns: [old.select(columns)]) == (2, 1, 1)
    late = deliver(settings, state, old, day=OTHER_DAY, lane="history")
    assert late.outcomes == {"superseded": 1, "accepted": 1}
    assert at_aep(emulator.base_url) == {1: "new", 2: "old"}
    assert tally(state, old, day=OTHER_DAY) == {"superseded": 1, "accepted": 1}


def test_of_several_records_of_a_customer_a_run_sends_the_newest_alone(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    batches = [revisions(state, DAY, value, 1) for value in ("a", "b", "c")]
    random.shuffle(batches)
    assert deliver(settings, state, *batches).outcomes == {"superseded": 2, "accepted": 1}
    assert at_aep(emulator.base_url) == {1: "c"}
    assert len(arrived(emulator.base_url)) == 1


def test_a_newer_record_waits_for_the_spacing_and_the_same_one_does_not(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    old = revisions(state, DAY, "old", 1)
    emulator.faults.add(kind="reset_after", path="/collection/")
    with pytest.raises(TransientDeliveryError):
        deliver(settings, state, old, spacing_seconds=60)
    new = revisions(state, OTHER_DAY, "new", 1)
    assert deliver(settings, state, new, day=OTHER_DAY, spacing_seconds=60).outcomes == {"pending": 1}
    assert deliver(settings, state, old, spacing_seconds=60).outcomes == {"accepted": 1}
    assert deliver(settings, state, new, day=OTHER_DAY, spacing_seconds=60).outcomes == {"pending": 1}
    assert deliver(settings, state, new, day=OTHER_DAY).outcomes == {"accepted": 1}
    assert arrived(emulator.base_url) == [(1, 1), (1, 1), (1, 2)]


def test_after_a_lost_answer_a_newer_record_follows_and_never_an_older_one(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    first = revisions(state, OTHER_DAY, "first", 1)
    second = revisions(state, DAY, "second", 1)
    emulator.faults.add(kind="reset_after", path="/collection/")
    with pytest.raises(TransientDeliveryError):
        deliver(settings, state, second)
    assert tally(state, second) == {"pending": 1}
    assert deliver(settings, state, first, day=OTHER_DAY).outcomes == {"superseded": 1}
    third = revisions(state, OTHER_DAY, "third", 1)
    assert deliver(settings, state, third, day=OTHER_DAY).outcomes == {"accepted": 1}
    assert deliver(settings, state, second).outcomes == {"superseded": 1}
    assert arrived(emulator.base_url) == [(1, 2), (1, 3)]


def test_killed_before_the_outcome_is_noted_with_the_customer_nothing_goes_twice_and_nothing_older(
    state: State, settings: AdobeSettings, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = revisions(state, OTHER_DAY, "first", 1)
    second = revisions(state, DAY, "second", 1, 2)

    with monkeypatch.context() as patch:
        patch.setattr(Customers, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(settings, state, second)
    # The customers do not know it yet, so another day makes the same record, and has an older one.
    same = due_records(state, [key(1), key(2)], OTHER_DAY)
    assert same.num_rows == 2
    assert deliver(settings, state, first, same, day=OTHER_DAY).outcomes == {"superseded": 3}
    assert not Customers(state).counts().due
    assert sorted(arrived(emulator.base_url)) == [(1, 2), (2, 1)]


def test_the_run_of_the_day_itself_settles_what_a_killed_one_left(
    state: State, settings: AdobeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = revisions(state, DAY, "first", 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Customers, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(settings, state, rows)
    assert Customers(state).counts().due == 2
    assert deliver(settings, state, rows).sent == 0
    assert not Customers(state).counts().due
    assert not OpenProfiles(state).of_day(DAY)


def test_nothing_of_a_deleted_or_unknown_customer_leaves(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    rows = revisions(state, DAY, "first", 1, 2)
    Customers(state).merge([Facts(key(1), Stamp(1), {DELETED: True})])
    stranger = due_records(state, [key(2)], DAY).to_pylist()[0] | {"customer_id": 9, "id": "0" * 64}
    unknown = pa.RecordBatch.from_pylist([stranger], schema=rows.schema)
    assert deliver(settings, state, rows, unknown).outcomes == {"superseded": 2, "accepted": 1}
    assert set(at_aep(emulator.base_url)) == {2}


def test_a_slice_that_is_not_run_again_learns_that_its_record_is_superseded(
    state: State, settings: AdobeSettings, emulator: RunningEmulator
) -> None:
    old = revisions(state, OTHER_DAY, "old", 1, 2)
    emulator.faults.add(kind="reset_before", path="/collection/")
    with pytest.raises(TransientDeliveryError):
        deliver(settings, state, old, day=OTHER_DAY)
    assert tally(state, old, day=OTHER_DAY) == {"pending": 2}
    assert not DaysToSettle(state).all()
    assert deliver(settings, state, revisions(state, DAY, "new", 1)).outcomes == {"accepted": 1}
    assert list(DaysToSettle(state).all()) == [OTHER_DAY]
    assert tally(state, old, day=OTHER_DAY) == {"superseded": 1, "pending": 1}


def test_a_record_that_is_settled_while_outcomes_are_written_marks_the_day(
    state: State, settings: AdobeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = revisions(state, OTHER_DAY, "old", 1)
    new = revisions(state, DAY, "new", 1)
    wait = OpenProfiles.wait

    def waits(register: OpenProfiles, day: str, rows: list[ProfileRow]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(OpenProfiles, "wait", wait)
            deliver(settings, state, new)
        wait(register, day, rows)

    with monkeypatch.context() as patch:
        patch.setattr(OpenProfiles, "wait", waits)
        assert tally(state, old, day=OTHER_DAY) == {"superseded": 1}
    assert not DaysToSettle(state).all()


def test_what_is_gone_from_the_table_is_no_longer_waited_for(state: State, settings: AdobeSettings) -> None:
    old = revisions(state, OTHER_DAY, "old", 1, 2)
    told = profile_outcomes(state, OTHER_DAY, [old.select(COLUMNS)], left := [])
    assert sum(batch.num_rows for batch in told) == len(left) == 2
    OpenProfiles(state).keep_only(OTHER_DAY, [row for row in left if row.key == key(2)])
    deliver(settings, state, revisions(state, DAY, "new", 1))
    assert not DaysToSettle(state).all()
    deliver(settings, state, revisions(state, DAY, "new", 2))
    assert list(DaysToSettle(state).all()) == [OTHER_DAY]


def test_a_refused_record_is_settled_and_a_replay_asks_for_a_newer_one(state: State, scripted: StartInlet) -> None:
    inlet = scripted(take_all, refuse_all())
    settings = settings_for(inlet.environment, **NO_PATIENCE)
    deliver(settings, state, revisions(state, OTHER_DAY, "good", 1), day=OTHER_DAY)
    rows = revisions(state, DAY, "bad", 2, 3)
    assert deliver(settings, state, rows).outcomes == {"rejected": 2}
    assert tally(state, rows) == {"rejected": 2}
    assert not Customers(state).counts().due
    ((cause, count),) = open_by_cause(state, DAY).items()
    assert count == 2
    assert reopen_profiles(state, DAY, cause, lambda columns: [rows.select(columns)]) == 2
    assert tally(state, rows) == {"superseded": 2}
    assert not open_by_cause(state, DAY)
    assert reopen_profiles(state, DAY, cause, lambda columns: [rows.select(columns)]) == 0
    anew = due_records(state, None, DAY)
    assert anew.num_rows == 2
    assert deliver(settings, state, anew).outcomes == {"accepted": 2}


def test_where_every_record_is_refused_the_settings_are_blamed_and_all_stay_due(
    state: State, scripted: StartInlet
) -> None:
    inlet = scripted(otherwise=refuse_all())
    settings = settings_for(inlet.environment, **NO_PATIENCE)
    rows = revisions(state, DAY, "value", *range(1, 6))
    with pytest.raises(PermanentDeliveryError, match="ADOBE_PROFILES_DATASET_ID"):
        deliver(settings, state, rows)
    assert tally(state, rows) == {"failed": 5}
    assert Customers(state).counts().due == 5


def test_without_a_dataset_of_profiles_nothing_is_sent(state: State, scripted: StartInlet) -> None:
    inlet = scripted()
    settings = settings_for(inlet.environment, **NO_PATIENCE).model_copy(update={"profiles_flow_id": None})
    rows = revisions(state, DAY, "value", 1)
    assert deliver(settings, state, rows).sent == 0
    assert not inlet.asked
    assert tally(state, rows) == {"pending": 1}


def test_history_lets_live_come_between_its_chunks(state: State, scripted: StartInlet) -> None:
    inlet = scripted()
    more = {"max_records_per_second": 400, "retry_budget_seconds": 30}
    settings = settings_for(inlet.environment, **more)
    past = revisions(state, OTHER_DAY, "past", *range(1, 1001))
    now = revisions(state, DAY, "now", 2001)
    begun = threading.Event()

    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        begun.set()
        yield past.select(columns)

    def history() -> int:
        sent = ProfileDelivery(settings, state, spacing_seconds=0)
        return sent.deliver(OTHER_DAY, read, "history", lambda _: None).sent

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(history)
        assert begun.wait(10)
        assert deliver(settings, state, now).outcomes == {"accepted": 1}
        assert not running.done()
        assert running.result() == 1000
    assert tally(state, past, day=OTHER_DAY) == {"accepted": 1000}


def test_killed_at_any_moment_every_customer_gets_the_newest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    state = State(url)
    numbers = range(1, 1201)
    changed(state, "old", *numbers)
    with RunningEmulator(tmp_path / "aep", behaviour=Behaviour(validate=False, latency_seconds=0.05)) as emulator:
        more = {"ADOBE_CONNECTIONS": "2", "ADOBE_MAX_REQUEST_BYTES": "20000", "ADOBE_MAX_RECORDS_PER_SECOND": "0"}
        environment = {**os.environ, **emulator.environment, **more}
        for day in (DAY, OTHER_DAY):
            moment = len(arrived(emulator.base_url)) + random.randrange(100, 500)  # noqa: S311
            with Forked(DELIVERING, url, day, environment=environment) as process:

                def reached(process: Forked = process, moment: int = moment) -> bool:
                    assert process.poll() is None, "delivery ended before it could be killed"
                    return len(arrived(emulator.base_url)) >= moment

                eventually(reached, "the moment of the kill")
                process.kill()
            changed(state, "new", *random.sample(numbers, 600))
        changed(state, "newest", *numbers)
        with Forked(DELIVERING, url, DAY, environment=environment) as last:
            assert last.wait(60) == 0
        sent = arrived(emulator.base_url)
        assert at_aep(emulator.base_url) == dict.fromkeys(numbers, "newest")
    for number in numbers:
        mine = [revision for customer, revision in sent if customer == number]
        assert mine == sorted(mine)
    assert not Customers(state).counts().due
    for day in (DAY, OTHER_DAY):
        assert Receipts(state).of_day(day, PROFILES).accepted_twice() == 0
    state.engine.dispose()


def test_a_refusal_of_an_earlier_chunk_is_judged_by_what_follows(state: State, scripted: StartInlet) -> None:
    inlet = scripted(refuse_all(), take_all, take_all)
    settings = settings_for(inlet.environment, connections=1, max_records_per_second=400)
    rows = revisions(state, OTHER_DAY, "past", *range(1, 251))
    counts = deliver(settings, state, rows, day=OTHER_DAY, lane="history")
    assert counts.requests == 3
    assert tally(state, rows, day=OTHER_DAY) == {"rejected": 100, "accepted": 150}
    assert not Customers(state).counts().due
