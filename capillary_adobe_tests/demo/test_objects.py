"""A day as objects: whole, counted, readable in every form, some of them late."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from capillary_adobe.demo.traffic import Broken, Mix, Written, day_of_events, write_day
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe_tests.demo.reading import flat_event, records

DAY = date(2026, 7, 1)
LINES = 12_000


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("landing")


@pytest.fixture(scope="module")
def written(landing: Path) -> Written:
    return write_day(LocalLandingStore(landing), DAY, LINES, lines_per_object=400)


@pytest.fixture(scope="module")
def objects(landing: Path, written: Written) -> list[Path]:
    assert written.objects
    return sorted(landing.rglob("*.jsonl*"), key=lambda path: path.name)


def test_counts_are_exact(written: Written, objects: list[Path], landing: Path) -> None:
    assert written.lines == LINES
    assert written.lines == written.broken + sum(written.by_event_name.values())
    assert written.broken == sum(written.by_flaw.values()) > 0
    assert written.objects == len(objects)
    assert written.bytes == sum(path.stat().st_size for path in objects)
    assert {path for path in landing.rglob("*") if path.is_file()} == set(objects)


def test_objects_hold_the_lines_of_the_day(objects: list[Path]) -> None:
    landed = Counter[str]()
    for path in objects:
        for value in records(path):
            landed[value.decode("latin-1") if isinstance(value, bytes) else json.dumps(value, sort_keys=True)] += 1
    told = Counter[str]()
    for _, line in day_of_events(DAY, LINES):
        try:
            told[json.dumps(json.loads(line), sort_keys=True)] += 1
        except ValueError:
            told[line.decode("latin-1")] += 1
    assert landed == told


def test_duplicates_are_counted(written: Written, objects: list[Path]) -> None:
    seen = Counter[str]()
    shapes: dict[str, set[str]] = {}
    for path in objects:
        for value in records(path):
            if isinstance(value, dict):
                shape, event = flat_event(value)
                key = event.get("eventId") or json.dumps(event, sort_keys=True)
                seen[key] += 1
                shapes.setdefault(key, set()).add(shape)
    assert sum(count - 1 for count in seen.values()) == written.duplicates
    assert written.duplicates / LINES == pytest.approx(0.03, rel=0.25)
    assert any(len(kinds) > 1 for kinds in shapes.values())


def test_every_form_occurs(objects: list[Path]) -> None:
    forms = set()
    for path in objects:
        data = path.read_bytes()
        if path.suffix == ".gz":
            forms.add("gzip")
            data = gzip.decompress(data)
        if data.startswith(b"\xef\xbb\xbf"):
            forms.add("bom")
        elif data.startswith(b"["):
            forms.add("array")
        elif b"\n" not in data:
            forms.add("without breaks")
        elif b"\r\n" in data:
            forms.add("crlf")
        else:
            forms.add("lines")
    assert forms == {"gzip", "bom", "array", "without breaks", "crlf", "lines"}


def test_names_begin_with_the_arrival_of_the_last_line(objects: list[Path]) -> None:
    arrivals = [arrival_ms for arrival_ms, _ in day_of_events(DAY, LINES)]
    place = 0
    for path in objects:
        place += len(list(records(path)))
        assert int(path.name[:13]) == arrivals[place - 1]
        hour = (arrivals[place - 1] // 3_600_000) % 24
        assert path.parent.relative_to(path.parents[3]).as_posix() == f"events/2026-07-01/{hour:02d}"


def test_some_objects_are_late(written: Written, objects: list[Path]) -> None:
    stored = [path.stat().st_mtime_ns for path in objects]
    late = [place for place, moment in enumerate(stored) if any(later < moment for later in stored[place + 1 :])]
    assert written.late_objects > 0
    assert 0 < len(late) <= written.late_objects


def test_a_clean_day_has_no_flaws(tmp_path: Path) -> None:
    written = write_day(LocalLandingStore(tmp_path), DAY, 3_000, mix=Mix.clean(), lines_per_object=100)
    assert (written.duplicates, written.broken, written.late_objects) == (0, 0, 0)
    assert sum(written.by_event_name.values()) == 3_000
    stored = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.jsonl*"), key=lambda path: path.name)]
    assert stored == sorted(stored)


def test_every_flaw_occurs_in_its_share(tmp_path: Path) -> None:
    written = write_day(LocalLandingStore(tmp_path), DAY, 6_000, mix=Mix(broken=0.05))
    assert set(written.by_flaw) == set(Broken)
    assert written.broken / 6_000 == pytest.approx(0.05, rel=0.25)


def test_writing_again_writes_the_same_objects(tmp_path: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {path.as_posix(): path.read_bytes() for path in tmp_path.rglob("*.jsonl*")}

    first = write_day(LocalLandingStore(tmp_path), DAY, 1_000, seed=3)
    before = contents()
    assert write_day(LocalLandingStore(tmp_path), DAY, 1_000, seed=3) == first
    assert contents() == before


@pytest.mark.parametrize("lines", [0, 1, 5])
def test_a_tiny_day(tmp_path: Path, lines: int) -> None:
    written = write_day(LocalLandingStore(tmp_path), DAY, lines)
    assert written.lines == lines
    assert sum(len(list(records(path))) for path in tmp_path.rglob("*.jsonl*")) == lines
    assert written.late_objects == 0 or written.objects > 1
