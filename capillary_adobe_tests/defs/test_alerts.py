"""Alerts of runs: what failed in them, read by real ticks on real instances and sent to a real mailbox and webhook."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import pytest

from capillary_adobe.defs.run_reading import Place
from capillary_adobe.state.alerts import Alerts
from capillary_adobe_tests.alerting.receivers import Receiver, mail, webhook
from capillary_adobe_tests.defs.installation import Installation
from capillary_adobe_tests.defs.test_by_day import sale_of
from capillary_adobe_tests.defs.test_road import sale

DAY = "2026-11-19"
TODAY = datetime.now(UTC).date().isoformat()
MENDED = "pointsIssued:\n  fields:\n    _tenant.capillary.points.total: {from: totalPointsIssued, as: number, unit: points}\n"
BROKEN = "pointsIssued:\n  fields:\n    loyalty.made.up: {from: x}\n"


@dataclass
class Watch:
    """An installation whose alert sensor is ticked by the test."""

    installation: Installation
    mail: Receiver
    hook: Receiver

    def tick(self, sensor: str = "alert_sensor") -> str:
        """A tick; its skip reason."""
        installation = self.installation
        definitions = installation.definitions
        with dg.build_sensor_context(
            instance=installation.instance,
            resources=installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            return definitions.resolve_sensor_def(sensor).evaluate_tick(context).skip_message or ""


@pytest.fixture(scope="session")
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    with mail() as box, webhook() as hook:
        yield box, hook


@pytest.fixture
def watch(installation: Installation, receivers: tuple[Receiver, Receiver], monkeypatch: pytest.MonkeyPatch) -> Watch:
    box, hook = receivers
    for receiver in receivers:
        receiver.taken.clear()
        receiver.refusing, receiver.refused = False, 0
    monkeypatch.setenv("ALERT_CHANNELS", f"mail={box.url} hook={hook.url}")
    monkeypatch.setenv("ALERT_SETTLE_SECONDS", "0")
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    return Watch(installation, box, hook)


def now_sale(number: int) -> dict[str, object]:
    return sale(number, createdAt=int(time.time() * 1000))


def hour() -> str:
    return f"{datetime.now(UTC):%H}"


def run_that(instance: dg.DagsterInstance, message: str) -> None:
    """A run of a job whose op meets an error nobody foresaw."""

    @dg.op
    def breaks() -> None:
        raise ValueError(message)

    @dg.job(executor_def=dg.in_process_executor, logger_defs={})
    def a_job() -> None:
        breaks()

    a_job.execute_in_process(instance=instance, raise_on_error=False)


def ended_run(instance: dg.DagsterInstance, day: str, **tags: str) -> None:
    """A run whose process is gone, as run monitoring finds it."""

    @dg.job
    def gone() -> None:
        pass

    run = instance.create_run_for_job(gone, tags={"dagster/partition": day, **tags}, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run)


def test_a_run_over_several_days_reports_each(watch: Watch) -> None:
    days = ["2026-11-10", "2026-11-11", "2026-11-12"]
    for day in days:
        watch.installation.land(f"history/{day}/1.jsonl", sale_of(day, "one"))
    bad = watch.installation.landing_root / "history" / days[1] / "2.jsonl"
    bad.symlink_to(bad.parent)
    watch.installation.run_days(days[0], days[-1])
    watch.tick()
    failed = [title for title in watch.mail.titles() if title.startswith("Error: raw_events failed")]
    assert failed == ["Error: raw_events failed for 2026-11-11"]
    bad.unlink()
    watch.installation.run_days(days[0], days[-1])
    watch.tick()
    assert "Recovered: raw_events failed for 2026-11-11" in watch.mail.titles()
    alerts = Alerts(watch.installation.state).unsettled()
    assert not [one.key for one in alerts if one.key.startswith(("step:", "run:"))]


def test_a_broken_channel_fails_the_tick_and_hears_all_of_it_later(watch: Watch) -> None:
    watch.mail.refusing = True
    instance = watch.installation.instance
    for number in range(45):
        ended_run(instance, f"2026-10-{number % 30 + 1:02d}")
    with pytest.raises(dg.Failure, match="The channel mail"):
        watch.tick()
    ended_run(instance, "2026-11-01")
    with pytest.raises(dg.Failure, match="The channel mail"):
        watch.tick()
    watch.mail.refusing = False
    assert watch.tick() == "0 runs read, 1 messages sent"
    assert [len(receiver.taken) for receiver in (watch.mail, watch.hook)] == [1, 2]
    assert watch.mail.titles()[0].startswith("Error: A run of gone ended without its work being done for 2026-10-01, ")
    assert watch.mail.titles()[0].endswith("and 17 more")
    alerts = Alerts(watch.installation.state).unsettled()
    assert len(alerts) == 31
    assert sum(one.times for one in alerts) == 46


def test_a_run_that_will_be_tried_again_is_not_told(watch: Watch) -> None:
    ended_run(watch.installation.instance, DAY, **{"dagster/will_retry": "true"})
    assert watch.tick() == "1 runs read, 0 messages sent"


def test_an_error_that_nobody_foresaw_is_told_without_its_words(watch: Watch) -> None:
    run_that(watch.installation.instance, "of anna@example.com")
    watch.tick()
    [told] = watch.mail.taken
    assert told.title == "Error: breaks, a step of the job a_job, failed"
    assert "Cause: An unexpected ValueError." in told.body
    assert "anna" not in told.body


def test_each_sensor_tells_when_the_other_falls_behind(watch: Watch) -> None:
    an_hour_ago = Alerts(watch.installation.state, lambda: time.time() - 3600)
    an_hour_ago.note([], 0, "conditions", "{}")
    an_hour_ago.note([], 0, "runs", Place(time.time()).text())
    assert watch.tick("watch_sensor") == "all is as it should be; 2 messages sent"
    assert watch.mail.titles() == ["Error: alert_sensor is behind"]
    assert watch.tick() == "0 runs read, 0 messages sent"
    assert watch.tick("watch_sensor") == "all is as it should be; 2 messages sent"
    assert watch.hook.titles() == ["Error: alert_sensor is behind", "Recovered: alert_sensor is behind"]
    Alerts(watch.installation.state, lambda: time.time() - 3600).note([], 0, "conditions", "{}")
    watch.tick()
    assert watch.mail.titles()[-1] == "Error: watch_sensor is behind"


def test_old_runs_are_no_news_to_a_new_installation(watch: Watch) -> None:
    run_that(watch.installation.instance, "x")
    place = Place(time.time() + 3600)
    Alerts(watch.installation.state).note([], 0, "runs", place.text())
    assert watch.tick() == "0 runs read, 0 messages sent"
    assert Place.parse("not a place", 5000.0).at == 1400.0
