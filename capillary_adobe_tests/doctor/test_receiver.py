"""The look at the receiver: its secret, and events that wait for one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from capillary_adobe.doctor.findings import Verdict
from capillary_adobe.doctor.receiver import receiver
from capillary_adobe.settings import SettingsError
from capillary_adobe_tests.doctor.conftest import Examine, told


def looked(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Verdict:
    with monkeypatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        return receiver()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "skipped: No receiver is set up here"),
        (
            {"RECEIVE_SECRET": "hush", "RECEIVE_PORT": "9000"},
            "ok: Has its secret; events are taken at 127.0.0.1:9000/events.",
        ),
        ({"RECEIVE_PORT": "9000"}, "fail: RECEIVE_SECRET is not set"),
    ],
)
def test_its_secret(place: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], words: str) -> None:
    found = looked(monkeypatch, **settings)
    assert f"{found.outcome}: {found.words}".startswith(words)
    assert not list(place.iterdir())


def test_settings_that_cannot_be_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="RECEIVE_PORT is malformed"):
        looked(monkeypatch, RECEIVE_PORT="none")


def test_acknowledged_events_that_wait(look: Examine, place: Path) -> None:
    hidden = place / "landing" / ".receiving"
    hidden.mkdir(parents=True)
    an_hour_ago = time.time() - 3600
    for name, text, moment in (
        ("old.jsonl", "{}\n", an_hour_ago),
        ("older.jsonl", "{}\n{}\n", an_hour_ago),
        # The file of one that lives and has nothing to do, one at work, and a body nobody was promised.
        ("empty.jsonl", "", an_hour_ago),
        ("fresh.jsonl", "{}\n", time.time()),
        ("half.body", "half of it", an_hour_ago),
    ):
        (hidden / name).write_text(text)
        os.utime(hidden / name, (moment, moment))
    found = told(look(offline=True), "receiver")
    assert found.startswith("warn: 2 files of acknowledged events (9 bytes) wait under LANDING_URL=landing/.receiving")
