"""Delivery under kill -9: nothing is lost, nothing with a receipt goes again, the rest at most once more."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import requests

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.state import Outcome, Receipts, State
from capillary_adobe_tests.adobe.sending import DAY, entities, entity_id, tally
from capillary_adobe_tests.emulators.platform_client import eventually
from capillary_adobe_tests.forked import Forked

ENTITIES = 2500
CONNECTIONS = 4
KILLS = 3


def accepted(emulator: RunningEmulator) -> list[str]:
    lines = requests.get(f"{emulator.base_url}/accepted.json", params={"limit": 10_000}, timeout=10).json()
    return [line["entity"]["_id"] for line in lines]


def accepted_count(emulator: RunningEmulator) -> int:
    return requests.get(f"{emulator.base_url}/summary.json", timeout=10).json()["accepted"]


def with_receipt(state: State) -> set[str]:
    ids = [entity_id(number) for number in range(ENTITIES)]
    known = Receipts(state).of_day(DAY).known(ids)
    return {id_ for id_, receipt in zip(ids, known, strict=True) if receipt and receipt.outcome is Outcome.ACCEPTED}


DELIVERING = "from capillary_adobe_tests.adobe.delivering import main; main()"


def test_killed_at_any_moment_and_run_again_every_entity_arrives(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    state = State(url)
    with RunningEmulator(tmp_path / "aep", behaviour=Behaviour(latency_seconds=0.08)) as emulator:
        more = {
            "ADOBE_CONNECTIONS": str(CONNECTIONS),
            "ADOBE_MAX_REQUEST_BYTES": "20000",
            "ADOBE_MAX_RECORDS_PER_SECOND": "0",
        }
        environment = {**os.environ, **emulator.environment, **more}
        settled_at_kill: list[tuple[int, set[str]]] = []
        for _ in range(KILLS):
            # Not before the second round of requests: the first one has its receipts by then.
            moment = accepted_count(emulator) + random.randrange(100, ENTITIES // (KILLS + 2))  # noqa: S311
            with Forked(DELIVERING, url, str(ENTITIES), environment=environment) as process:

                def reached(process: Forked = process, moment: int = moment) -> bool:
                    assert process.poll() is None, "delivery ended before it could be killed"
                    return accepted_count(emulator) >= moment

                eventually(reached, "the moment of the kill")
                process.kill()
            receipts = with_receipt(state)
            settled_at_kill.append((accepted_count(emulator), receipts))
        with Forked(DELIVERING, url, str(ENTITIES), environment=environment) as last:
            assert last.wait(60) == 0
        arrived = accepted(emulator)
        messages_per_request = 20_000 // 700
    assert set(arrived) == {entity_id(number) for number in range(ENTITIES)}
    assert tally(state, entities(ENTITIES)) == {"accepted": ENTITIES}
    assert with_receipt(state) == set(arrived)
    for position, receipts in settled_at_kill:
        assert receipts, "the kill came before the first receipt, which proves nothing"
        assert not receipts & set(arrived[position:])
    again = sum(times - 1 for times in Counter(arrived).values())
    assert again <= KILLS * CONNECTIONS * messages_per_request
    assert Receipts(state).of_day(DAY).accepted_twice() == 0
    state.engine.dispose()
