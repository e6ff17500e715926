"""Delivery paused and resumed over real runs: all the rest goes on, nothing is sent, nothing is lost, no try is spent."""

import time
from typing import Any

import dagster as dg
import pytest

from capillary_adobe.defs.build import REPLAY_JOB
from capillary_adobe.defs.customer_sensor import REFRESH_JOB
from capillary_adobe.defs.delivery_config import DeliveryConfig
from capillary_adobe.defs.pause_jobs import PAUSE_JOB, PAUSE_OP, RESUME_JOB
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import Customers, MicroBatches
from capillary_adobe.tables import INGESTION_STATUS
from capillary_adobe_tests.defs.installation import Installation, accepted, events, failure_of
from capillary_adobe_tests.defs.test_close_day import told as line_of
from capillary_adobe_tests.defs.test_road import sale
from capillary_adobe_tests.defs.test_sensor import Operator, fresh, key, settled, today

assert settled
DAY, NEXT_DAY = "2026-11-19", "2026-11-20"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever counts as failed is asked for again at once."""
    monkeypatch.setenv("LANDING_RETRY_SECONDS", "0.001")
    monkeypatch.setenv("PROFILE_SPACING_SECONDS", "0")


def press(installation: Installation, job: str, config: dict[str, Any] | None = None) -> str:
    done = installation.definitions.resolve_job_def(job).execute_in_process(
        instance=installation.instance, run_config={"ops": {PAUSE_OP: {"config": config}}} if config else None
    )
    [event] = [one for one in done.all_events if one.event_type_value == "STEP_OUTPUT"]
    return str(event.step_output_data.metadata["told"].value)


def numbers(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    made = result.asset_materializations_for_node(INGESTION_STATUS.name)[-1]
    return {name: value.value for name, value in made.metadata.items()}


def test_what_lands_meanwhile_is_mapped_and_held_and_goes_after_the_resume(
    installation: Installation, emulator: RunningEmulator
) -> None:
    operator = Operator(installation)
    installation.land(key("1"), fresh(1))
    (request,) = operator.tick().requests
    assert operator.run(request)
    before = len(accepted(emulator.base_url))
    assert press(installation, PAUSE_JOB, {"reason": "a new sandbox"}).startswith("Delivery is paused.")

    for number in (2, 3):
        installation.land(key(str(number)), fresh(number))
        (request,) = operator.tick().requests
        assert operator.run(request)
    assert len(accepted(emulator.base_url)) == before
    balance = installation.balance(today())
    assert balance.balanced
    assert (balance.delivery["accepted"], balance.delivery["pending"]) == (1, 2)
    for _ in range(3):
        idle = operator.tick()
        assert idle.requests == []
        assert "delivery is paused since" in idle.words
        assert "(a new sandbox)" in idle.words
        time.sleep(0.01)
    nothing = press(installation, PAUSE_JOB)
    assert nothing.startswith("Nothing changed: delivery is paused since")
    assert nothing.endswith("2 micro-batches wait.")

    assert press(installation, RESUME_JOB) == "Delivery goes on; landing_sensor asks again for 2 micro-batches."
    for _ in range(2):
        (request,) = operator.tick().requests
        assert operator.run(request)
    assert operator.tick().requests == []
    balance = installation.balance(today())
    assert balance.delivery["accepted"] == 3
    assert balance.profile_delivery["pending"] == 0
    assert len(events(emulator.base_url)) == 3
    assert press(installation, RESUME_JOB) == "Nothing changed: delivery is not paused."


def test_whole_days_wait_too_and_what_could_only_send_says_why_it_does_not(
    installation: Installation, emulator: RunningEmulator
) -> None:
    installation.land(f"events/{DAY}/10/1.jsonl", sale(1))
    installation.land(f"events/{NEXT_DAY}/10/1.jsonl", sale(2))
    press(installation, PAUSE_JOB)
    done = installation.run(DAY)
    assert numbers(done)["delivery_paused"].startswith("delivery is paused since")
    assert installation.run_days(NEXT_DAY, NEXT_DAY).success
    plan = installation.run(
        DAY, begin=INGESTION_STATUS.name, until=INGESTION_STATUS.name, batch=DeliveryConfig(dry_run=True)
    )
    assert numbers(plan)["would_send"] == 1
    replay = installation.definitions.resolve_job_def(REPLAY_JOB).execute_in_process(
        instance=installation.instance,
        partition_key=DAY,
        run_config=dg.RunConfig(ops={INGESTION_STATUS.name: DeliveryConfig(reopen_cause="aep_other")}),
        raise_on_error=False,
    )
    assert "A replay sends nothing now: delivery is paused since" in failure_of(replay)
    closed = installation.definitions.resolve_job_def("close_day").execute_in_process(
        instance=installation.instance, partition_key=DAY, asset_selection=[dg.AssetKey("closed_days")]
    )
    assert "1 events are pending" in line_of(closed)
    assert "delivery is paused since" in line_of(closed)
    assert accepted(emulator.base_url) == []
    assert MicroBatches(installation.state).open_days() == set()

    press(installation, RESUME_JOB)
    assert MicroBatches(installation.state).open_days() == {DAY, NEXT_DAY}
    operator = Operator(installation)
    for _ in range(4):
        for request in operator.tick().requests:
            assert operator.run(request)
    assert [installation.balance(day).delivery["accepted"] for day in (DAY, NEXT_DAY)] == [1, 1]
    assert len(events(emulator.base_url)) == 2


def test_no_run_for_profiles_is_asked_for_meanwhile(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(key("1"), fresh(1))
    installation.run(today())

    def asked() -> list[str | None]:
        definitions = installation.definitions
        with dg.build_sensor_context(
            instance=installation.instance,
            resources=installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            found = definitions.resolve_sensor_def("customer_sensor").evaluate_tick(context)
        return [one.job_name for one in found.run_requests or ()]

    Customers(installation.state).send_again(None)
    press(installation, PAUSE_JOB)
    assert asked() == []
    press(installation, RESUME_JOB)
    assert asked() == [REFRESH_JOB]
