"""A receiver killed without warning, again and again, while Capillary goes on posting and posts again what it must."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.landed import account
from bench.receiver_process import ReceiverProcess
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.endurance.loads import Load, load
from capillary_adobe_tests.s3_servers import moto_server

KILLS = 20
KILLS_ON_S3 = 4
_FEWEST, _MOST = 5, 150
"""Acknowledgements between two kills, drawn anew each time: kills meet writes, syncs and rolls."""


def test_twenty_kills_in_a_folder(tmp_path: Path, installation: Installation, emulator: RunningEmulator) -> None:
    # Files are rolled so often that kills meet that too.
    environment = {"RECEIVE_ROLL_SECONDS": "0.05"}
    with ReceiverProcess(tmp_path, str(installation.landing_root), environment) as receiver:
        posted, figures = post_through_kills(receiver, tmp_path / "acknowledged", KILLS)
    assert_all_landed(posted, figures, str(installation.landing_root))
    assert_each_comes_out_once(installation, emulator, posted)


def test_kills_on_s3(tmp_path: Path, emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto_server() as server:
        server.use(monkeypatch)
        url = f"s3://{server.bucket()}/landing"
        with ReceiverProcess(tmp_path, url) as receiver:
            posted, figures = post_through_kills(receiver, tmp_path / "acknowledged", KILLS_ON_S3)
        assert_all_landed(posted, figures, url)
        installation = Installation(tmp_path / "installation", tmp_path / "unused", landing_url=url)
        assert_each_comes_out_once(installation, emulator, posted)


def post_through_kills(receiver: ReceiverProcess, notes: Path, kills: int) -> tuple[Load, dict[str, Any]]:
    """Kill the receiver so many times under load, and wait until everything is acknowledged."""
    chance = random.Random(5)  # noqa: S311 - the same moments each time
    with load(receiver.url, notes, rate=400) as posting:
        for _ in range(kills):
            posting.wait_for(posting.acknowledged + chance.randint(_FEWEST, _MOST))
            receiver.kill()
            receiver.start()
        return posting, posting.end()


def assert_all_landed(posted: Load, figures: dict[str, Any], landing_url: str) -> None:
    assert figures["not_acknowledged"] == 0
    assert set(figures["by_status"]) <= {"200", "429"}
    assert figures["broken_connections"] > 0, "no kill has caught a request"
    found = account(posted.notes, landing_url)
    assert found.missing == []
    assert found.acknowledged == figures["acknowledged"] > 0


def assert_each_comes_out_once(installation: Installation, emulator: RunningEmulator, posted: Load) -> None:
    came_out: Counter[str] = Counter()
    for day in installation.store.days("live"):
        installation.run(day)
        balance = installation.balance(day)
        assert balance.balanced, balance.differences
        came_out.update(row["event_id"] for row in installation.rows(RAW_EVENTS, day))
    assert set(came_out) == posted.ids()
    assert set(came_out.values()) == {1}
    assert summary(emulator.base_url)["duplicates"] == 0
