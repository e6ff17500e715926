"""Landing objects of an import: their names, size and bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from capillary_adobe import history_objects
from capillary_adobe.history_objects import ObjectsToLand
from capillary_adobe.landing import LandingError, LandingStore, open_landing_store

VERSION = "0123456789abcdef" * 4
NAME = "history/2026-01-01/0123456789ab-points-0000.jsonl.gz"


@pytest.fixture
def store(tmp_path: Path) -> LandingStore:
    return open_landing_store(str(tmp_path / "landing"))


def made(folder: Path, *lines: tuple[str, str, bytes]) -> tuple[ObjectsToLand, str]:
    folder.mkdir()
    objects = ObjectsToLand(folder, VERSION)
    for line in lines:
        objects.add(*line)
    return objects, objects.finish()


ONE = ("2026-01-01", "points", b'{"a":1}')
TWO = ("2026-01-02", "points", b'{"a":2}')


def test_an_object_for_each_day_and_template(tmp_path: Path, store: LandingStore) -> None:
    objects, _ = made(tmp_path / "made", ONE, ONE, ("2026-01-01", "tiers", b"{}"), TWO)
    assert list(objects.land(store)) == [
        NAME,
        "history/2026-01-01/0123456789ab-tiers-0000.jsonl.gz",
        "history/2026-01-02/0123456789ab-points-0000.jsonl.gz",
    ]
    with store.open(NAME) as stream:
        assert gzip.decompress(stream.read()) == b'{"a":1}\n{"a":1}\n'
    assert [found.key for found in store.list("history", "2026-01-01")] == objects.keys[:2]


def test_objects_do_not_grow_beyond_their_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_objects, "OBJECT_BYTES", 100)
    line = b"x" * 30
    objects, _ = made(tmp_path / "made", *[("2026-01-01", "points", line)] * 7)
    contents = [gzip.decompress((objects.folder / key).read_bytes()) for key in objects.keys]
    assert [len(content) for content in contents] == [93, 93, 31]
    assert [key[-15:] for key in objects.keys] == [
        "-0000.jsonl.gz"[-15:].rjust(15, "s"),
        "s-0001.jsonl.gz",
        "s-0002.jsonl.gz",
    ]


def test_the_same_lines_are_the_same_bytes(tmp_path: Path, store: LandingStore) -> None:
    objects, digest = made(tmp_path / "made", ONE, TWO)
    again, same = made(tmp_path / "again", ONE, TWO)
    assert digest == same
    list(objects.land(store))
    list(again.land(store))
    assert list(again.strangers(store)) == []


def test_other_lines_are_told_from_what_has_landed(tmp_path: Path, store: LandingStore) -> None:
    objects, digest = made(tmp_path / "made", ONE, TWO)
    list(objects.land(store))
    fewer, other = made(tmp_path / "fewer", ONE)
    assert other != digest
    assert list(fewer.strangers(store)) == ["history/2026-01-02/0123456789ab-points-0000.jsonl.gz"]
    changed, _ = made(tmp_path / "changed", ("2026-01-01", "points", b'{"a":9}'), TWO)
    assert list(changed.strangers(store)) == [NAME]
    with pytest.raises(LandingError, match="holds another object"):
        list(changed.land(store))


def test_objects_of_other_versions_are_no_strangers(tmp_path: Path, store: LandingStore) -> None:
    store.write("history/2026-01-01/fedcba987654-points-0000.jsonl.gz", b"other")
    objects, _ = made(tmp_path / "made", ONE)
    assert list(objects.strangers(store)) == []
