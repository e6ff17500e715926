"""The batch lane: a day as a batch at AEP, taken up wherever it was left, and what AEP's verdict means for its entities."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests

from capillary_adobe.adobe import Delivery, DeliveryCounts, PermanentDeliveryError, TransientDeliveryError, Work
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import Receipts, SentBatches, State
from capillary_adobe_tests.adobe.sending import DAY, conformant, settings_for, status_of, tally, work
from capillary_adobe_tests.defs.installation import accepted, summary

FILES = {"batch_file_bytes": 10_000, "batch_wait_seconds": 20, "retry_budget_seconds": 3}


@dataclass
class Lane:
    """An emulator, the settings of its client, and a day's entities to send by batches."""

    emulator: RunningEmulator
    settings: AdobeSettings
    state: State
    batch: pa.RecordBatch

    def deliver(self, **more: Any) -> DeliveryCounts:
        """One run of the batch lane."""
        settings = self.settings.model_copy(update=more)
        return Delivery(settings, self.state).deliver(work(self.batch, lane="history", route="batch"), lambda _: None)

    def whole_day(self, columns: list[str]) -> list[pa.RecordBatch]:
        """All entities of the day."""
        return [self.batch.select(columns)]

    def batches(self) -> list[dict[str, Any]]:
        """Every batch that AEP knows."""
        token = requests.post(
            f"{self.emulator.base_url}/ims/token/v3",
            data={
                "grant_type": "client_credentials",
                "client_id": self.settings.client_id,
                "client_secret": self.settings.client_secret.get_secret_value(),
                "scope": self.settings.scopes,
            },
            timeout=10,
        ).json()["access_token"]
        headers = {
            "Authorization": f"Bearer {token}",
            "x-api-key": self.settings.client_id,
            "x-gw-ims-org-id": self.settings.org_id,
            "x-sandbox-name": self.settings.sandbox_name,
        }
        url = f"{self.emulator.base_url}/data/foundation/catalog/batches?limit=100"
        found = requests.get(url, headers=headers, timeout=10).json()
        return [{"id": id_, **batch} for id_, batch in found.items()]

    def arrived(self) -> list[str]:
        """Ids in AEP's lake, each as often as it is there."""
        return [entity["_id"] for entity in accepted(self.emulator.base_url)]


@pytest.fixture
def lane(tmp_path: Path, state: State) -> Iterator[Lane]:
    with RunningEmulator(tmp_path / "aep", behaviour=Behaviour(batch_seconds=0.05)) as emulator:
        yield Lane(emulator, settings_for(emulator.environment, **FILES), state, conformant(100))


def test_a_day_goes_as_one_batch_of_several_files(lane: Lane) -> None:
    counts = lane.deliver()
    assert counts.outcomes == {"accepted": 100}
    assert counts.requests == 3
    (batch,) = lane.batches()
    assert counts.batches == [batch["id"]]
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert sorted(lane.arrived()) == sorted(lane.batch.column("id").to_pylist())
    assert {row["aep_id"] for row in status_of(lane.state, lane.batch)} == {batch["id"]}
    assert lane.deliver().sent == 0
    assert len(lane.batches()) == 1


def test_the_lines_are_the_validated_texts(lane: Lane, tmp_path: Path) -> None:
    lane.deliver()
    lines = (tmp_path / "aep" / "accepted.jsonl").read_text("utf-8")
    assert all(text in lines for text in lane.batch.column("entity").to_pylist())


def test_rows_that_aep_refuses_are_rejected_by_cause_and_the_others_are_taken(lane: Lane) -> None:
    bad = lane.batch.column("id").to_pylist()[7:10]
    lane.emulator.demand({"not": {"properties": {"_id": {"enum": bad}}, "required": ["_id"]}})
    lane.deliver()
    found = {row["id"]: row for row in status_of(lane.state, lane.batch)}
    assert {id_ for id_, row in found.items() if row["status"] == "rejected"} == set(bad)
    assert {row["cause"] for id_, row in found.items() if id_ in bad} == {"aep_refused:1554"}
    assert all(row["detail"] for id_, row in found.items() if id_ in bad)
    assert tally(lane.state, lane.batch) == {"accepted": 97, "rejected": 3}
    assert lane.deliver().sent == 0


def test_a_batch_that_fails_for_rows_it_names_goes_again_without_them(lane: Lane) -> None:
    bad = lane.batch.column("id").to_pylist()[:20]
    lane.emulator.demand({"not": {"properties": {"_id": {"enum": bad}}, "required": ["_id"]}})
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 80, "rejected": 20}
    assert sorted(batch["status"] for batch in lane.batches()) == ["failed", "success"]
    assert len(lane.arrived()) == 80
    assert Receipts(lane.state).of_day(DAY).maybe_twice() == 0


