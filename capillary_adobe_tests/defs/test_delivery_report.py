"""The delivery report over real runs: it tells of each trouble, agrees with the balance, and holds nothing personal."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pytest
import requests
from click.testing import CliRunner

from capillary_adobe.cli import main
from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.delivery_log import NAME as DELIVERY_LOG
from capillary_adobe.defs.report_schedule import REPORT_JOB
from capillary_adobe.delivery_switch import pause
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import Slice
from capillary_adobe.state.alerts import Alerts, Problem
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe_tests.defs.installation import Installation
from capillary_adobe_tests.defs.test_road import sale

E_MAIL, MOBILE = "jane.roe@example.com", "919650123456"
FLOWING, STUCK = "Is everything flowing?", "What is stuck, and why?"


def day(ago: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=ago)).isoformat()


def key(of: str, number: int) -> str:
    return f"events/{of}/10/{number}.jsonl"


def personal(number: int, **fields: object) -> dict[str, Any]:
    """A sale that tells whose it is."""
    event: dict[str, Any] = sale(number, **fields)
    event["data"]["customerIdentifiers"]["instore"] = {"email": E_MAIL, "mobile": MOBILE}
    return event


@pytest.fixture
def place(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation that tells of the last four days."""
    monkeypatch.setenv("REPORT_DAYS", "4")
    monkeypatch.setenv("ADOBE_RETRY_BUDGET_SECONDS", "0")
    with dg.DagsterInstance.ephemeral() as installation.instance:
        yield installation


class Told:
    """What a run of the asset has shown and written."""

    def __init__(self, place: Installation) -> None:
        done = place.definitions.resolve_job_def(REPORT_JOB).execute_in_process(instance=place.instance)
        [made] = done.asset_materializations_for_node("delivery_report")
        self.metadata: dict[str, Any] = {name: value.value for name, value in made.metadata.items()}
        self.page = Path(self.metadata["page"]).read_text("utf-8")
        self.everything = self.page + self.picture + repr(self.metadata) + repr(done.all_events)

    @property
    def picture(self) -> str:
        [address] = re.findall(r"\(data:image/svg\+xml;base64,(\S+)\)", self.metadata["picture"])
        return base64.b64decode(address).decode()

    def answer(self, question: str) -> str:
        """The level and the words of a question, as the UI shows them."""
        [found] = [part for part in re.split(r"\n\n(?=✓|◔|✗)", self.metadata["answers"]) if question in part]
        return found

    def rows(self, heading: str) -> list[list[str]]:
        """The cells of the table under a heading of the page."""
        table = self.page.split(f"<h2>{heading}</h2>")[1].split("</table>")[0]
        rows = re.findall(r"<tr>(?!<th)(.*?)</tr>", table, re.DOTALL)
        return [
            [" ".join(re.sub(r"<[^>]+>", " ", c).split()) for c in re.findall(r"<td.*?>(.*?)</td>", r, re.DOTALL)]
            for r in rows
        ]


def test_all_is_well(place: Installation) -> None:
    place.land(key(day(1), 1), personal(1), personal(2), personal(2))
    place.land(key(day(0), 1), personal(3))
    assert place.run(day(1)).success
    # Before anything of today arrives, the latency is that of another day, and says so.
    assert f" s on {day(1)}" in Told(place).answer(FLOWING)
    assert place.run(day(0)).success
    told = Told(place)
    assert told.answer(FLOWING).startswith(f"✓ **{FLOWING}** Yes.")
    assert " on " not in told.answer(FLOWING)
    assert told.answer(STUCK).startswith(f"✓ **{STUCK}** Nothing.")
    yesterday = told.answer(f"Did {day(1)} arrive completely?")
    assert f"{day(1)} is closed: 3 lines landed, 2 events accepted, 1 duplicates." in yesterday
    assert "has not been compared yet" in yesterday
    balance = place.balance(day(1))
    newest, second, *empty = told.rows("Day by day")
    assert newest[:3] == [f"{day(0)} so far", "1", "1"]
    assert second[:7] == [day(1), "3", "2", "0", "0", "1", "0"]
    assert second[8] == f"{balance.latency_seconds['p50']:.3g}"
    assert [row[-1] for row in (newest, second, *empty)] == ["balanced", "balanced", "nothing landed", "nothing landed"]
    numbers = {"landed_today": 1, "accepted_yesterday": 2, "unbalanced_days": 0, "open_events": 0, "alerts_standing": 0}
    numbers |= {"customers_known": 3}
    assert numbers.items() <= told.metadata.items()
    assert told.metadata["latency_p95_seconds"] > 0
    # One file that asks for nothing beside itself, and a picture that is whole.
    assert not re.search(r"<script|<link|src=|url\(|https?://(?!www\.w3\.org/2000/svg)", told.page)
    assert ElementTree.fromstring(told.picture).tag.endswith("svg")  # noqa: S314 - made here


