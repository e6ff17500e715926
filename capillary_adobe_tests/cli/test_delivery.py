"""`capillary-adobe deliver` and `replay`: what they show, what they send, and plain words for what makes no sense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.build import JOB, VERDICT_JOB, build_defs
from capillary_adobe.demo.traffic import write_day
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe_tests.cli.conftest import Call, storage
from capillary_adobe_tests.defs.installation import accepted, summary
from capillary_adobe_tests.emulators.platform_client import eventually

DAY = "2026-11-19"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Made:
    """A day that is made into entities and not sent, an emulator, and the settings for both."""

    def __init__(self, folder: Path, emulator: RunningEmulator) -> None:
        self.emulator = emulator
        self.settings = {**emulator.environment, **storage(folder), "CAPILLARY_CURRENCY": "INR", "HOME": str(folder)}
        self.written = write_day(LocalLandingStore(folder / "landing"), date.fromisoformat(DAY), 200)

    def make(self) -> None:
        self.run(JOB, DAY, ["raw_events", "enriched_events", "xdm_events"])

    def run(self, job: str, day: str | None, selection: list[str] | None = None) -> None:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self.settings.items():
                environment.setenv(name, value)
            with dg.DagsterInstance.ephemeral() as instance:
                done = (
                    build_defs()
                    .resolve_job_def(job)
                    .execute_in_process(
                        instance=instance,
                        partition_key=day,
                        asset_selection=[dg.AssetKey(name) for name in selection] if selection else None,
                        run_config=QUIET,
                    )
                )
        assert done.success

    def ids(self) -> list[str]:
        lake = Lake(self.settings["LAKE_URL"])
        return [id_ for batch in lake.read(XDM_EVENTS, Slice(DAY), ["id"]) for id_ in batch.column("id").to_pylist()]

    def refuse(self, ids: list[str]) -> None:
        """AEP takes these, refuses them afterwards, and the verdict is read."""
        self.emulator.demand({"if": {"properties": {"_id": {"enum": ids}}}, "then": {"required": ["web"]}})
        self.run(JOB, DAY, ["ingestion_status"])
        eventually(lambda: summary(self.emulator.base_url)["awaiting_validation"] == 0)
        self.run(VERDICT_JOB, None)
        self.emulator.demand(None)


@pytest.fixture
def made(place: Path, tmp_path: Path) -> Iterator[Made]:
    assert place == tmp_path
    with RunningEmulator(tmp_path / "aep") as emulator:
        day = Made(tmp_path, emulator)
        day.make()
        yield day


def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(call: Call, made: Made) -> None:
    answer = call("deliver", "--day", DAY, "--dry-run", "--json", **made.settings)
    assert answer.exit_code == 0, answer.output
    plan = json.loads(answer.stdout)
    count = len(made.ids())
    assert (plan["route"], plan["entities"], plan["to_send"], plan["already_settled"]) == ("streaming", count, count, 0)
    assert sum(plan["by_event_type"].values()) == count
    assert plan["estimated_seconds"] == pytest.approx(count / 1500, abs=0.1)
    assert plan["bytes"] > plan["largest_bytes"] > 100
    assert len(plan["sample"]) == 5
    assert set(plan["sample"][0]) == {"id", "event_type", "size"}
    told = call("deliver", "--day", DAY, "--dry-run", **made.settings)
    assert "nothing is sent" in told.stdout
    assert f"to send            {count}" in told.stdout
    assert summary(made.emulator.base_url)["accepted"] == 0


def test_a_dry_run_by_batches_tells_files_and_the_quota_of_the_day(call: Call, made: Made) -> None:
    answer = call("deliver", "--day", DAY, "--dry-run", "--route", "batch", "--json", **made.settings)
    plan = json.loads(answer.stdout)
    assert (plan["route"], plan["requests"], plan["batches"], plan["batches_left_today"]) == ("batch", 1, 1, 90)
    told = call("deliver", "--day", DAY, "--dry-run", "--route", "batch", **made.settings).stdout
    assert "batches left today" in told


@pytest.mark.parametrize("route", ["streaming", "batch"])
def test_deliver_sends_what_is_open_and_nothing_twice(call: Call, made: Made, route: str) -> None:
    answer = call("deliver", "--day", DAY, "--route", route, "--json", **made.settings)
    assert answer.exit_code == 0, answer.output
    numbers = json.loads(answer.stdout)
    count = len(made.ids())
    assert (numbers["accepted"], numbers["day_open"]) == (count, 0)
    assert summary(made.emulator.base_url)["distinct"] == count
    again = json.loads(call("deliver", "--day", DAY, "--json", **made.settings).stdout)
    assert (again["sent"], again["already_settled"]) == (0, count)
    assert "accepted" in call("deliver", "--day", DAY, **made.settings).stdout


def test_a_delivery_that_fails_is_one_clear_sentence(call: Call, made: Made) -> None:
    made.emulator.faults.add(kind="status", status=404, path="/collection", times=None)
    answer = call("deliver", "--day", DAY, **made.settings)
    assert answer.exit_code == 1
    assert "ADOBE_INLET_URL" in answer.stderr
    assert "Traceback" not in answer.output


def test_replay_lists_the_causes_and_sends_just_those_again(call: Call, made: Made) -> None:
    ids = sorted(made.ids())[:3]
    made.refuse(ids)
    listed = json.loads(call("replay", "--json", **made.settings).stdout)
    (cause,) = listed
    assert listed == {cause: {DAY: 3}}
    assert cause.startswith("aep_field_missing:")
    assert cause in call("replay", **made.settings).stdout
    before = len(accepted(made.emulator.base_url))
    answer = call("replay", "--cause", cause, "--json", **made.settings)
    assert answer.exit_code == 0, answer.output
    told = {"day": DAY, "reopened": 3, "accepted": 3, "rejected": 0, "waiting_at_aep": 0, "others_moved": 0}
    assert json.loads(answer.stdout) == [told | {"profiles_reopened": 0}]
    assert sorted(entity["_id"] for entity in accepted(made.emulator.base_url)[before:]) == ids
    assert call("replay", **made.settings).stdout.strip() == "AEP refuses nothing at present."
    status = json.loads(call("status", "--day", DAY, "--json", **made.settings).stdout)
    assert (status["balanced"], status["delivery"]["rejected"]) == (True, 0)


def test_status_names_what_aep_refuses_by_cause(call: Call, made: Made) -> None:
    made.refuse(sorted(made.ids())[:2])
    told = call("status", "--day", DAY, **made.settings).stdout
    (line,) = [line for line in told.splitlines() if line.strip().startswith("rejected")]
    assert line.split()[1] == "2"
    assert "aep_field_missing:" in line


def test_a_cause_that_nobody_has_is_one_clear_sentence(call: Call, made: Made) -> None:
    answer = call("replay", "--cause", "aep_wrong_type:/nowhere", **made.settings)
    assert answer.exit_code == 1
    assert "No entity is refused for aep_wrong_type:/nowhere. AEP refuses nothing at present." in answer.stderr
    assert call("replay", "--day", "yesterday", **made.settings).exit_code == 2
    assert call("deliver", "--day", "2026-02-30", **made.settings).exit_code == 2


def test_without_settings_every_missing_variable_is_named(call: Call) -> None:
    answer = call("deliver", "--day", DAY, "--dry-run")
    assert answer.exit_code == 1
    assert "ADOBE_CLIENT_ID is missing" in answer.stderr
    assert "Traceback" not in answer.output


@pytest.mark.parametrize("day", ["2020-01-01", "2099-01-01"])
def test_a_day_that_is_no_partition_is_one_clear_sentence(call: Call, made: Made, day: str) -> None:
    answer = call("deliver", "--day", day, **made.settings)
    assert answer.exit_code == 1
    assert answer.stderr.strip() == f"Error: {day} is no partition: days go from HISTORY_START to today, UTC."


def test_a_dagster_home_that_is_none_is_one_clear_sentence(call: Call, made: Made) -> None:
    answer = call("deliver", "--day", DAY, **made.settings, DAGSTER_HOME="relative/home")
    assert answer.exit_code == 1
    assert "DAGSTER_HOME" in answer.stderr
    assert "Traceback" not in answer.output
