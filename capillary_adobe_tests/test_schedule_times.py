"""Times of schedules: what cron and Dagster both understand is taken, anything else told by its variable."""

from __future__ import annotations

import pytest

from capillary_adobe.settings import ScheduleSettings, SettingsError, load


@pytest.mark.parametrize("time", ["0 2 * * *", "*/15 1-5 * * 1-5", "0,30 4 1 1-12/3 7"])
def test_a_time_is_taken(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    monkeypatch.setenv("SCHEDULE_PURGE_RUNS", time)
    assert load(ScheduleSettings).purge_runs == time


@pytest.mark.parametrize(
    "time", ["", "4:30", "0 2 * *", "60 2 * * *", "0 24 * * *", "0 2 0 * *", "*/0 2 * * *", "@daily"]
)
def test_what_is_no_time_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    monkeypatch.setenv("SCHEDULE_PURGE_RUNS", time)
    with pytest.raises(SettingsError, match=r"^SCHEDULE_PURGE_RUNS is malformed: give minute, hour, .*such as 30 4"):
        load(ScheduleSettings)
