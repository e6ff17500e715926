"""The look at the switch of delivery."""

from __future__ import annotations

from pathlib import Path

from capillary_adobe.state import State
from capillary_adobe.state.delivery_pause import DeliveryPause
from capillary_adobe_tests.doctor.conftest import Examine, told

URL = "sqlite:///state.db"


def test_a_pause_is_told_with_the_way_out(look: Examine, place: Path) -> None:
    assert told(look(offline=True, STATE_URL=URL), "delivery").startswith("ok: Delivery is not paused.")
    assert not (place / "state.db").exists()
    state = State(URL)
    DeliveryPause(state).pause("a new sandbox")
    found = told(look(offline=True, STATE_URL=URL), "delivery")
    assert found.startswith("warn: Delivery is paused since")
    assert "(a new sandbox); 0 micro-batches wait." in found
    assert "capillary-adobe delivery resume" in found
    DeliveryPause(state).resume()
    assert told(look(offline=True, STATE_URL=URL), "delivery").startswith("ok")
    state.engine.dispose()
