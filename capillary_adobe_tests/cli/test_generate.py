"""`capillary-adobe demo generate`: a made-up day in the landing store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capillary_adobe.landing import open_landing_store, read_records
from capillary_adobe_tests.cli.conftest import Call, storage
from capillary_adobe_tests.s3_servers import moto_server

DAY = "2026-01-05"


def lines(landing: str, day: str) -> int:
    store = open_landing_store(landing)
    counted = 0
    for found in store.list("live", day):
        with store.open(found.key) as stream:
            counted += sum(1 for _ in read_records(stream))
    return counted


def test_writes_the_day_and_tells_what(call: Call, place: Path) -> None:
    settings = storage(place)
    answer = call("demo", "generate", "--day", DAY, "--events", "400", "--json", **settings)
    assert answer.exit_code == 0
    written = json.loads(answer.stdout)
    assert written["day"] == DAY
    assert written["lines"] == 400
    assert written["duplicates"] > 0
    assert sum(written["by_event_name"].values()) + written["broken"] == 400
    assert lines(settings["LANDING_URL"], DAY) == 400


def test_tells_people_in_one_line(call: Call, place: Path) -> None:
    answer = call("demo", "generate", "--day", DAY, "--events", "50", **storage(place))
    [told] = answer.stdout.splitlines()
    assert told.startswith(f"{DAY}: 50 lines in ")


def test_a_clean_day_has_no_flaw(call: Call, place: Path) -> None:
    answer = call("demo", "generate", "--day", DAY, "--events", "400", "--clean", "--json", **storage(place))
    written = json.loads(answer.stdout)
    assert (written["duplicates"], written["broken"], written["late_objects"]) == (0, 0, 0)


def test_another_seed_is_another_day(call: Call, place: Path) -> None:
    def bytes_of(seed: str) -> set[bytes]:
        folder = place / seed
        answer = call("demo", "generate", "--day", DAY, "--events", "60", "--seed", seed, **storage(folder))
        assert answer.exit_code == 0
        return {path.read_bytes() for path in folder.rglob("*.jsonl*")}

    assert bytes_of("1") != bytes_of("2")


def test_a_day_in_a_bucket(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto_server() as server:
        server.use(monkeypatch)
        settings = storage(place) | {"LANDING_URL": f"s3://{server.bucket()}/landing"}
        for _ in range(2):
            answer = call("demo", "generate", "--day", DAY, "--events", "400", "--json", **settings)
            assert json.loads(answer.stdout)["lines"] == 400
        assert lines(settings["LANDING_URL"], DAY) == 400
    assert not (place / "landing").exists()


def test_a_day_that_is_none_is_refused(call: Call, place: Path) -> None:
    answer = call("demo", "generate", "--day", "2026-02-30", "--events", "5", **storage(place))
    assert answer.exit_code == 2
    assert not (place / "landing").exists()


def test_a_landing_store_that_cannot_be_written(call: Call, place: Path) -> None:
    (place / "landing").write_text("a file where the folder should be")
    answer = call("demo", "generate", "--day", DAY, "--events", "5", **storage(place))
    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[-1].startswith(f"Error: LANDING_URL={place / 'landing'} cannot be written")
