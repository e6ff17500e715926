"""A day that AEP has is sent again on purpose: only when it is confirmed, once a confirmation, and over a failure."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.defs.on_purpose import RESEND_DAY_JOB
from capillary_adobe.defs.runs import FIRST_DAY_TAG, LAST_DAY_TAG
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import Customers
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of
from capillary_adobe_tests.defs.test_kill import kill_when
from capillary_adobe_tests.defs.test_pause import numbers
from capillary_adobe_tests.defs.test_road import checks, sale

DAY, NEXT_DAY = "2026-11-19", "2026-11-20"


def resend(
    installation: Installation,
    typed: str = "",
    *,
    day: str | None = DAY,
    tags: dict[str, str] | None = None,
    **more: Any,
) -> dg.ExecuteInProcessResult:
    config = DeliveryConfig(send_again=typed, **more)
    return installation.definitions.resolve_job_def(RESEND_DAY_JOB).execute_in_process(
        instance=installation.instance,
        partition_key=day,
        tags=tags,
        run_config=dg.RunConfig(ops={INGESTION_STATUS.name: config}),
        raise_on_error=False,
    )


@pytest.fixture
def sent(installation: Installation, emulator: RunningEmulator) -> list[str]:
    """Two days that AEP has; the ids of what it has received."""
    installation.land(f"events/{DAY}/10/1.jsonl", sale(1), sale(2), sale(3))
    installation.land(f"events/{NEXT_DAY}/10/1.jsonl", sale(4))
    for day in (DAY, NEXT_DAY):
        installation.run(day)
    return [one["_id"] for one in events(emulator.base_url)]


def received(emulator: RunningEmulator) -> list[str]:
    return [one["_id"] for one in events(emulator.base_url)]


def test_a_day_is_sent_again_once_a_confirmation(
    installation: Installation, emulator: RunningEmulator, sent: list[str]
) -> None:
    for wrong in ("", "yes", f"{DAY} #2", f"{NEXT_DAY} #1"):
        told = failure_of(resend(installation, wrong))
        assert "3 events of 2026-11-19 that AEP has acknowledged would be sent once more" in told
        assert f"`{DAY} #1`" in told
    assert received(emulator) == sent
    assert installation.balance(DAY).delivery["accepted"] == 3

    done = resend(installation, f" {DAY} #1 ")
    assert done.success
    assert (numbers(done)["reopened"], numbers(done)["accepted"], numbers(done)["profiles_reopened"]) == (3, 3, 3)
    again = received(emulator)[len(sent) :]
    # The same ids, and none of another day.
    assert sorted(again) == sorted(sent[:3])
    balance = installation.balance(DAY)
    assert (balance.balanced, balance.delivery["accepted"], balance.maybe_twice) == (True, 3, 0)
    assert checks(done)["ingestion_status.nothing_is_sent_twice"]
    assert len(Customers(installation.state).due(None, 10, 2**62)) == 3

    # A second press, and any other run, sends nothing.
    pressed = resend(installation, f"{DAY} #1")
    assert pressed.success
    assert numbers(pressed)["sent"] == 0
    installation.run(DAY)
    assert len(received(emulator)) == len(sent) + 3
    assert f"`{DAY} #2`" in failure_of(resend(installation))
    assert resend(installation, f"{DAY} #2").success
    assert len(received(emulator)) == len(sent) + 6


def test_what_a_failure_has_left_goes_with_the_next_run(
    installation: Installation, emulator: RunningEmulator, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    fault = {"kind": "status", "status": 503, "path": "/collection/", "times": None}
    requests.post(f"{emulator.base_url}/control/faults", json=fault, timeout=10).raise_for_status()
    assert not resend(installation, f"{DAY} #1").success
    assert installation.balance(DAY).delivery["accepted"] == 0
    requests.delete(f"{emulator.base_url}/control/faults", timeout=10).raise_for_status()
    # The rate is still lowered because of the refusals.
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "30")
    done = resend(installation, f"{DAY} #1")
    assert done.success
    assert sorted(received(emulator)[len(sent) :]) == sorted(sent[:3])
    assert installation.balance(DAY).delivery["accepted"] == 3


def test_a_kill_in_the_middle_opens_nothing_twice_and_forgets_nothing(
    installation: Installation, emulator: RunningEmulator, sent: list[str], tmp_path: Path
) -> None:
    # AEP takes one of the three; the others are tried again until the kill.
    faults = f"{emulator.base_url}/control/faults"
    for fault in (
        {"kind": "partial", "status": 503, "places": [1, 2], "path": "/collection/batch/"},
        {"kind": "status", "status": 503, "path": "/collection/", "times": None},
    ):
        requests.post(faults, json=fault, timeout=10).raise_for_status()
    own = [installation.landing_url, installation.lake_url, installation.state_url, DAY, f"{DAY} #1"]
    log = tmp_path / "killed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _RESENDING, *own],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    refused: Callable[[], bool] = lambda: requests.get(faults, timeout=10).json()[1]["fired"] > 0  # noqa: E731
    assert kill_when(process, refused), log.read_text("utf-8")
    requests.delete(faults, timeout=10).raise_for_status()
    before = Counter(received(emulator))
    assert installation.balance(DAY).delivery["accepted"] == 0

    # The same confirmation goes on: nothing is opened anew, and what was acknowledged stays.
    done = resend(installation, f"{DAY} #1")
    assert done.success
    assert "reopened" not in numbers(done)
    assert numbers(done)["accepted"] == 2
    after = Counter(received(emulator))
    assert sorted((after - before).values()) == [1, 1]
    assert set(sent[:3]) == set(after - Counter(sent[3:]))
    assert installation.balance(DAY).delivery["accepted"] == 3
    assert numbers(resend(installation, f"{DAY} #1"))["sent"] == 0


# Sends a day again in a process of its own.
_RESENDING = """
import sys

import dagster as dg

from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.resources import LakeResource, LandingResource, StateResource

landing, lake, state, day, typed = sys.argv[1:]
resources = {"landing": LandingResource(url=landing), "lake": LakeResource(url=lake), "state": StateResource(url=state)}
job = build_defs(resources=resources).resolve_job_def("resend_day")
with dg.DagsterInstance.ephemeral() as instance:
    job.execute_in_process(
        instance=instance,
        partition_key=day,
        run_config={"ops": {"ingestion_status": {"config": {"send_again": typed}}}},
    )
"""


def test_what_does_not_go_together_is_refused(
    installation: Installation, emulator: RunningEmulator, sent: list[str]
) -> None:
    beside: list[dict[str, Any]] = [{"dry_run": True}, {"reopen_cause": "aep_other"}, {"batch_id": "live-1"}]
    for more in beside:
        assert f"the run has `{next(iter(more))}` beside it" in failure_of(resend(installation, f"{DAY} #1", **more))
    chunk = {FIRST_DAY_TAG: DAY, LAST_DAY_TAG: NEXT_DAY}
    assert "the run has several days at once" in failure_of(resend(installation, f"{DAY} #1", day=None, tags=chunk))
    assert received(emulator) == sent
