"""Failed calls are counted by day, service and class, by several programs at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from capillary_adobe.state import State
from capillary_adobe.state.failed_calls import CallFailure, FailedCalls, failed_calls_since

EVENING = datetime(2026, 11, 19, 23, 59, 59, tzinfo=UTC).timestamp()


def test_counts_grow_by_day_service_and_class(state: State) -> None:
    now = [EVENING]
    inlet = FailedCalls(state, "inlet", lambda: now[0])
    inlet.note(CallFailure.NETWORK)
    inlet.note(None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(inlet.note, [CallFailure.LIMITS] * 20))
    now[0] += 2
    inlet.note(CallFailure.LIMITS)
    FailedCalls(state, "capillary_api", lambda: now[0]).note(CallFailure.AUTHENTICATION)

    found = failed_calls_since(state, "2026-11-19")
    assert [one[:4] for one in found] == [
        ("2026-11-19", "inlet", CallFailure.LIMITS, 20),
        ("2026-11-19", "inlet", CallFailure.NETWORK, 1),
        ("2026-11-20", "capillary_api", CallFailure.AUTHENTICATION, 1),
        ("2026-11-20", "inlet", CallFailure.LIMITS, 1),
    ]
    assert found[-1].last_ms == int(now[0] * 1000)
    assert failed_calls_since(state, "2026-11-20") == found[2:]
