"""`capillary-adobe import-history`: what it prints, its exit codes, and where its imports are seen."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from capillary_adobe.defs.assets.history_files import NAME
from capillary_adobe_tests.cli.conftest import Call, storage
from capillary_adobe_tests.history_imports import BILLS, TIERS, bill, csv, tier, zipped


@pytest.fixture
def variables(place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("URL", "RULES", "ORG_ID"):
        monkeypatch.delenv(f"INSIGHTS_{name}", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (place / "exports").mkdir()
    (place / "rules.yaml").write_text("live_from: {default: 2026-11-01}")
    return storage(place) | {
        "INSIGHTS_ORG_ID": "100458",
        "INSIGHTS_RULES": str(place / "rules.yaml"),
        "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
        "HISTORY_START": "2026-01-01",
    }


@pytest.fixture
def bills(place: Path) -> Path:
    path = place / "exports" / "bills.csv"
    path.write_bytes(csv(BILLS, bill(1), bill(2, "2026-09-02"), bill(3, "2025-09-02"), bill(4, amount="x")))
    return path


def test_a_file_is_imported_and_told(call: Call, variables: dict[str, str], bills: Path) -> None:
    answer = call("import-history", str(bills), **variables)
    assert answer.exit_code == 0, answer.output
    told = {" ".join(line.split()) for line in answer.stdout.splitlines()}
    assert "rows 4 transactions" in told
    assert "quarantined 1 bad_number 1" in told
    assert "ignored 1 before_history_start 1" in told
    assert "events 2 transactionAdded 2" in told
    assert "transactionAdded.amount 21.00" in told
    assert "2 days from 2026-09-01 to 2026-09-02" in answer.stdout
    assert "1 rows lie before HISTORY_START, the first on 2025-09-02" in answer.stdout
    assert "bills.csv: 4 rows read" in answer.stderr
    assert len(list(Path(variables["LANDING_URL"]).rglob("*.gz"))) == 2
    again = call("import-history", str(bills), **variables)
    assert again.exit_code == 0
    assert "imported before" in again.stdout


def test_for_programs_a_file_is_a_line(call: Call, variables: dict[str, str], bills: Path) -> None:
    (line,) = call("import-history", str(bills.parent), "--json", **variables).stdout.splitlines()
    told = json.loads(line)
    assert (told["rows"], told["events"], told["event_rows"]) == (4, 2, 2)
    assert (told["first_day"], told["last_day"], told["days"]) == ("2026-09-01", "2026-09-02", 2)
    assert told["totals"] == {"transactionAdded.amount": "21.00"}
    assert told["quarantined"] == {"bad_number": 1}


def test_a_look_tells_columns_and_watermarks_and_writes_nothing(
    call: Call, variables: dict[str, str], place: Path
) -> None:
    (place / "rules.yaml").write_text("")
    header = TIERS.replace("slab_number", "odd")
    (place / "exports" / "tiers.csv").write_bytes(csv(header, tier(5)))
    answer = call("import-history", str(place / "exports"), "--look", **variables)
    assert answer.exit_code == 0, answer.output
    assert "tiers.csv is of the template tiers" in answer.stdout
    assert "slab_name = tier_name" in answer.stdout
    assert "not read: odd" in answer.stdout
    assert "tier_number" in answer.stdout.partition("not there:")[2]
    assert "A watermark is wanted for tierUpgraded" in answer.stdout
    assert not Path(variables["LANDING_URL"]).exists()
    told = json.loads(call("import-history", str(place / "exports"), "--look", "--json", **variables).stdout)
    assert told["watermark_wanted_for"] == ["tierUpgraded"]
    assert told["files"][0]["unread"] == ["odd"]


def test_a_look_tells_the_columns_of_parts_that_are_alike_once(
    call: Call, variables: dict[str, str], place: Path
) -> None:
    odd = BILLS.replace("item_code", "odd")
    parts = zipped(a=csv(BILLS, bill(1)), b=csv(odd, bill(2)), c=csv(BILLS, bill(3)), d=csv(BILLS, bill(4)))
    (place / "exports" / "bills.zip").write_bytes(parts)
    answer = call("import-history", str(place / "exports"), "--look", **variables)
    assert answer.exit_code == 0, answer.output
    told = [line for line in answer.stdout.splitlines() if "of the template" in line]
    assert told == [
        "bills.zip/a.csv and 2 more of the same columns are of the template transactions; its columns:",
        "bills.zip/b.csv is of the template transactions; its columns:",
    ]
    assert answer.stdout.count("  not read: odd\n") == 1


def test_a_place_with_a_file_that_fails_is_imported_past_it(call: Call, variables: dict[str, str], bills: Path) -> None:
    (bills.parent / "a.csv").write_text("what,is,this\n1,2,3\n")
    answer = call("import-history", INSIGHTS_URL=str(bills.parent), INSIGHTS_SETTLE_SECONDS="0", **variables)
    assert answer.exit_code == 1
    assert "a.csv: not imported: The template of a.csv cannot be told" in answer.stdout
    assert "bills.csv, version" in answer.stdout
    assert "1 of the files was not imported" in answer.stderr


def test_what_arrives_just_now_waits_and_what_is_named_does_not(
    call: Call, variables: dict[str, str], bills: Path
) -> None:
    waiting = call("import-history", INSIGHTS_URL=str(bills.parent), **variables)
    assert "left alone, changed within the last 60 seconds" in waiting.stdout
    assert waiting.exit_code == 0
    assert "events" in call("import-history", str(bills), **variables).stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"INSIGHTS_ORG_ID": None}, "INSIGHTS_ORG_ID is missing"),
        ({"INSIGHTS_RULES": "nowhere.yaml"}, "nowhere.yaml"),
        ({"place": None}, "set INSIGHTS_URL"),
        ({"place": "nowhere"}, "There is no folder or file nowhere"),
        ({"place": "ftp://somewhere/x"}, "cannot be taken from"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    call: Call, variables: dict[str, str], bills: Path, changes: dict[str, str | None], words: str
) -> None:
    place = changes.pop("place", str(bills))
    given = {name: value for name, value in {**variables, **changes}.items() if value is not None}
    answer = call("import-history", *([place] if place else []), **given)
    assert answer.exit_code == 1
    assert words in answer.stderr
    assert "Traceback" not in answer.output


def test_with_dagster_the_import_stands_in_the_ui(
    call: Call, variables: dict[str, str], bills: Path, place: Path
) -> None:
    home = place / "home"
    home.mkdir()
    (bills.parent / "a.csv").write_text("what,is,this\n1,2,3\n")
    answer = call("import-history", str(bills.parent), "--json", DAGSTER_HOME=str(home), **variables)
    assert answer.exit_code == 1, answer.output
    failed, told = map(json.loads, answer.stdout.splitlines())
    assert "The template of a.csv cannot be told" in failed["error"]
    assert (told["rows"], told["events"], told["objects"]) == (4, 2, 2)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (partition,) = instance.get_materialized_partitions(dg.AssetKey(NAME))
        assert partition.startswith("bills.csv ")
        statuses = {run.tags["dagster/partition"][:5]: run.status for run in instance.get_runs()}
    assert statuses == {"a.csv": dg.DagsterRunStatus.FAILURE, "bills": dg.DagsterRunStatus.SUCCESS}


def test_with_dagster_a_file_of_a_folder_is_the_same_as_without(
    call: Call, variables: dict[str, str], place: Path
) -> None:
    # The folder tells the template, and the name holds what addresses give a meaning to.
    file = place / "exports" / "Transactions" / "50%25 #1?.csv"
    file.parent.mkdir()
    file.write_bytes(csv("bill_id,user_id,bill_amount,event_date", "1,77,10.50,2026-09-01"))
    (file.parent / "other.csv").write_bytes(csv("bill_id,user_id,bill_amount,event_date", "2,77,10.50,2026-09-02"))
    (place / "home").mkdir()
    folder = (place / "exports").as_uri()
    answer = call("import-history", folder, "--json", DAGSTER_HOME=str(place / "home"), **variables)
    assert answer.exit_code == 0, answer.output
    told = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(one["file"], one["events"]) for one in told] == [
        ("Transactions/50%25 #1?.csv", 1),
        ("Transactions/other.csv", 1),
    ]
    left = call("import-history", folder, **variables)
    assert left.stdout.count("imported before") == 2
