"""The quota, failures and an outage of Capillary, small and fast: live events do not wait, and all get their answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.lookups import measure, options_of

SMALL = (
    "--events 150 --customers 60 --seconds 150 --per-batch 25 --calls 12 --outage 90 --speed 60 --hold 300 --inline 0.2 "
    "--errors 0.3"
)


@pytest.mark.parametrize("policy", ["hold", "deliver"])
def test_everybody_is_looked_up_within_the_quota_and_live_does_not_wait(tmp_path: Path, policy: str) -> None:
    options = options_of([*SMALL.split(), "--policy", policy])
    told = measure(tmp_path, options)
    assert told["most_calls_in_60_seconds"] <= told["quota_calls_a_minute"] == 720
    assert told["answered_in_line"] + told["answered_by_runs"] >= 60
    assert told["failed_calls"] > 0
    assert told["given_up"] == 0
    if policy == "hold":
        assert (told["enriched"], told["without"]) == (150, 0)
        assert told["micro_batches_asked_again"] > 0
    else:
        assert told["micro_batches_asked_again"] == 0
    # What the look-ups may cost a micro-batch, and room for a machine that is busy.
    waited = told["stage_with_look_ups_seconds"]["median"] - told["stage_without_look_ups_seconds"]["median"]
    assert waited < options.inline + 1
