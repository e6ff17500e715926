"""`capillary-adobe alerts` and the doctor's look at channels, with real receivers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts, Problem, Telling
from capillary_adobe_tests.alerting.receivers import Receiver, webhook
from capillary_adobe_tests.cli.conftest import Call, storage


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with webhook() as running:
        yield running


def fail(settings: dict[str, str]) -> None:
    """An alert that stands, of which one channel was told."""
    register = Alerts(State(settings["STATE_URL"]))
    now_ms = int(time.time() * 1000)
    seen = Problem(
        "k",
        "k",
        "s",
        "error",
        "raw_events failed",
        "it broke",
        "mend it",
        now_ms,
        partition="2026-11-26",
        run_id="run-1",
    )
    register.note([seen], 0, "runs", "{}")
    [alert] = register.unsettled()
    register.took("data", [Telling(alert.alert_id, "data", "error", now_ms, 1)])


def test_what_stands_is_listed_with_cause_cure_and_who_was_told(call: Call, place: Path) -> None:
    settings = storage(place)
    assert "No alert stands." in call("alerts", "list", **settings).stdout
    fail(settings)
    shown = call("alerts", "list", **settings)
    assert shown.exit_code == 0, shown.output
    for words in (
        "error  raw_events failed for 2026-11-26",
        "cause: it broke",
        "do: mend it",
        "told: data 20",
        "run-1",
    ):
        assert words in shown.stdout
    assert "No channel is set" in shown.stdout
    [one] = json.loads(call("alerts", "list", "--all", "--json", **settings, ALERT_CHANNELS="data=json://h/x").stdout)
    assert (one["what"], one["times"], one["recovered"]) == ("raw_events failed", 1, None)
    assert one["told"][0]["channel"] == "data"


def test_a_trial_tells_which_channel_took_it(call: Call, place: Path, hook: Receiver) -> None:
    (place / "channels").write_text(f"# ours\nhook={hook.url}\n\ndead=json://127.0.0.1:9/secret-token\n")
    settings = {**storage(place), "ALERT_CHANNELS_FILE": "channels"}
    answer = call("alerts", "test", **settings)
    assert answer.exit_code == 1
    assert "hook (json) took the trial message." in answer.output
    assert "The channel dead (json) took no message" in answer.output
    assert "secret-token" not in answer.output
    assert hook.titles() == ["Trial: capillary-adobe can reach you"]
    assert call("alerts", "test", "--channel", "hook", **settings).exit_code == 0
    assert "there are: hook, dead" in call("alerts", "test", "--channel", "none", **settings).output
    assert "No channel is set" in call("alerts", "test", **storage(place)).output


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALERT_CHANNELS", "data mailto://x", "ALERT_CHANNELS is malformed: entry 1 is no <name>=<address>"),
        ("ALERT_CHANNELS", "a=json://s3cret a=json://b", "the channel a is named twice"),
        ("ALERT_CHANNELS_FILE", "absent", "ALERT_CHANNELS_FILE=absent cannot be read"),
        ("ALERT_ROUTES", "data=loud", "data=loud is no <channel>=<warning or error>"),
        ("ALERT_ROUTES", "data=error", "ALERT_ROUTES names data, which is no channel"),
        ("ALERT_QUIET_HOURS", "ten to six", "give hours such as 22:00-07:00"),
        ("ALERT_QUIET_HOURS", "07:00-07:00", "begins and ends at the same time"),
        ("ALERT_CREDENTIALS", "KEY=2027-02-30", "KEY=2027-02-30 is no <name>=<YYYY-MM-DD>"),
        ("ALERT_UI_URL", "dagster.example.com", "give the address of the UI"),
        ("ALERT_CHANNELS", "a=carrier-pigeon://s3cret/pass", "carrier-pigeon:// is no service that Apprise knows"),
    ],
)
def test_what_is_mistyped_is_named_with_its_cure(call: Call, place: Path, variable: str, value: str, told: str) -> None:
    answer = call("alerts", "test", **storage(place), **{variable: value})
    assert answer.exit_code == 1
    assert told in answer.output
    assert "Traceback" not in answer.output
    assert "s3cret" not in answer.output


def finding(call: Call, settings: dict[str, str]) -> tuple[str, str]:
    listed = json.loads(call("doctor", "--offline", "--json", **settings).stdout)
    found = [one for one in listed if one["check"] == "alerts"]
    return ",".join(one["outcome"] for one in found), "\n".join(f"{one['words']} {one['cure']}" for one in found)


def test_the_doctor_looks_at_the_channels(call: Call, place: Path, hook: Receiver) -> None:
    settings = storage(place)
    assert finding(call, settings)[0] == "warn"
    settings["ALERT_CHANNELS_FILE"] = "channels"
    (place / "channels").write_text(f"hook={hook.url}\n")
    (place / "channels").chmod(0o600)
    assert finding(call, settings) == ("ok", "Channels: hook (json). ")
    (place / "channels").chmod(0o644)
    assert "chmod 600 channels" in finding(call, settings)[1]
    settings["ALERT_CHANNELS"] = "odd=nothing://x"
    assert finding(call, settings)[0] == "fail,warn"
    del settings["ALERT_CHANNELS"]
    Alerts(State(settings["STATE_URL"])).refused("hook", "The channel hook (json) took no message: error=503. Mend it.")
    outcome, words = finding(call, settings)
    assert outcome == "warn,warn"
    assert "The channel hook (json) took no message: error=503, since 20" in words
