"""The checks of a day of history: an export on its way to AEP, held against what AEP took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import DaysToSettle, HistoryFiles
from capillary_adobe_tests.defs.importing import ORG, Importer, bills, checks, importer_of
from capillary_adobe_tests.defs.test_road import sale
from capillary_adobe_tests.defs.verdicts import read_verdict

DAY = "2025-03-10"
ROWS = [(1, "100.50", DAY, 7), (2, "12", DAY, 8)]
OF_DAY = ("history_has_landed", "history_totals_hold", "overlap_with_live")


@pytest.fixture
def importer(emulator: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importer:
    return importer_of(tmp_path / "operator", monkeypatch)


def of_day(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Whether each check of the day's history passed, and its figures."""
    return {
        name: (one.passed, {key: value.value for key, value in one.metadata.items()})
        for name, one in checks(result).items()
        if name in OF_DAY
    }


def passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {name: good for name, (good, _) in of_day(result).items()}


def posted(bill: int, amount: float) -> dict[str, Any]:
    """The webhook's twin of a bill."""
    event: dict[str, Any] = sale(bill, createdAt=1741588200000, orgId=int(ORG))
    return event | {"data": {**event["data"], "amount": amount}}


def test_a_days_export_is_held_against_what_aep_took(importer: Importer) -> None:
    installation = importer.installation
    importer.put("bills.zip", bills(ROWS))
    assert importer.daemon()
    found = of_day(installation.run(DAY))
    assert passed_all(found), found
    assert found["history_has_landed"][1]["lines_read"] == found["history_has_landed"][1]["lines_imported"] == 2
    totals = found["history_totals_hold"][1]
    assert (totals["events"], totals["accepted"], totals["differing"], totals["not_comparable"]) == (2, 2, 0, 0)
    assert totals["sums"].count("112.5") == 2
    # More is imported, and no run has read it.
    importer.put("more.zip", bills([(3, "5", DAY, 9)]))
    assert importer.daemon()
    result = installation.run(DAY, begin="ingestion_status")
    assert passed(result) == dict.fromkeys(OF_DAY, True) | {"history_has_landed": False, "history_totals_hold": False}
    assert {checks(result)[name].severity for name in OF_DAY[:2]} == {dg.AssetCheckSeverity.WARN}
    figures = of_day(result)
    assert figures["history_has_landed"][1]["objects_not_read"] == 1
    assert figures["history_totals_hold"][1]["open"] == 1


def test_a_live_micro_batch_repeats_what_was_found_last(importer: Importer) -> None:
    installation = importer.installation
    importer.put("bills.zip", bills(ROWS))
    assert importer.daemon()
    assert installation.run(DAY).success
    # Since then an object is gone; a live micro-batch does not look.
    for path in (installation.landing_root / "history" / DAY).iterdir():
        path.unlink()
    key = installation.land("events/2025-03-10/09/1741597200000-1.jsonl", posted(5, 7))
    batch = MicroBatchConfig(batch_id="m1", after_key="", up_to_key=key)
    found = of_day(installation.run(DAY, batch=batch))
    assert passed_all(found)
    assert found["history_totals_hold"][1]["accepted"] == 2
    # Whoever writes the day's outcomes anew does, as when AEP's verdict is read.
    DaysToSettle(installation.state).mark(DAY)
    assert passed(read_verdict(installation)) == dict.fromkeys(OF_DAY, True) | {"history_totals_hold": False}


def test_an_import_that_has_not_ended_is_waited_for_and_no_error(importer: Importer) -> None:
    installation = importer.installation
    importer.put("bills.zip", bills(ROWS))
    assert importer.daemon()
    # Killed while it landed its objects.
    importer.put("more.zip", bills([(3, "5", DAY, 9)]))
    assert importer.daemon()
    (version,) = [one.version for one in HistoryFiles(installation.state).all() if one.name == "more.zip"]
    with installation.state.begin() as connection:
        for statement in (
            "UPDATE history_files SET done_ms = NULL WHERE version = :version",
            "DELETE FROM history_file_days WHERE version = :version",
        ):
            connection.execute(sa.text(statement), {"version": version})
    result = installation.run(DAY)
    assert passed(result) == dict.fromkeys(OF_DAY, True) | {"history_has_landed": False}
    assert checks(result)["history_has_landed"].severity is dg.AssetCheckSeverity.WARN
    assert of_day(result)["history_totals_hold"][1]["accepted"] == 3


def test_the_webhooks_twins_on_another_day_count_as_delivered_and_may_tell_otherwise(importer: Importer) -> None:
    importer.installation.land("events/2025-03-11/01/1741654800000-1.jsonl", posted(1, 100.5), posted(2, 99))
    assert importer.installation.run("2025-03-11").success
    importer.put("bills.zip", bills(ROWS))
    assert importer.daemon()
    result = importer.installation.run(DAY)
    found = of_day(result)
    assert found["overlap_with_live"][1]["duplicates_between_lanes"] == 2
    good, figures = found["history_totals_hold"]
    assert not good
    assert checks(result)["history_totals_hold"].severity is dg.AssetCheckSeverity.WARN
    assert (figures["accepted"], figures["told_otherwise_by_the_webhook"], figures["differing"]) == (2, 1, 0)


def test_a_day_without_history_passes_and_says_so(importer: Importer) -> None:
    importer.installation.land("events/2025-03-10/09/1741597200000-1.jsonl", posted(5, 7))
    found = of_day(importer.installation.run(DAY))
    assert found == dict.fromkeys(OF_DAY, (True, {"history": "none on this day"}))


def passed_all(found: dict[str, tuple[bool, dict[str, Any]]]) -> bool:
    return list(found) == list(OF_DAY) and all(good for good, _ in found.values())
