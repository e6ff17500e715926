"""The landing sensor: real ticks on a real instance, and the runs it asks for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.build import JOB
from capillary_adobe.defs.microbatch import BATCH_TAG, LANE_TAG
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state.history_days import HistoryDays
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_road import sale


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are taken at once, and every tick may sweep."""
    monkeypatch.setenv("LANDING_SETTLE_SECONDS", "0")
    monkeypatch.setenv("LANDING_SWEEP_SECONDS", "1")


@dataclass(frozen=True)
class Tick:
    """What a tick asked for, or why it asked for nothing."""

    requests: list[dg.RunRequest]
    words: str


class Operator:
    """Ticks the sensor and runs what it asks for, as the daemon does."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.cursor: str | None = None

    def tick(self) -> Tick:
        definitions = self._installation.definitions
        with dg.build_sensor_context(
            instance=self._installation.instance,
            cursor=self.cursor,
            resources=self._installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            result = definitions.resolve_sensor_def("landing_sensor").evaluate_tick(context)
        self.cursor = result.cursor
        return Tick(list(result.run_requests or []), result.skip_message or "")

    def run(self, request: dg.RunRequest, *, raise_on_error: bool = True) -> bool:
        job = self._installation.definitions.resolve_job_def(JOB)
        result = job.execute_in_process(
            instance=self._installation.instance,
            partition_key=request.partition_key,
            run_config=request.run_config,
            tags=request.tags,
            raise_on_error=raise_on_error,
        )
        return result.success


@pytest.fixture
def operator(installation: Installation) -> Operator:
    return Operator(installation)


def today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def key(name: str, day: str | None = None, hour: str | None = None) -> str:
    return f"events/{day or today()}/{hour or time.strftime('%H', time.gmtime())}/{name}.jsonl"


def fresh(number: int) -> dict[str, object]:
    return sale(number, createdAt=time.time_ns() // 1_000_000)


def test_what_has_piled_up_goes_into_one_micro_batch(
    installation: Installation, operator: Operator, emulator: RunningEmulator
) -> None:
    for number in range(5):
        installation.land(key(f"{number}"), fresh(number + 1))
    (request,) = operator.tick().requests
    assert operator.run(request)
    assert summary(emulator.base_url)["accepted"] == 5
    assert operator.tick().requests == []


def test_nothing_is_asked_while_a_micro_batch_of_the_lane_runs(installation: Installation, operator: Operator) -> None:
    installation.land(key("1"), fresh(1))
    (request,) = operator.tick().requests
    job = installation.definitions.resolve_job_def(JOB)
    run = installation.instance.create_run_for_job(
        job, run_config=request.run_config, tags=request.tags, status=dg.DagsterRunStatus.STARTED
    )
    installation.land(key("2"), fresh(2))
    busy = operator.tick()
    assert busy.requests == []
    assert run.run_id[:8] in busy.words
    assert "1 objects wait" in busy.words
    assert request.tags[LANE_TAG] == "live"


def test_late_and_out_of_order_objects_are_found(
    installation: Installation, operator: Operator, emulator: RunningEmulator
) -> None:
    installation.land(key("5"), fresh(5))
    operator.run(*operator.tick().requests)
    # One sorts before the mark, one lies in a day that was done.
    installation.land(key("1"), fresh(1))
    installation.land("events/2026-11-02/10/1.jsonl", sale(2, createdAt=1790000000000))
    deadline = time.monotonic() + 30
    while summary(emulator.base_url)["accepted"] < 3 and time.monotonic() < deadline:
        for request in operator.tick().requests:
            assert operator.run(request)
    assert summary(emulator.base_url)["accepted"] == 3
    assert installation.balance("2026-11-02").balanced


def test_a_failed_micro_batch_is_asked_for_again_and_finishes(
    installation: Installation, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDING_RETRY_SECONDS", "0.001")
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", "wrong")
    installation.land(key("1"), fresh(1))
    (first,) = operator.tick().requests
    assert not operator.run(first, raise_on_error=False)
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", emulator.environment["ADOBE_CLIENT_SECRET"])
    deadline = time.monotonic() + 30
    again: list[dg.RunRequest] = []
    while not again and time.monotonic() < deadline:
        again = operator.tick().requests
    (second,) = again
    assert second.tags == first.tags
    assert second.run_key != first.run_key
    assert operator.run(second)
    assert summary(emulator.base_url)["accepted"] == 1
    assert operator.tick().requests == []


def test_micro_batches_are_capped(
    installation: Installation, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDING_BATCH_MAX_OBJECTS", "2")
    for number in range(3):
        installation.land(key(f"{number}"), fresh(number + 1))
    (request,) = operator.tick().requests
    operator.run(request)
    assert installation.balance(today()).raw == 2


def test_history_has_a_lane_of_its_own(
    installation: Installation, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTORY_LAUNCH", "micro_batches")
    installation.land(key("1"), fresh(1))
    installation.land("history/2026-11-02/export-1.jsonl", sale(2, createdAt=1790000000000))
    requests = operator.tick().requests
    # The queue lets live events go first.
    ranks = {request.tags[LANE_TAG]: int(request.tags.get("dagster/priority", 0)) for request in requests}
    assert ranks == {"live": 1, "history": 0}
    for request in requests:
        assert operator.run(request)
    assert summary(emulator.base_url)["accepted"] == 2


def test_history_waits_for_a_backfill_and_the_tick_tells_how_much_of_it(
    installation: Installation, operator: Operator, emulator: RunningEmulator
) -> None:
    assert "history: no day waits for a backfill" in operator.tick().words
    for number, day in enumerate(("2026-11-02", "2026-11-03"), start=1):
        installation.land(f"history/{day}/export-1.jsonl", sale(number, createdAt=1790000000000))
    waiting = operator.tick()
    assert waiting.requests == []
    assert "history: 2 days (2026-11-02 to 2026-11-03) wait for a backfill" in waiting.words
    days = HistoryDays(installation.state)
    days.imported([("2026-11-03", 1), ("2026-11-04", 5)])
    days.begin("2026-11-04", "a run")
    days.fail("2026-11-04", "AEP was down")
    assert "history: 3 days (2026-11-02 to 2026-11-04) wait for a backfill, 1 of them failed" in operator.tick().words
    installation.land(key("1"), fresh(3))
    (live,) = operator.tick().requests
    assert operator.run(live)
    assert live.tags[LANE_TAG] == "live"
    assert installation.run("2026-11-02").success
    days.begin("2026-11-04", "a run that was killed")
    assert "history: 2 days (2026-11-03 to 2026-11-04) wait for a backfill" in operator.tick().words
    days.begin("2026-11-04", "another run")
    days.finish("2026-11-04")
    assert "history: 1 day (2026-11-03) waits for a backfill" in operator.tick().words


def test_an_unreadable_landing_store_fails_the_tick_plainly(
    installation: Installation, operator: Operator, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        installation.landing_root.parent.mkdir(exist_ok=True)
        installation.landing_root.symlink_to(installation.landing_root)
    else:
        installation.landing_root.mkdir(mode=0)
    with pytest.raises(dg.Failure) as caught:
        operator.tick()
    assert "cannot be listed" in str(caught.value.description)


def test_late_objects_are_found_under_steady_traffic(
    installation: Installation, operator: Operator, emulator: RunningEmulator
) -> None:
    """With an object a second there was always something new behind the mark, and yesterday stayed unread for good."""
    installation.land("events/2026-11-02/10/1.jsonl", sale(1, createdAt=1790000000000))
    deadline = time.monotonic() + 30
    number = 1
    while not installation.balance("2026-11-02").raw and time.monotonic() < deadline:
        number += 1
        installation.land(key(f"{number:04d}"), fresh(number))
        for request in operator.tick().requests:
            assert operator.run(request)
    assert installation.balance("2026-11-02").delivery["accepted"] == 1
    assert installation.balance(today()).raw > 0


def test_a_whole_day_that_died_is_asked_for_again_as_a_whole(
    installation: Installation, operator: Operator, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes over the objects of the day's micro-batches, so nobody else would finish their work."""
    monkeypatch.setenv("LANDING_RETRY_SECONDS", "0.001")
    installation.land(key("1"), fresh(1))
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", "wrong")
    (batch,) = operator.tick().requests
    assert not operator.run(batch, raise_on_error=False)
    assert not installation.run(today(), raise_on_error=False).success
    installation.land(key("2"), fresh(2))
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", emulator.environment["ADOBE_CLIENT_SECRET"])
    deadline = time.monotonic() + 60
    kinds: list[bool] = []
    while summary(emulator.base_url)["accepted"] < 2 and time.monotonic() < deadline:
        for request in operator.tick().requests:
            kinds.append("day" in request.tags[BATCH_TAG].split("-")[0])
            assert operator.run(request)
    assert kinds[0] is True
    balance = installation.balance(today())
    assert (balance.balanced, balance.delivery["accepted"]) == (True, 2)
    assert operator.tick().requests == []
