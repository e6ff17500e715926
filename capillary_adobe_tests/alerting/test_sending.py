"""Sending: one message for a distinct failure to each channel that is to hear it, whatever the channels and the clock do."""

from __future__ import annotations

import pytest

from capillary_adobe.alerting.channels import AlertError
from capillary_adobe_tests.alerting.conftest import Desk

MINUTE = 60.0
HOUR = 60 * MINUTE
both = pytest.mark.parametrize("state", ["sqlite", "postgresql"], indirect=True)
FAILED = "Error: The check sound of xdm_events failed for 2026-11-26"
RECOVERED = "Recovered: The check sound of xdm_events failed for 2026-11-26"


@both
def test_a_failure_is_told_once_and_its_end_once(desk: Desk) -> None:
    desk.fail()
    assert desk.send() == 2
    desk.now += 15
    desk.fail()
    assert desk.send() == 0
    desk.now += 15
    desk.well()
    assert desk.send() == 0
    desk.now += 2 * MINUTE
    assert desk.send() == 2
    desk.now += 24 * HOUR
    assert desk.send() == 0
    assert desk.mail.titles() == desk.hook.titles() == [FAILED, RECOVERED]
    first, last = desk.mail.taken
    assert "Cause: it found 3" in first.body
    assert "What to do: mend it" in first.body
    assert "Seen 2 times, first at 2026-11-26 12:00:00 UTC, last at 2026-11-26 12:00:15 UTC." in last.body
    assert desk.alerts.unsettled() == []


def test_links_lead_to_the_run_and_the_partition(desk: Desk) -> None:
    desk.fail()
    desk.send(ui_url="https://dagster.example.com/data/")
    body = desk.hook.taken[0].body
    assert "Run: https://dagster.example.com/data/runs/run-1" in body
    assert "Partition: https://dagster.example.com/data/assets/xdm_events?view=partitions&partition=2026-11-26" in body


def test_repeats_are_told_with_their_count_at_growing_intervals(desk: Desk) -> None:
    sent = []
    for minute in range(0, 16 * 60 + 1, 30):
        desk.fail()
        if desk.send():
            sent.append(minute / 60)
        desk.now += 30 * MINUTE
    assert sent == [0, 1, 3, 7, 15]
    assert desk.mail.titles()[-1] == f"{FAILED} (and keeps failing)"
    assert "Seen 31 times" in desk.mail.taken[-1].body


def test_what_comes_and_goes_is_one_alert(desk: Desk) -> None:
    for _ in range(10):
        desk.fail()
        desk.send()
        desk.now += 20
        desk.well()
        desk.send()
        desk.now += 20
    assert desk.mail.titles() == [FAILED]
    desk.now += 2 * MINUTE
    desk.send()
    assert desk.mail.titles() == [FAILED, RECOVERED]
    # Well for two minutes, and failing again: the hour is not over.
    desk.fail()
    desk.send()
    assert len(desk.mail.taken) == 2
    desk.now += HOUR
    desk.send()
    assert desk.mail.titles()[2:] == [f"{FAILED} (and keeps failing)"]


def test_a_failure_after_the_window_is_a_new_alert(desk: Desk) -> None:
    desk.fail()
    desk.send()
    desk.now += 1
    desk.well()
    desk.now += 2 * HOUR
    desk.send()
    desk.fail()
    desk.send()
    assert desk.mail.titles() == [FAILED, RECOVERED, FAILED]
    assert "Seen 1 time," in desk.mail.taken[-1].body


@both
def test_days_that_fail_alike_are_one_message(desk: Desk) -> None:
    for day in range(1, 21):
        desk.fail(day=f"2026-11-{day:02d}", cause="it found 4" if day == 2 else "it found 3")
    assert desk.send() == 2
    assert desk.mail.titles()[0].endswith("2026-11-13, 2026-11-14 and 6 more")
    assert "Cause for 2026-11-02: it found 4" in desk.mail.taken[0].body
    desk.now += 1
    for day in range(1, 20):
        desk.well(day=f"2026-11-{day:02d}")
    desk.now += 2 * MINUTE
    assert desk.send() == 2
    assert "2026-11-20" not in desk.hook.taken[-1].title
    assert [one.partition for one in desk.alerts.unsettled()] == ["2026-11-20"]


