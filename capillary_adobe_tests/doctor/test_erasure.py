"""The look at customers who wait to be erased."""

from __future__ import annotations

import time
from pathlib import Path

from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Erasures, State
from capillary_adobe_tests.doctor.conftest import Examine, told

URL = "sqlite:///state.db"


def test_who_waits_for_too_long_is_told(look: Examine, place: Path) -> None:
    assert told(look(offline=True, STATE_URL=URL), "erasure").startswith("ok: Nobody is known to be deleted")
    assert not (place / "state.db").exists()
    state = State(URL)
    erasures, now = Erasures(state), int(time.time() * 1000)
    erasures.note([CustomerKey(7, 1)], now)
    assert "1 of them are not erased yet." in told(look(offline=True, STATE_URL=URL), "erasure")
    erasures.note([CustomerKey(7, 2)], now - 60 * 3_600_000)
    found = told(look(offline=True, STATE_URL=URL), "erasure")
    assert found.startswith("warn: 2 customers were deleted at Capillary")
    assert "the first for 60 hours" in found
    assert told(look(offline=True, STATE_URL=URL, ERASURE_KEEP_FILES_HOURS="24"), "erasure").startswith("ok")
    state.engine.dispose()
