"""The page lies beside the tables under one name, is replaced as a whole, and tells what is wrong where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from capillary_adobe.lake import LakeError
from capillary_adobe.reporting.place import PAGE_NAME, write_beside


def test_a_folder_holds_the_newest_page_and_nothing_else(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    for text in ("the first", "the second é"):
        assert write_beside(str(lake), text) == str(lake / PAGE_NAME)
    assert [(one.name, one.read_text("utf-8")) for one in lake.iterdir()] == [(PAGE_NAME, "the second é")]


def test_where_a_folder_cannot_be_written_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("no folder")
    with pytest.raises(LakeError, match=r"lake/delivery_report.html cannot be written .*Check that the folder belongs"):
        write_beside(str(tmp_path / "lake"), "page")