@both
def test_a_broken_channel_loses_nothing_and_the_other_hears_nothing_twice(desk: Desk) -> None:
    desk.mail.refusing = True
    desk.fail()
    for _ in range(3):
        with pytest.raises(AlertError, match=r"The channel mail \(mailto\) took no message: .*451.*not now") as told:
            desk.send()
        assert "team@example.com" not in str(told.value)
        desk.now += 15
    desk.fail("other")
    with pytest.raises(AlertError):
        desk.send()
    assert len(desk.hook.taken) == 2
    desk.well()
    desk.now += 2 * MINUTE
    desk.mail.refusing = False
    assert desk.send() == 3
    # What was over before the channel came back is told as such.
    assert sorted(desk.mail.titles()) == [
        "Error: The check other of xdm_events failed for 2026-11-26",
        "Recovered: The check sound of xdm_events failed for 2026-11-26",
    ]
    assert "failed for 2026-11-26, and is well again." in next(
        one.body for one in desk.mail.taken if "sound" in one.title
    )
    assert len(desk.hook.taken) == 3
    assert desk.send() == 0


def test_a_channel_hears_what_its_route_says(desk: Desk) -> None:
    routes = {"routes": "mail=error hook=warning,team:data"}
    desk.fail("mild", severity="warning")
    desk.fail("grave")
    desk.fail("theirs", owners=frozenset({"team:web"}))
    desk.fail("nobodys", severity="warning", owners=frozenset())
    desk.send(**routes)
    assert [title.split()[3] for title in desk.mail.titles()] == ["grave", "theirs"]
    assert [title.split()[3] for title in desk.hook.titles()] == ["mild", "grave", "nobodys"]
    assert desk.hook.last["type"] == "warning"
    # What becomes an error is told at once to who hears errors, and again to who had heard a warning.
    desk.now += 1
    desk.fail("mild")
    desk.send(**routes)
    assert [title.split()[3] for title in desk.mail.titles()] == ["grave", "theirs", "mild"]
    assert desk.hook.titles()[-1].startswith("Error: The check mild")


def test_warnings_wait_for_the_end_of_the_quiet_hours(desk: Desk) -> None:
    quiet = {"quiet_hours": "20:00-08:00", "timezone": "Asia/Kolkata"}
    desk.now += 3 * HOUR  # 20:30 in Kolkata
    desk.fail("mild", severity="warning")
    desk.fail("grave")
    desk.send(**quiet)
    assert [title.split()[3] for title in desk.mail.titles()] == ["grave"]
    desk.now += 11 * HOUR
    desk.send(**quiet)
    assert len(desk.mail.taken) == 1
    desk.now += HOUR
    desk.send(**quiet)
    assert [title.split()[3] for title in desk.mail.titles()] == ["grave", "mild"]


def test_a_backlog_is_told_when_it_lasts(desk: Desk) -> None:
    desk.fail(severity="warning", backlog=True)
    desk.send()
    desk.now += MINUTE
    desk.well()
    desk.send()
    desk.now += 5 * MINUTE
    desk.send()
    assert desk.mail.taken == []
    assert desk.alerts.unsettled() == []
    desk.fail(severity="warning", backlog=True)
    desk.now += 2 * MINUTE
    desk.send()
    assert len(desk.mail.taken) == 1


def test_what_is_older_than_the_known_changes_nothing(desk: Desk) -> None:
    desk.fail()
    desk.now += 10
    desk.well()
    desk.now -= 5
    desk.fail()
    desk.now += 5
    [one] = desk.alerts.unsettled()
    assert (one.times, one.recovered_by) == (1, "run-2")


def test_without_a_channel_alerts_are_kept_and_told_to_the_first_one(desk: Desk) -> None:
    desk.fail()
    assert desk.send(channels=None) == 0
    [one] = desk.alerts.latest(10, standing=True)
    assert one.cause == "it found 3"
    assert desk.send() == 2


@both
def test_what_is_over_goes_from_the_list_in_time(desk: Desk) -> None:
    for day in ("2026-11-25", "2026-11-26"):
        desk.fail(day=day)
        desk.send()
        desk.now += 1
        desk.well(day=day)
        desk.now += 2 * HOUR
        desk.send(keep_days=1)
        desk.now += 48 * HOUR
    assert [one.partition for one in desk.alerts.latest(10, standing=False)] == ["2026-11-26"]