@pytest.mark.parametrize("final", ["failed", "failure"])
def test_a_batch_that_fails_without_naming_a_row_is_kept_and_sent_again(lane: Lane, final: str) -> None:
    lane.emulator.faults.add(kind="batch_status", final=final)
    with pytest.raises(PermanentDeliveryError, match="names no row"):
        lane.deliver()
    assert tally(lane.state, lane.batch) == {"failed": 100}
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert len(lane.arrived()) == 100


@pytest.mark.parametrize("final", ["aborted", "abandoned"])
def test_a_batch_that_aep_dropped_is_sent_again(lane: Lane, final: str) -> None:
    lane.emulator.faults.add(kind="batch_status", final=final)
    lane.deliver()
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert len(lane.arrived()) == 100


def test_a_batch_that_is_stuck_is_told_and_its_entities_are_not_sent_twice(lane: Lane) -> None:
    lane.emulator.faults.add(kind="batch_status", final="stalled")
    for _ in range(2):
        with pytest.raises(PermanentDeliveryError, match=r"gave up on batch .*stalled"):
            lane.deliver()
    assert tally(lane.state, lane.batch) == {"pending": 100}
    assert "has not judged" in status_of(lane.state, lane.batch)[0]["detail"]
    assert len(lane.batches()) == 1


def test_a_verdict_that_takes_long_is_read_by_a_later_run(lane: Lane) -> None:
    counts = lane.deliver(batch_wait_seconds=0)
    assert (counts.waiting, counts.outcomes.total()) == (100, 0)
    assert tally(lane.state, lane.batch) == {"pending": 100}
    counts = lane.deliver()
    assert (counts.sent, tally(lane.state, lane.batch)) == (0, {"accepted": 100})
    assert SentBatches(lane.state).open() == []


def test_the_batches_of_a_day_are_limited_and_the_rest_stays_pending(lane: Lane) -> None:
    with pytest.raises(TransientDeliveryError, match="ADOBE_BATCHES_PER_DAY"):
        lane.deliver(batches_per_day=2, batch_max_files=1)
    # What the full batches hold has been judged nowhere yet, but it is at AEP.
    lane.deliver(batches_per_day=0, batch_max_files=1)
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert len(lane.arrived()) == 100
    assert len(lane.batches()) == 3


def test_one_missing_batch_right_stops_nothing_for_good(lane: Lane) -> None:
    lane.emulator.faults.add(kind="status", status=403, path="/data/foundation/import", times=None)
    with pytest.raises(PermanentDeliveryError, match="403"):
        lane.deliver()
    assert tally(lane.state, lane.batch) == {"pending": 100}
    lane.emulator.faults.clear()
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 100}


def test_files_larger_than_one_piece_go_in_parts(lane: Lane) -> None:
    lane.deliver(batch_put_bytes=4_000, batch_part_bytes=3_000)
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert sorted(lane.arrived()) == sorted(lane.batch.column("id").to_pylist())
    assert summary(lane.emulator.base_url)["duplicates"] == 0


def left_in_doubt(lane: Lane, part: pa.RecordBatch) -> None:
    """A run over a part of the day that ends while its first file is on its way."""
    lane.emulator.faults.add(kind="reset_after", path="/data/foundation/import", method="PUT", times=None)
    settings = lane.settings.model_copy(update={"retry_budget_seconds": 0.1})
    with pytest.raises(TransientDeliveryError):
        Delivery(settings, lane.state).deliver(work(part, lane="history", route="batch"), lambda _: None)
    lane.emulator.faults.clear()


def test_another_part_of_the_day_takes_up_what_the_first_left(lane: Lane) -> None:
    first, second = lane.batch.slice(0, 60), lane.batch.slice(60)
    left_in_doubt(lane, first)
    part = Work(DAY, lambda columns: [second.select(columns)], "history", "batch", None, lane.whole_day)
    Delivery(lane.settings, lane.state).deliver(part, lambda _: None)
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert sorted(lane.arrived()) == sorted(lane.batch.column("id").to_pylist())
    assert [batch["status"] for batch in lane.batches()].count("success") == len(lane.batches())


def test_a_file_in_doubt_whose_entities_have_changed_is_dropped_with_its_batch(lane: Lane) -> None:
    left_in_doubt(lane, lane.batch)
    # Meanwhile the mapping has sent one of them to quarantine.
    lane.batch = lane.batch.slice(1)
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 99}
    assert sorted(lane.arrived()) == sorted(lane.batch.column("id").to_pylist())
    assert sorted(batch["status"] for batch in lane.batches()) == ["aborted", "success"]


