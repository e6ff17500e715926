"""An operator's day in the UI, walked with a browser: the graph, a red check and its cure, a backfill, the report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import expect

from capillary_adobe.defs.build import SCHEMA_JOB
from capillary_adobe.demo.ui import DagsterUi
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe_tests.browser import Browser, chromium, path_of_chromium
from capillary_adobe_tests.defs.dagster_programs import Programs
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.test_by_day import sale_of

# The dialog offers the last 90 days.
DAYS = [(datetime.now(UTC).date() - timedelta(days=ago)).isoformat() for ago in (12, 11, 10)]
GROUP = "/locations/capillary_adobe/asset-groups/delivery/lineage"
A_RED_BOX = """() => [...document.querySelectorAll("foreignObject *")].some(box => {
    const [red, green, blue] = getComputedStyle(box).borderTopColor.match(/[0-9]+/g).map(Number);
    return parseFloat(getComputedStyle(box).borderTopWidth) > 0 && red > 150 && green < 80 && blue < 80;
})"""
"""Whether an asset of the graph has a red border, by which the UI shows that a check of it or its last run failed."""
REPORT, NUMBER_OF_REPORT = "delivery_report", "accepted_today"
"""The asset on whose page the day ends, and a number that it tells."""


@pytest.fixture
def browser(programs: Programs, tmp_path: Path) -> Iterator[Browser]:
    # Behind the programs: what drives it keeps an event loop in this thread, and a run of Dagster wants to make its own.
    with chromium(tmp_path) as found:
        yield found


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """The operator's mapping folder, which declares nothing yet."""
    folder = tmp_path / "mapping"
    folder.mkdir()
    (folder / "events.yaml").write_text("{}\n", "utf-8")
    return folder


@pytest.fixture
def programs(installation: Installation, mapping: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    """Dagster's programs over three days with an event type that nobody has declared, which were run before."""
    # Before anything is started that takes a minute.
    path_of_chromium()
    settings = {
        "MAPPING_PATH": str(mapping),
        "CHECK_MIN_QUARANTINED": "1",
        "CHECK_MAX_EVENT_AGE_HOURS": "100000",
        # Looks at AEP that show nothing here.
        "ADOBE_VERDICT_SECONDS": "3600",
        "ADOBE_SCHEMA_SECONDS": "3600",
        # Else the report would be there already when the walk passes twenty past an hour.
        "SCHEDULE_WRITE_REPORT": "0 0 1 1 *",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for day in DAYS:
        stamp = sale_of(day, "stamp") | {"eventName": "stampCollected"}
        installation.land(f"events/{day}/10/1.jsonl", sale_of(day, "a"), sale_of(day, "b"), stamp)
    prepared = Programs.on(installation, HISTORY_DAYS_PER_RUN="3")
    with dg.DagsterInstance.from_config(str(prepared.home)) as instance:
        installation.instance = instance
        assert installation.run_days(DAYS[0], DAYS[-1]).success
        # Else `schema_sensor` would ask for a process of its own.
        assert installation.definitions.resolve_job_def(SCHEMA_JOB).execute_in_process(instance=instance).success
    with prepared.at_work() as found:
        yield found


def test_from_a_red_check_to_a_green_one_and_to_the_report(
    programs: Programs, browser: Browser, installation: Installation, emulator: RunningEmulator, mapping: Path
) -> None:
    _look_at_the_graph(browser, programs)
    _read_the_cure(browser, programs)
    (mapping / "events.yaml").write_text("loyalty:\n  stampCollected: {person: customerIdentifiers}\n", "utf-8")
    _launch_the_backfill(browser, programs)
    _watch_it_finish(browser)
    _see_the_check_green(browser, programs)
    _open_the_report(browser, programs)
    (run,) = DagsterUi(programs.url).runs(
        statuses=["SUCCESS"], tags=[{"key": "dagster/backfill", "value": _backfill(programs)}]
    )
    assert run.tags["dagster/asset_partition_range_start"] == DAYS[0]
    assert run.tags["dagster/asset_partition_range_end"] == DAYS[-1]
    assert (summary(emulator.base_url)["distinct"], summary(emulator.base_url)["duplicates"]) == (6, 0)
    for day in DAYS:
        balance = installation.balance(day)
        assert (balance.balanced, balance.quarantined, balance.delivery["accepted"]) == (True, {}, 2)
    assert all(picture.stat().st_size for picture in browser.taken)


def _look_at_the_graph(browser: Browser, programs: Programs) -> None:
    page = browser.page
    page.goto(programs.url)
    page.get_by_text("Lineage", exact=True).first.click()
    expect(page.locator("foreignObject", has_text="delivery").first).to_be_visible()
    expect(page.get_by_text("fetching statuses")).to_have_count(0)
    browser.picture("graph")


def _read_the_cure(browser: Browser, programs: Programs) -> None:
    page = browser.page
    page.goto(f"{programs.url}/assets/raw_events?view=checks")
    page.get_by_text("few_lines_quarantined").first.click()
    expect(page.get_by_text("an error above CHECK_MAX_QUARANTINED_SHARE")).to_be_visible()
    expect(page.get_by_text("mend the source, materialize the partition")).to_be_visible()
    expect(page.get_by_text("Evaluation result")).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).last).to_be_visible()
    browser.picture("red-check")
    page.get_by_text("event_types_are_known").first.click()
    expect(page.get_by_text("of your mapping folder, then materialize the partition again")).to_be_visible()
    browser.picture("cure")


