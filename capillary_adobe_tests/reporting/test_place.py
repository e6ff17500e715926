"""The page lies beside the tables under one name, is replaced as a whole, and tells what is wrong where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from capillary_adobe.lake import LakeError
from capillary_adobe.reporting.place import PAGE_NAME, write_beside
from capillary_adobe_tests.s3_servers import moto_server


def test_a_folder_holds_the_newest_page_and_nothing_else(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    for text in ("the first", "the second é"):
        assert write_beside(str(lake), text) == str(lake / PAGE_NAME)
    assert [(one.name, one.read_text("utf-8")) for one in lake.iterdir()] == [(PAGE_NAME, "the second é")]


def test_where_a_folder_cannot_be_written_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("no folder")
    with pytest.raises(LakeError, match=r"lake/delivery_report.html cannot be written .*Check that the folder belongs"):
        write_beside(str(tmp_path / "lake"), "page")


def test_a_bucket_holds_the_newest_page_as_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    with moto_server() as server:
        server.use(monkeypatch)
        bucket = server.bucket()
        for text in ("the first", "the second é"):
            assert write_beside(f"s3://{bucket}/lake", text) == f"s3://{bucket}/lake/{PAGE_NAME}"
        [found] = server.client().list_objects_v2(Bucket=bucket)["Contents"]
        stored = server.client().get_object(Bucket=bucket, Key=found["Key"])
        assert (found["Key"], stored["Body"].read().decode()) == (f"lake/{PAGE_NAME}", "the second é")
        assert stored["ContentType"] == "text/html; charset=utf-8"
        with pytest.raises(LakeError, match="Make the bucket"):
            write_beside("s3://no-such-bucket-here/lake", "page")