def test_a_batch_that_aep_does_not_know_is_sought_for_a_day_and_then_sent_again(lane: Lane) -> None:
    lane.deliver(batch_wait_seconds=0)
    lane.emulator.faults.add(kind="status", status=404, path="/data/foundation/catalog", times=None)
    with pytest.raises(PermanentDeliveryError, match="ADOBE_SANDBOX_NAME"):
        lane.deliver()
    assert tally(lane.state, lane.batch) == {"pending": 100}
    (open_,) = SentBatches(lane.state).open()
    SentBatches(lane.state).update(open_.external_id, completed_ms=open_.created_ms - 86_400_000)
    with pytest.raises(PermanentDeliveryError):
        lane.deliver()
    lane.emulator.faults.clear()
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 100}


def unnamed(lane: Lane, count: int = 1) -> None:
    """AEP calls the next batch a success, says that it left out rows, and gives no diagnostics."""
    bad = lane.batch.column("id").to_pylist()[:count]
    lane.emulator.demand({"not": {"properties": {"_id": {"enum": bad}}, "required": ["_id"]}})
    lane.emulator.faults.add(kind="status", status=404, path="/data/foundation/export", times=None)


def test_rows_that_aep_does_not_name_wait_for_its_diagnostics_and_nothing_goes_twice(lane: Lane) -> None:
    unnamed(lane)
    for _ in range(2):
        assert lane.deliver(batch_wait_seconds=2).waiting == 100
    assert tally(lane.state, lane.batch) == {"pending": 100}
    lane.emulator.faults.clear()
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 99, "rejected": 1}
    assert len(lane.arrived()) == 99


def test_rows_that_aep_never_names_are_left_to_a_person(lane: Lane) -> None:
    unnamed(lane)
    lane.deliver(batch_wait_seconds=2)
    (open_,) = SentBatches(lane.state).open()
    SentBatches(lane.state).update(open_.external_id, completed_ms=open_.created_ms - 7 * 3_600_000)
    with pytest.raises(PermanentDeliveryError, match=r"1 of its rows .* aep_refused:unnamed"):
        lane.deliver()
    found = status_of(lane.state, lane.batch)
    assert {(row["status"], row["cause"], row["doubtful"]) for row in found} == {("rejected", "aep_refused:unnamed", 1)}
    # No run sends them again by itself: most of them are at AEP.
    assert lane.deliver().sent == 0
    assert len(lane.arrived()) == 99


def test_a_batch_that_keeps_failing_without_a_name_goes_by_streaming(lane: Lane) -> None:
    lane.emulator.faults.add(kind="batch_status", final="failed", times=2)
    settings = lane.settings.model_copy(update={"batch_from_entities": 1})
    sent = work(lane.batch, lane="history")
    for _ in range(2):
        with pytest.raises(PermanentDeliveryError, match="names no row"):
            Delivery(settings, lane.state).deliver(sent, lambda _: None)
    counts = Delivery(settings, lane.state).deliver(sent, lambda _: None)
    assert (counts.batches, tally(lane.state, lane.batch)) == ([], {"accepted": 100})
    assert summary(lane.emulator.base_url)["requests"]["207"] >= 1


def test_streaming_on_purpose_gives_up_a_batch_that_is_not_complete(lane: Lane) -> None:
    left_in_doubt(lane, lane.batch)
    Delivery(lane.settings, lane.state).deliver(work(lane.batch, lane="history", route="streaming"), lambda _: None)
    assert tally(lane.state, lane.batch) == {"accepted": 100}
    assert sorted(lane.arrived()) == sorted(lane.batch.column("id").to_pylist())
    assert SentBatches(lane.state).open() == []


def test_a_batch_that_was_begun_and_holds_nothing_is_given_up(lane: Lane) -> None:
    lane.emulator.faults.add(kind="reset_before", path="/data/foundation/import", method="PUT", times=None)
    with pytest.raises(TransientDeliveryError):
        lane.deliver(retry_budget_seconds=0.1)
    lane.emulator.faults.clear()
    whole, lane.batch = lane.batch, lane.batch.slice(0, 0)
    lane.deliver()
    assert SentBatches(lane.state).open() == []
    lane.batch = whole
    lane.deliver()
    assert tally(lane.state, lane.batch) == {"accepted": 100}


def test_all_batches_of_a_run_share_the_time_that_it_waits(lane: Lane) -> None:
    lane.emulator.faults.add(kind="batch_status", final="queued", times=None)
    began = time.monotonic()
    counts = lane.deliver(batch_wait_seconds=2, batch_max_files=1)
    assert counts.waiting == 100
    assert time.monotonic() - began < 6
