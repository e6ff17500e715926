"""Our own batches, judged by AEP after their run has ended: nothing stays behind, whoever finds the verdict."""

from __future__ import annotations

import pytest

from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import MicroBatches, SentBatches
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, failure_of, summary
from capillary_adobe_tests.defs.test_road import DAY, KEY, sale
from capillary_adobe_tests.defs.verdicts import check_of, numbers, read_verdict, tick
from capillary_adobe_tests.emulators.platform_client import eventually


def batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delivery by batches, and no run waits for the verdict."""
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    monkeypatch.setenv("ADOBE_BATCH_FROM_ENTITIES", "1")


def history(installation: Installation, number: int) -> MicroBatchConfig:
    """A landed export of one sale, as a micro-batch of its own."""
    key = installation.land(f"history/{DAY}/{number}.jsonl", sale(number))
    before = f"history/{DAY}/{number - 1}.jsonl" if number > 1 else ""
    return MicroBatchConfig(batch_id=f"history-{DAY}-{number}", after_key=before, up_to_key=key)


def decided(installation: Installation) -> None:
    """Wait until the sensor has news."""
    eventually(lambda: isinstance(tick(installation), list))


def test_a_batch_that_aep_judges_later_is_settled_without_a_run_of_the_day(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    monkeypatch.setenv("ADOBE_BATCH_FROM_ENTITIES", "1")
    installation.land(KEY, *(sale(number) for number in range(1, 6)))
    found = numbers(installation.run(DAY), INGESTION_STATUS.name)
    assert (found["sent"], found["waiting_at_aep"], found["day_open"]) == (5, 5, 5)
    eventually(lambda: isinstance(tick(installation), list))
    read_verdict(installation)
    assert installation.balance(DAY).delivery["accepted"] == 5
    assert check_of(installation, "everything_is_delivered").passed
    assert SentBatches(installation.state).open() == []
    assert summary(emulator.base_url)["accepted"] == 5


def test_a_batch_that_is_stuck_is_news_once(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "0")
    monkeypatch.setenv("ADOBE_BATCH_FROM_ENTITIES", "1")
    emulator.faults.add(kind="batch_status", final="stalled")
    installation.land(KEY, sale(1))
    installation.run(DAY)
    eventually(lambda: isinstance(tick(installation), list))
    assert "gave up on batch" in failure_of(read_verdict(installation, raise_on_error=False))
    assert tick(installation) == "AEP has decided nothing new"
    assert installation.balance(DAY).delivery["pending"] == 1


def test_what_fails_with_its_batch_after_the_run_is_sent_by_the_day_as_a_whole(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_by_batch(monkeypatch)
    emulator.faults.add(kind="batch_status", final="abandoned")
    installation.run(DAY, batch=history(installation, 1))
    register = MicroBatches(installation.state)
    assert register.open_days() == set()
    decided(installation)
    read_verdict(installation)
    assert installation.balance(DAY).delivery["failed"] == 1
    assert register.open_days() == {DAY}
    monkeypatch.setenv("ADOBE_BATCH_WAIT_SECONDS", "20")
    installation.run(DAY)
    assert installation.balance(DAY).delivery["accepted"] == 1
    assert register.open_days() == set()


def test_a_micro_batch_that_finds_anothers_batch_judged_settles_the_day(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_by_batch(monkeypatch)
    installation.run(DAY, batch=history(installation, 1))
    decided(installation)
    installation.run(DAY, batch=history(installation, 2))
    rows = installation.rows(INGESTION_STATUS, DAY)
    assert sorted(row["status"] for row in rows if row["kind"] == "events") == ["accepted", "pending"]
    assert installation.balance(DAY).balanced