def test_what_is_stuck_is_told_with_its_cause_and_nothing_personal(
    place: Installation, emulator: RunningEmulator
) -> None:
    broken = personal(1)
    del broken["orgId"]
    place.land(key(day(1), 1), broken, personal(2, eventName=f"<b>{E_MAIL}</b>"), personal(3))
    place.store.write(
        key(day(1), 2), f'{{"eventName": "transactionAdded", "mobile": "{MOBILE}", "email": "{E_MAIL}'.encode()
    )
    fault = {"kind": "status", "status": 503, "path": "/collection/", "times": None}
    requests.post(f"{emulator.base_url}/control/faults", json=fault, timeout=10).raise_for_status()
    assert not place.run(day(1), raise_on_error=False).success
    place.land(key(day(0), 1), personal(4))
    Alerts(place.state).note([_alert()], 0, "look")
    compared(place.instance, sent=5, lost_events=1)
    told = Told(place)

    assert "No." in told.answer(FLOWING)
    assert "1 alerts stand, 1 of them errors" in told.answer(FLOWING)
    assert "1 landed objects are not read yet, the oldest since" in told.answer(STUCK)
    assert re.search(r"[12] events and profiles are pending", told.answer(STUCK))
    yesterday = told.answer(f"Did {day(1)} arrive completely?")
    assert "✗" in yesterday
    assert "Of 5 events that Capillary says it sent, 1 have not landed" in yesterday
    causes = {row[0].split()[0]: row for row in told.rows("Quarantine by cause")}
    assert set(causes) == {"org_missing", "event_unknown", "not_json"}
    assert causes["not_json"][1:3] == ["1", day(1)]
    assert "docs/troubleshooting.md#quarantined-lines" in causes["not_json"][-1]
    [alert] = told.rows("Alerts that stand")
    assert alert[1:] == ["error &lt;ingestion_status&gt; failed", "AEP is away &amp; gone", "Wait."]
    assert told.metadata["unread_objects"] == 1
    assert told.metadata["oldest_unread_seconds"] >= 0
    assert told.metadata["errors_network_today"] >= 1
    assert told.metadata["quarantined"] == 3
    for value in (E_MAIL, MOBILE, "jane.roe"):
        assert value not in told.everything


def _alert(key: str = "k") -> Problem:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    return Problem(key, key, key, "error", "<ingestion_status> failed", "AEP is away & gone", "Wait.", now_ms)


def compared(instance: dg.DagsterInstance, **figures: int | str) -> None:
    """What Capillary's log told of yesterday."""
    instance.report_runless_asset_event(dg.AssetMaterialization(DELIVERY_LOG, partition=day(1), metadata={**figures}))


def test_what_is_on_its_way_or_in_doubt_is_not_called_complete(place: Installation) -> None:
    place.land(key(day(1), 1), personal(1))
    assert place.run(day(1)).success
    question = f"Did {day(1)} arrive completely?"
    compared(place.instance, sent=1, lost_events=0, retrying=0, just_sent=0)
    assert "All of the 1 events that Capillary says it sent have landed." in (well := Told(place).answer(question))
    assert well.startswith("✓")
    compared(place.instance, sent=4, lost_events=0, retrying=2, just_sent=1)
    assert "Of 4 events that Capillary says it sent, 3 were still on their way" in (
        open_ := Told(place).answer(question)
    )
    assert open_.startswith(f"◔ **{question}** Not yet.")
    compared(place.instance, sent=1, lost_events=0, doubts="its answers may be cut")
    assert "may not be whole: its answers may be cut." in (doubtful := Told(place).answer(question))
    assert doubtful.startswith("◔")
    # Reported by hand in the UI, which tells nothing.
    compared(place.instance)
    assert "has not been compared yet" in Told(place).answer(question)


