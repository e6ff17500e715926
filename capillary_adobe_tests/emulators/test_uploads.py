"""The files of a batch, in one piece and in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from capillary_adobe_tests.emulators.platform_client import Platform, good, lines

StartPlatform = Callable[..., Platform]
DATA = lines(*(good(str(number)) for number in range(10)))


class LargeFile:
    """One large file of a batch."""

    def __init__(self, platform: Platform, batch: str, path: str = "large") -> None:
        self._platform = platform
        self._path = platform.file(batch, path)

    def open(self) -> requests.Response:
        return self._platform.call("POST", self._path, params={"action": "INITIALIZE"})

    def part(self, first: int, last: int, data: bytes = DATA) -> requests.Response:
        headers = self._platform.headers(Content_Type="application/octet-stream", Content_Range=f"bytes {first}-{last}")
        return self._platform.call("PATCH", self._path, headers, data=data[first : last + 1])

    def state(self) -> requests.Response:
        return self._platform.call("HEAD", self._path)

    def close(self) -> requests.Response:
        return self._platform.call("POST", self._path, params={"action": "complete"})


@pytest.fixture
def there(swift: StartPlatform) -> Platform:
    return swift(max_file_bytes=10_000, max_part_bytes=2_000)


def test_a_file_is_replaced_by_another_of_the_same_path(there: Platform) -> None:
    batch = there.begin()

    answers = [there.put(batch, "day=1/a.json", lines(good(entity_id))) for entity_id in ("1", "2")]

    assert [(answer.status_code, answer.content) for answer in answers] == [(201, b""), (200, b"")]
    there.act(batch, "COMPLETE")
    assert there.final(batch)["metrics"]["inputFileCount"] == 1
    assert [line["entity"]["_id"] for line in there.client.accepted()] == ["2"]


def test_the_limit_of_a_file(there: Platform) -> None:
    batch = there.begin()

    def unstated() -> Iterator[bytes]:
        yield from (b"x" * 1000 for _ in range(11))

    assert there.put(batch, "a", b"x" * 10_000).status_code == 201
    assert there.put(batch, "b", b"x" * 10_001).status_code == 413
    assert there.put(batch, "c", unstated()).status_code == 413


def test_another_content_type_is_answered_415(there: Platform) -> None:
    batch = there.begin()

    answer = there.call("PUT", there.file(batch, "a"), there.headers(Content_Type="application/json"), data=b"{}")

    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["%2e%2e/a", "a/%2e%2e/%2e%2e/b", "a%2F%2Fb", "a/", "x" * 300, "a%00b"])
def test_a_path_that_leads_elsewhere_is_answered_400(there: Platform, path: str) -> None:
    batch = there.begin()

    assert there.put(batch, path, b"x").status_code in (400, 404)


def test_a_path_cannot_be_file_and_folder(there: Platform) -> None:
    batch = there.begin()
    there.put(batch, "a", b"x")

    assert there.put(batch, "a/b", b"x").status_code == 400


def test_a_file_can_be_sent_in_parts_in_any_order(there: Platform) -> None:
    batch = there.begin()
    file = LargeFile(there, batch)

    assert file.open().status_code == 201
    assert "Range" not in file.state().headers
    assert file.part(1000, len(DATA) - 1).status_code == 200
    assert file.state().headers["Range"] == f"bytes=1000-{len(DATA) - 1}"
    assert file.part(0, 999).status_code == 200
    assert file.part(0, 999).status_code == 200
    assert file.state().headers["Range"] == f"bytes=0-{len(DATA) - 1}"
    assert [file.close().status_code for _ in range(2)] == [201, 201]
    assert file.state().headers["Range"] == f"bytes=0-{len(DATA) - 1}"
    there.act(batch, "COMPLETE")
    assert there.final(batch)["metrics"]["outputRecordCount"] == 10


@pytest.mark.parametrize("ranges", [[], [(1, 999)], [(0, 499), (501, 999)], [(0, 499), (400, 999)]])
def test_missing_and_overlapping_parts_show_at_the_end(there: Platform, ranges: list[tuple[int, int]]) -> None:
    file = LargeFile(there, there.begin())
    file.open()

    assert [file.part(*limits).status_code for limits in ranges] == [200] * len(ranges)

    assert file.close().status_code == 400


def test_parts_that_cannot_be(there: Platform) -> None:
    batch = there.begin()
    file = LargeFile(there, batch)
    assert file.part(0, 9).status_code == 404
    assert file.state().status_code == 404
    assert file.close().status_code == 404
    file.open()

    assert file.part(0, 9, b"short").status_code == 400
    assert file.part(5, 4).status_code == 400
    assert file.part(0, 1999, b"x" * 2000).status_code == 200
    assert file.part(0, 2000, b"x" * 2001).status_code == 413
    assert there.call("POST", there.file(batch, "large"), params={"action": "x"}).status_code == 400


def test_a_file_that_was_begun_only_is_none_of_the_batch(there: Platform) -> None:
    batch = there.begin()
    there.put(batch, "a", lines(good()))
    LargeFile(there, batch).open()
    there.act(batch, "COMPLETE")

    assert there.final(batch)["metrics"]["inputFileCount"] == 1
