"""The numbers that the UI plots: what an operator compares from run to run, under the same names in every run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.quotas import batches_of_day
from capillary_adobe.state import SentBatches
from capillary_adobe.state.batches import SentBatch
from capillary_adobe_tests.defs.installation import Installation
from capillary_adobe_tests.defs.test_road import DAY, KEY, sale

PLOTTED = {
    "raw_events": {
        "landed_lines",
        "landed_bytes",
        "duplicates",
        "quarantined",
        "ignored",
        "rows_per_second",
        "seconds",
    },
    "customers": {"events", "documents_changed", "events_per_second", "seconds"},
    "enriched_events": {"missing_values", "waiting_for_look_ups", "rows_per_second", "seconds"},
    "xdm_events": {"entity_bytes", "quarantined", "unreadable", "rows_per_second", "seconds"},
    "xdm_profiles": {"made", "profile_bytes", "quarantined", "unreadable", "rows_per_second", "seconds"},
    "ingestion_status": {
        *("sent", "accepted", "rejected", "failed", "sent_bytes", "sent_per_second", "requests", "seconds"),
        *("day_landed_lines", "day_duplicates", "day_quarantined", "day_ignored", "day_accepted", "day_rejected"),
        *("day_open", "day_open_profiles", "day_difference", "aep_batches_used", "aep_batches_quota_used"),
        *("latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds"),
        *("profile_latency_p50_seconds", "profile_latency_p95_seconds", "profile_latency_p99_seconds"),
    },
    "quarantine": {"lines", "entities", "profiles", "refused_by_aep", "code_not_json"},
}
"""Names that docs and operators rely on; a run may tell more."""


def numbers(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, float]]:
    """By asset what the run told that the UI can plot: whole and broken numbers, nothing else."""
    found: dict[str, dict[str, float]] = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            made = event.step_materialization_data.materialization
            plain: dict[str, Any] = {name: value.value for name, value in made.metadata.items()}
            found[made.asset_key.to_user_string()] = {
                name: value for name, value in plain.items() if type(value) in (int, float)
            }
    return found


def test_every_run_of_a_day_tells_the_same_numbers(installation: Installation, emulator: RunningEmulator) -> None:
    installation.store.write(KEY, b"no JSON\n")
    installation.land(f"events/{DAY}/10/2.jsonl", sale(1), sale(2), sale(2))
    first, second = numbers(installation.run(DAY)), numbers(installation.run(DAY))
    for asset, names in PLOTTED.items():
        assert names <= set(first[asset]), (asset, names - set(first[asset]))
        assert set(first[asset]) == set(second[asset]), asset
    raw, status = first["raw_events"], first["ingestion_status"]
    assert (raw["landed_lines"], raw["duplicates"], raw["quarantined"]) == (4, 1, 1)
    assert raw["landed_bytes"] == sum(found.size for found in installation.store.list("live", DAY))
    assert (status["day_landed_lines"], status["day_duplicates"], status["day_quarantined"]) == (4, 1, 1)
    assert (status["day_accepted"], status["day_open"], status["day_difference"]) == (2, 0, 0)
    # What the second run did, and what became of the day.
    assert (status["accepted"], second["ingestion_status"]["accepted"]) == (2, 0)
    assert second["ingestion_status"]["day_accepted"] == 2
    assert first["quarantine"]["code_not_json"] == 1


def test_the_quota_of_batches_is_shown_as_the_part_that_is_used(
    installation: Installation, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_BATCHES_PER_DAY", "40")
    midnight_ms = 1_795_564_800_000
    assert batches_of_day(installation.state, midnight_ms) == (0, 40)
    for number in range(10):
        SentBatches(installation.state).begin(SentBatch(f"batch-{number}", DAY, "events", midnight_ms + number))
    found = batches_of_day(installation.state, midnight_ms + 1000)
    assert found is not None
    assert (found.used, found.share) == (10, 0.25)
    # A new UTC day has all of it again, and without a limit there is nothing to tell.
    assert batches_of_day(installation.state, midnight_ms + 86_400_000) == (0, 40)
    monkeypatch.setenv("ADOBE_BATCHES_PER_DAY", "0")
    assert batches_of_day(installation.state, midnight_ms) is None