def test_every_alert_counts_and_the_latest_are_listed(place: Installation) -> None:
    Alerts(place.state).note([_alert(f"k{number}") for number in range(12)], 0, "look")
    told = Told(place)
    assert "12 alerts stand, 12 of them errors" in told.answer(FLOWING)
    assert told.metadata["alerts_standing"] == 12
    assert len(told.rows("Alerts that stand")) == 10
    assert "And 2 more" in told.page


def test_books_that_a_run_will_close_are_told_from_those_that_differ(place: Installation) -> None:
    place.land(key(day(1), 1), personal(1), personal(2))
    assert place.run(day(1), until="raw_events").success
    half = Told(place)
    assert f"◔ **{STUCK}** Some of it waits." in half.answer(STUCK)
    assert f"A run is at work on {day(1)}, or is to come" in half.answer(STUCK)
    assert "Not yet." in half.answer(f"Did {day(1)} arrive completely?")
    assert (half.rows("Day by day")[1][-1], half.metadata["unbalanced_days"]) == ("at work", 0)

    assert place.run(day(1)).success
    place.lake.replace(ENRICHED_EVENTS, Slice(day(1)), [])
    lost = Told(place)
    assert f"✗ **{STUCK}** Something needs a hand." in lost.answer(STUCK)
    assert f"{day(1)} does not balance: enriched 2." in lost.answer(STUCK)
    assert "✗" in lost.answer(f"Did {day(1)} arrive completely?")
    assert (lost.rows("Day by day")[1][-1], lost.metadata["unbalanced_days"]) == ("differs enriched 2", 1)


def test_a_pause_is_told_and_the_command_writes_the_same(place: Installation, tmp_path: Path) -> None:
    place.land(key(day(1), 1), personal(1))
    pause(place.state, "a <new> sandbox")
    assert place.run(day(1)).success
    told = Told(place)
    assert "No: it is paused." in told.answer(FLOWING)
    assert "(a <new> sandbox)" in told.answer(FLOWING)
    assert "a &lt;new&gt; sandbox" in told.page
    assert "a <new>" not in told.page
    assert "1 micro-batches wait for the end of the pause" in told.answer(STUCK)
    addresses = {"LANDING_URL": place.landing_url, "LAKE_URL": place.lake_url, "STATE_URL": place.state_url}
    out = tmp_path / "elsewhere" / "page.html"
    home = tmp_path / "home"
    home.mkdir()
    done = CliRunner().invoke(main, ["report", "--out", str(out)], env={**addresses, "DAGSTER_HOME": str(home)})
    assert done.exit_code == 0, done.output
    assert "Is everything flowing? No: it is paused." in done.output
    assert _without_moments(out.read_text("utf-8")) == _without_moments(told.page)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        compared(instance, sent=5, lost_events=1)
    done = CliRunner().invoke(main, ["report", "--out", str(out)], env={**addresses, "DAGSTER_HOME": str(home)})
    assert "Of 5 events that Capillary says it sent, 1 have not landed." in done.output
    done = CliRunner().invoke(main, ["report", "--out", str(out)], env={**addresses, "DAGSTER_HOME": ""})
    assert f"DAGSTER_HOME is not set: ask `capillary-adobe reconcile --day {day(1)}`." in done.output


def _without_moments(text: str) -> str:
    return re.sub(r"\d\d:\d\d UTC", "", text)


def test_the_link_is_shown_and_the_schedule_is_on(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORT_LINK", "https://reports.example.com/delivery_report.html")
    assert Told(place).metadata["link"] == "https://reports.example.com/delivery_report.html"
    schedule: Any = build_defs().resolve_schedule_def(REPORT_JOB)
    assert (schedule.cron_schedule, schedule.default_status) == ("20 * * * *", dg.DefaultScheduleStatus.RUNNING)
