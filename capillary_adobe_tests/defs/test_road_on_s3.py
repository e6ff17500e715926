"""The whole road on S3: landing store and tables in buckets, from a landed object to a balance that proves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from capillary_adobe.cli import main
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.report_schedule import REPORT_JOB
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.lake import LakeError, LakeUnavailable
from capillary_adobe.reporting.place import write_beside
from capillary_adobe.tables import INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_EVENTS
from capillary_adobe_tests.defs.installation import Installation, events, failure_of, summary
from capillary_adobe_tests.defs.test_road import checks, sale
from capillary_adobe_tests.defs.test_sensor import Operator, fresh, key, settled, today
from capillary_adobe_tests.s3_servers import S3Server, juicefs_gateway, moto_server

assert settled  # the sensor's fixture: objects are taken at once


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture
def on_s3(emulator: RunningEmulator, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An empty installation with nothing but its state database on this disk."""
    assert emulator.base_url
    moto.use(monkeypatch)
    bucket = moto.bucket()
    return Installation(
        tmp_path / "installation",
        tmp_path / "nothing",
        landing_url=f"s3://{bucket}/landing",
        lake_url=f"s3://{bucket}/lake",
    )


def call(installation: Installation, *arguments: str) -> Result:
    addresses = {
        "LANDING_URL": installation.landing_url,
        "LAKE_URL": installation.lake_url,
        "STATE_URL": installation.state_url,
    }
    answer = CliRunner().invoke(main, arguments, env=addresses)
    assert answer.exit_code == 0, answer.output
    return answer


def test_landed_objects_arrive_once_and_the_day_balances(on_s3: Installation, emulator: RunningEmulator) -> None:
    operator = Operator(on_s3)
    on_s3.land(key("1"), fresh(1), fresh(2))
    on_s3.store.write(key("2"), b'{"eventName": "transactionAdded", "data": {"amount"\n')
    # One event comes again.
    on_s3.land(key("3"), fresh(2), fresh(3))
    (request,) = operator.tick().requests
    assert operator.run(request)
    assert operator.tick().requests == []
    balance = on_s3.balance(today())
    assert balance.balanced, balance.differences
    assert (balance.landed_lines, balance.raw, balance.duplicates, balance.quarantined) == (5, 3, 1, {"not_json": 1})
    assert balance.delivery["accepted"] == 3 == len({entity["_id"] for entity in events(emulator.base_url)})

    result = on_s3.run(today())
    assert [name for name, passed in checks(result).items() if not passed] == ["raw_events.few_lines_quarantined"]
    assert summary(emulator.base_url)["accepted"] == 3
    assert len(on_s3.rows(XDM_EVENTS, today())) == 3
    assert {row["status"] for row in on_s3.rows(INGESTION_STATUS, today())} == {"accepted"}
    assert [row["code"] for row in on_s3.rows(QUARANTINE, today())] == ["not_json"]
    assert not list(on_s3.root.rglob("*.parquet")), "nothing of the tables is on this disk"

    assert '"balanced": true' in call(on_s3, "status", "--day", today(), "--json").output


def test_a_lake_in_a_store_that_overwrites_is_refused_in_one_sentence(
    emulator: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the landing store may lie there."""
    with juicefs_gateway() as gateway:
        gateway.use(monkeypatch)
        landing = f"s3://{gateway.bucket()}/landing"
        refused = Installation(
            tmp_path / "one", tmp_path, landing_url=landing, lake_url=f"s3://{gateway.bucket()}/lake"
        )
        refused.land(key("1"), sale(1))
        words = failure_of(refused.run(today(), raise_on_error=False))
        assert words.startswith("LAKE_URL=s3://")
        assert "Name a store with conditional writes in LAKE_URL" in words
        assert "\n" not in words

        on_disk = Installation(tmp_path / "other", tmp_path, landing_url=landing)
        assert len(Operator(on_disk).tick().requests) == 1
        assert on_disk.run(today(), until="raw_events").success
        assert len(on_disk.rows(RAW_EVENTS, today())) == 1


@pytest.mark.parametrize(("error", "again"), [(LakeError, False), (LakeUnavailable, True)])
def test_only_a_lake_that_may_come_back_is_tried_again(error: type[LakeError], *, again: bool) -> None:
    with pytest.raises(dg.Failure) as told, told_plainly():
        raise error("words")
    assert (told.value.description, told.value.allow_retries) == ("words", again)


def test_the_report_lies_beside_the_tables_as_a_page(on_s3: Installation, moto: S3Server) -> None:
    job = on_s3.definitions.resolve_job_def(REPORT_JOB)
    job.execute_in_process(instance=on_s3.instance)
    [made] = job.execute_in_process(instance=on_s3.instance).asset_materializations_for_node("delivery_report")
    assert made.metadata["page"].value == f"{on_s3.lake_url}/delivery_report.html"
    bucket = on_s3.lake_url.split("/")[2]
    [found] = moto.client().list_objects_v2(Bucket=bucket)["Contents"]
    stored = moto.client().get_object(Bucket=bucket, Key=found["Key"])
    assert (found["Key"], stored["ContentType"]) == ("lake/delivery_report.html", "text/html; charset=utf-8")
    assert stored["Body"].read().decode().startswith("<!doctype html>")
    with pytest.raises(LakeError, match="Make the bucket"):
        write_beside("s3://no-such-bucket-here/lake", "page")
