"""The asset `capillary_delivery_log`, its check, and the schedule that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.build import RECONCILE_JOB, build_defs
from capillary_adobe.defs.delivery_log import CHECK, NAME
from capillary_adobe_tests.defs.installation import Installation, failure_of
from capillary_adobe_tests.posting import YESTERDAY, Posting, told

CREDENTIAL = ("CAPILLARY_API_URL", "CAPILLARY_API_KEY", "CAPILLARY_API_SECRET")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name in CREDENTIAL:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Installation(tmp_path / "installation", tmp_path / "landing")


@pytest.fixture
def posting(place: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Posting]:
    with Posting(tmp_path, place.store) as running:
        for name, value in running.capillary.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def reconciled(place: Installation, day: str = YESTERDAY) -> dg.ExecuteInProcessResult:
    job = place.definitions.resolve_job_def(RECONCILE_JOB)
    return job.execute_in_process(instance=place.instance, partition_key=day, raise_on_error=False)


def checked(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = result.get_asset_check_evaluations()
    assert (found.check_name, found.partition) == (CHECK, YESTERDAY)
    return found


def shown(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    [found] = result.asset_materializations_for_node(NAME)
    return {name: value.value for name, value in found.metadata.items()}


def test_a_day_that_has_landed_passes_and_its_figures_plot(place: Installation, posting: Posting) -> None:
    posting.send([told("a"), told("b")])
    # Another holds the day: this only reads.
    with place.state.day_lock(YESTERDAY):
        result = reconciled(place)
    assert checked(result).passed
    numbers = shown(result)
    figures = {"sent": 2, "arrived": 2, "missing": 0, "lost_events": 0, "not_in_log": 0, "unread_objects": 2}
    assert numbers.items() >= figures.items()


def test_a_loss_is_an_error_that_names_the_events_and_nothing_of_what_they_say(
    place: Installation, posting: Posting
) -> None:
    posting.webhook.dropped = {"lost", "refused"}
    posting.webhook.answers = {"refused": 400}
    posting.send([told("kept"), told("lost"), told("refused")])
    result = reconciled(place)
    assert result.success
    found = checked(result)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert (found.metadata["missing"].value, found.metadata["failed"].value) == (1, 1)
    named = str(found.metadata["lost"].value)
    assert "lost" in named
    assert "refused" in named
    assert "400" in named
    everything = str([entry.dagster_event for entry in place.instance.all_logs(result.run_id)])
    assert "406247343" not in everything


def test_what_is_still_tried_is_a_warning(place: Installation, posting: Posting) -> None:
    posting.webhook.dropped = {"waiting"}
    posting.webhook.answers = {"waiting": 503}
    posting.send([told("kept"), told("waiting")])
    result = reconciled(place)
    found = checked(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["on_their_way"].value == 1
    assert "retrying 503" in str(found.metadata["by_http_status"].value)
    assert "doubts" not in shown(result)


def test_without_capillarys_api_the_check_warns_and_the_schedule_skips(place: Installation) -> None:
    result = reconciled(place)
    assert result.success
    found = checked(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "set CAPILLARY_API_URL" in str(found.metadata["problem"].value)
    tick = asked(place, datetime.now(UTC))
    assert isinstance(tick, dg.SkipReason)
    assert "set CAPILLARY_API_URL" in (tick.skip_message or "")


def test_a_capillary_that_refuses_fails_the_run_in_one_sentence(
    place: Installation, posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPILLARY_WEBHOOK_NAME", "another")
    assert posting.group
    result = reconciled(place)
    assert not result.success
    assert failure_of(result).startswith("Capillary knows no webhook by the name another")


@pytest.fixture
def remembered(place: Installation) -> Iterator[None]:
    """An instance that a schedule can be given."""
    with dg.instance_for_test() as instance:
        place.instance = instance
        yield


def looked_at(place: Installation, day: str) -> None:
    place.instance.report_runless_asset_event(dg.AssetMaterialization(NAME, partition=day))


def asked(place: Installation, at: datetime) -> dg.SkipReason | list[tuple[str, str | None]]:
    """What a tick asks for: run key and partition of each run."""
    definitions = place.definitions
    schedule = definitions.resolve_schedule_def("reconcile_yesterday")
    context = dg.build_schedule_context(
        instance=place.instance, scheduled_execution_time=at, repository_def=definitions.get_repository_def()
    )
    tick = schedule.evaluate_tick(context)
    if tick.skip_message:
        return dg.SkipReason(tick.skip_message)
    return [(str(one.run_key), one.partition_key) for one in tick.run_requests or []]


@pytest.mark.usefixtures("remembered")
def test_each_morning_asks_for_yesterday_and_again_for_a_day_that_has_settled(
    place: Installation, posting: Posting
) -> None:
    assert posting.group
    yesterday = date.fromisoformat(YESTERDAY)
    morning = datetime(yesterday.year, yesterday.month, yesterday.day, 4, tzinfo=UTC) + timedelta(days=1)
    settled = (yesterday - timedelta(days=7)).isoformat()
    assert asked(place, morning) == [(f"{YESTERDAY}:{morning.date()}", YESTERDAY)]
    # Only a day that was looked at while Capillary still repeated has anything left to be said.
    assert reconciled(place, settled).success
    assert asked(place, morning) == [
        (f"{YESTERDAY}:{morning.date()}", YESTERDAY),
        (f"{settled}:{morning.date()}", settled),
    ]


@pytest.mark.usefixtures("remembered")
def test_days_whose_run_failed_are_made_up_for_once_a_run_goes_well(place: Installation, posting: Posting) -> None:
    assert posting.group

    def days(ago: int, at: int = 1) -> str:
        return (date.fromisoformat(YESTERDAY) + timedelta(days=at - ago)).isoformat()

    def asked_for(at: int = 1) -> list[str | None]:
        tick = asked(place, datetime.fromisoformat(f"{days(0, at)}T04:00:00+00:00"))
        assert isinstance(tick, list)
        return [partition for _, partition in tick]

    looked_at(place, days(5))
    # Capillary has been away since: a failure a night, and none of the days before again.
    assert asked_for() == [days(1)]
    looked_at(place, days(1))
    assert asked_for(at=2) == [days(1, at=2), days(2), days(3), days(4)]


@pytest.mark.usefixtures("remembered")
def test_days_before_the_first_partition_are_not_asked_for(
    place: Installation, posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert posting.group
    monkeypatch.setenv("HISTORY_START", datetime.now(UTC).date().isoformat())
    tick = asked(place, datetime.now(UTC))
    assert isinstance(tick, dg.SkipReason)
    assert "HISTORY_START" in (tick.skip_message or "")


def test_the_schedule_runs_by_itself_and_no_micro_batch_takes_the_asset_along() -> None:
    definitions = build_defs()
    schedule = definitions.resolve_schedule_def("reconcile_yesterday")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 4 * * *", "UTC")
    delivery = definitions.resolve_job_def("deliver_micro_batch").asset_layer.selected_asset_keys
    assert dg.AssetKey(NAME) not in delivery
    selected = definitions.resolve_job_def(RECONCILE_JOB).asset_layer.selected_asset_keys
    assert selected == {dg.AssetKey(NAME)}
