"""The history sensor: real ticks, what they make known and ask for, and in words why they ask for nothing."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.assets.history_files import NAME, REFUSED_TAG
from capillary_adobe.defs.build import IMPORT_JOB
from capillary_adobe_tests.defs.importing import OLD, Importer, bills, importer_of, packed
from capillary_adobe_tests.sftp_server import PASSWORD, sftp_server

ROWS = [(1, "100.50", "2025-03-10", 7)]
UNKNOWN = packed(b"what,is,this\n1,2,3\n")


@pytest.fixture
def importer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importer:
    return importer_of(tmp_path, monkeypatch)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause after a failure."""
    monkeypatch.setattr("capillary_adobe.defs.history_sensor._FIRST_PAUSE_SECONDS", 0)


def test_each_file_is_a_partition_at_once_and_imports_follow_one_by_one_oldest_first(importer: Importer) -> None:
    importer.put("b/new.zip", bills(ROWS), OLD + timedelta(days=1))
    importer.put("a/old.zip", bills([(2, "1", "2025-03-10", 7)]))
    tick = importer.tick()
    keys = ["a/old.zip 2025-06-01 12:00:00", "b/new.zip 2025-06-02 12:00:00"]
    assert tick.added == keys
    assert [one.partition_key for one in tick.requests] == keys[:1]
    imported = [done.get_asset_materialization_events()[0].partition for _ in keys if (done := importer.daemon())]
    assert imported == keys
    quiet = importer.tick()
    assert (quiet.added, quiet.requests) == ([], [])
    assert quiet.words == "2 files at INSIGHTS_URL, none of them to be imported now"


def test_a_run_at_work_holds_the_next_back(importer: Importer) -> None:
    importer.put("bills.zip", bills(ROWS))
    (request,) = importer.tick().requests
    run = importer.installation.instance.create_run_for_job(
        importer.definitions.resolve_job_def(IMPORT_JOB), tags=dict(request.tags)
    )
    importer.put("more.zip", bills([(2, "1", "2025-03-10", 7)]))
    held = importer.tick()
    assert (held.requests, held.added) == ([], [])
    assert held.words.startswith(f"run {run.run_id[:8]} imports bills.zip 2025-06-01 12:00:00")


def test_a_file_that_is_still_being_written_waits(importer: Importer) -> None:
    importer.put("fresh.zip", bills(ROWS), datetime.now(UTC))
    importer.put(".hidden.zip", bills(ROWS))
    importer.put("upload.zip.part", bills(ROWS))
    assert importer.tick().words == (
        "0 files at INSIGHTS_URL, none of them to be imported now; 1 changed within INSIGHTS_SETTLE_SECONDS and wait"
    )
    # A clock that went ahead there keeps no file for ever.
    importer.put("future.zip", bills(ROWS), datetime.now(UTC) + timedelta(days=400))
    assert importer.tick().requests