def _launch_the_backfill(browser: Browser, programs: Programs) -> None:
    page = browser.page
    page.goto(f"{programs.url}{GROUP}")
    expect(page.locator("foreignObject", has_text="raw_events").first).to_be_visible()
    page.wait_for_function(A_RED_BOX)
    browser.picture("delivery")
    page.get_by_role("button", name="Materialize all").click()
    # Look-ups are off here, so `customer_lookups` was never materialized, and Dagster asks.
    expect(page.get_by_text("customer_lookups").last).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    dialog = page.get_by_placeholder("No matching partitions")
    dialog.fill(f"[{DAYS[0]}...{DAYS[-1]}]")
    dialog.press("Enter")
    expect(page.get_by_text("3 partitions", exact=True)).to_be_visible()
    browser.picture("dialog")
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_role("button", name="Launch backfill")).to_be_hidden()


def _watch_it_finish(browser: Browser) -> None:
    page = browser.page
    page.get_by_text("Runs", exact=True).first.click()
    page.get_by_text("Backfills", exact=True).click()
    expect(page.get_by_text("3 partitions")).to_be_visible()
    browser.picture("backfill-at-work")
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    browser.picture("backfill-done")


def _see_the_check_green(browser: Browser, programs: Programs) -> None:
    page = browser.page
    page.goto(f"{programs.url}/assets/raw_events?view=checks")
    page.get_by_text("few_lines_quarantined").first.click()
    expect(page.get_by_text("an error above CHECK_MAX_QUARANTINED_SHARE")).to_be_visible()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
    browser.picture("green-check")
    page.goto(f"{programs.url}/assets/ingestion_status")
    expect(page.get_by_text("day_accepted", exact=True)).to_be_visible()
    page.get_by_text("Plots", exact=True).click()
    expect(page.get_by_text("day_accepted", exact=True)).to_be_visible()
    page.get_by_text("day_accepted", exact=True).scroll_into_view_if_needed()
    browser.picture("plots")


def _open_the_report(browser: Browser, programs: Programs) -> None:
    page, ui = browser.page, DagsterUi(programs.url)
    before = len(ui.runs(statuses=["SUCCESS"], pipelineName="__ASSET_JOB"))
    page.goto(f"{programs.url}/assets/{REPORT}")
    expect(page.get_by_text("Never materialized")).to_be_visible()
    page.get_by_role("button", name="Materialize").first.click()
    # It reads what stands behind assets that nobody has materialized yet here, and Dagster asks.
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Never materialized")).to_be_hidden()
    programs.wait(
        "the run of the report", lambda: len(ui.runs(statuses=["SUCCESS"], pipelineName="__ASSET_JOB")) > before
    )
    # The page shows by itself that it was made, and not what it tells.
    page.reload()
    expect(page.get_by_text(NUMBER_OF_REPORT, exact=True)).to_be_visible()
    browser.picture("report")


def _backfill(programs: Programs) -> str:
    (found,) = programs.ask("{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }")[
        "partitionBackfillsOrError"
    ]["results"]
    return found["id"]