def test_without_an_address_or_an_organisation_it_skips_in_words(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer.put("bills.zip", bills(ROWS))
    monkeypatch.delenv("INSIGHTS_ORG_ID")
    assert "INSIGHTS_ORG_ID is not set" in importer.tick().words
    monkeypatch.delenv("INSIGHTS_URL")
    assert "INSIGHTS_URL is not set" in importer.tick().words


def test_a_failed_file_rests_longer_each_time_and_holds_nobody_up(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer.put("bills.zip", bills(ROWS))
    importer.put("later.zip", bills([(2, "1", "2025-03-10", 7)]), OLD + timedelta(days=1))
    # The landing store cannot be written: nothing is wrong with the file.
    landing = importer.installation.landing_root
    landing.write_text("no folder")
    first = importer.daemon(raise_on_error=False)
    assert first is not None
    assert not first.success
    # The other one is tried meanwhile, and fails alike.
    second = importer.daemon(raise_on_error=False)
    assert second is not None
    assert not second.success
    resting = importer.tick()
    assert resting.requests == []
    assert f"bills.zip 2025-06-01 12:00:00 failed in run {first.run_id[:8]}, which says why" in resting.words
    landing.unlink()
    now = time.time()
    monkeypatch.setattr("capillary_adobe.defs.history_sensor.time.time", lambda: now + 45)
    assert importer.tick().requests == []
    monkeypatch.setattr("capillary_adobe.defs.history_sensor.time.time", lambda: now + 61)
    (again,) = importer.tick().requests
    assert again.partition_key == "bills.zip 2025-06-01 12:00:00"
    assert importer.run(str(again.partition_key), tags=dict(again.tags)).success


def test_pauses_double(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    importer.put("bills.zip", bills(ROWS))
    landing = importer.installation.landing_root
    landing.write_text("no folder")
    (request,) = importer.tick().requests
    for _ in range(2):
        importer.run(str(request.partition_key), raise_on_error=False)
    now = time.time()
    monkeypatch.setattr("capillary_adobe.defs.history_sensor.time.time", lambda: now + 100)
    assert importer.tick().requests == []
    monkeypatch.setattr("capillary_adobe.defs.history_sensor.time.time", lambda: now + 121)
    (again,) = importer.tick().requests
    # A key is burnt with its run.
    assert again.run_key != request.run_key


@pytest.mark.usefixtures("at_once")
def test_a_file_that_is_refused_for_good_is_tried_again_when_it_has_changed(importer: Importer) -> None:
    importer.put("odd.zip", UNKNOWN)
    refused = importer.daemon(raise_on_error=False)
    assert refused is not None
    assert not refused.success
    words = importer.tick().words
    assert f"odd.zip 2025-06-01 12:00:00 cannot be imported as it is: run {refused.run_id[:8]} says why" in words
    importer.put("odd.zip", bills(ROWS), OLD + timedelta(hours=1))
    mended = importer.daemon()
    assert mended is not None
    # The version that was refused is no more, and nobody speaks of it.
    assert importer.tick().words == "1 files at INSIGHTS_URL, none of them to be imported now"


@pytest.mark.usefixtures("at_once")
def test_a_file_that_is_refused_for_good_is_tried_again_when_rules_or_settings_have_changed(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("live_from: {default: 2026-01-01}\n")
    monkeypatch.setenv("INSIGHTS_RULES", str(rules))
    importer.put("odd.zip", UNKNOWN)
    assert importer.daemon(raise_on_error=False)
    assert importer.daemon() is None
    rules.write_text("live_from: {default: 2026-01-02}\n")
    assert importer.daemon(raise_on_error=False)
    assert importer.daemon() is None
    monkeypatch.setenv("HISTORY_START", "2024-01-02")
    assert importer.daemon(raise_on_error=False)
    assert importer.daemon() is None
    # A secret in .env shows by the file alone.
    (tmp_path / ".env").write_text("INSIGHTS_ZIP_PASSWORD=open sesame\n")
    assert importer.daemon(raise_on_error=False)
    assert importer.daemon() is None
    tags = [run.tags for run in importer.installation.instance.get_runs()]
    assert len(tags) == 4
    assert "sesame" not in str(tags)


@pytest.mark.usefixtures("at_once")
def test_a_file_that_the_operator_imports_himself_needs_no_other_run(importer: Importer) -> None:
    importer.put("odd.zip", UNKNOWN)
    assert importer.daemon(raise_on_error=False)
    importer.put("bills.zip", bills(ROWS))
    importer.installation.instance.add_dynamic_partitions(NAME, ["bills.zip 2025-06-01 12:00:00"])
    assert importer.run("bills.zip 2025-06-01 12:00:00").success
    assert importer.tick().requests == []


def test_an_import_that_was_terminated_waits_for_its_operator(importer: Importer) -> None:
    importer.put("bills.zip", bills(ROWS))
    (request,) = importer.tick().requests
    instance = importer.installation.instance
    run = instance.create_run_for_job(importer.definitions.resolve_job_def(IMPORT_JOB), tags=dict(request.tags))
    instance.report_run_canceled(run)
    assert f"waits for you: run {run.run_id[:8]} was terminated" in importer.tick().words


def test_what_the_command_line_imported_without_dagster_is_not_imported_again(importer: Importer) -> None:
    from capillary_adobe.capillary.insights.places import open_place
    from capillary_adobe.history_place import import_place
    from capillary_adobe.history_setup import ImportSetup

    importer.put("bills.zip", bills(ROWS))
    setup = ImportSetup.read(importer.installation.store, importer.installation.state)
    assert len(list(import_place(open_place(str(importer.folder), setup.insights), setup, lambda _: None))) == 1
    tick = importer.tick()
    assert (tick.added, tick.requests) == ([], [])


def test_files_that_the_rules_leave_alone_are_no_partitions(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text('ignore: ["*Footfall*"]\n')
    monkeypatch.setenv("INSIGHTS_RULES", str(tmp_path / "rules.yaml"))
    importer.put("Footfall_2025.zip", bills(ROWS))
    tick = importer.tick()
    assert tick.added == []
    assert "1 are left alone by the rules file" in tick.words


def test_a_place_that_is_down_is_skipped_in_words_and_a_wrong_one_fails_the_tick(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSIGHTS_URL", str(tmp_path / "nowhere"))
    with pytest.raises(dg.Failure, match=r"There is no folder or file .*nowhere"):
        importer.tick()
    importer.put("bills.zip", bills(ROWS))
    (tmp_path / "beside").mkdir()
    with sftp_server(importer.folder, tmp_path / "beside") as server:
        monkeypatch.setenv("INSIGHTS_URL", server.url())
        monkeypatch.setenv("INSIGHTS_SFTP_KNOWN_HOSTS", str(server.known_hosts))
        monkeypatch.setenv("INSIGHTS_SFTP_PASSWORD", PASSWORD)
        assert importer.daemon()
    down = importer.tick()
    assert down.requests == []
    assert "It is tried again." in down.words
    assert PASSWORD not in down.words
    # Nor is a run that met it held against the file.
    failed = importer.run(importer.partitions[0], raise_on_error=False)
    assert not failed.success
    run = importer.installation.instance.get_run_by_id(failed.run_id)
    assert run is not None
    assert REFUSED_TAG not in run.tags


def test_a_mistake_in_the_rules_file_fails_the_tick_and_names_it(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text("live_form: {}\n")
    monkeypatch.setenv("INSIGHTS_RULES", str(tmp_path / "rules.yaml"))
    with pytest.raises(dg.Failure, match=r"live_form"):
        importer.tick()


def test_old_files_cost_no_run_and_no_cursor(importer: Importer) -> None:
    for number in range(40):
        importer.put(f"old/{number:03}.zip", b"x")
    assert len(importer.tick().added) == 40
    instance = importer.installation.instance
    for key in importer.partitions:
        instance.report_runless_asset_event(dg.AssetMaterialization(NAME, partition=key))
    began = time.process_time()
    assert importer.tick().requests == []
    assert time.process_time() - began < 2
    os.utime(importer.folder / "old" / "007.zip", (OLD.timestamp() + 60, OLD.timestamp() + 60))
    assert importer.tick().added == ["old/007.zip 2025-06-01 12:01:00"]
