"""Looks at landing store and lake on S3, with conditional writes and without, and at buckets that cannot be used."""

from __future__ import annotations

import time

import pytest

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import open_landing_store
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.doctor.conftest import Examine, told
from capillary_adobe_tests.s3_faults import faulty_s3
from capillary_adobe_tests.s3_servers import S3Server, juicefs_gateway, moto_server

DENIED = (403, "<Error><Code>AccessDenied</Code></Error>")


def stored(server: S3Server, bucket: str) -> list[str]:
    found = server.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return sorted(one["Key"] for one in found if not one["Key"].endswith("/"))


def test_buckets_that_work(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto_server() as server:
        server.use(monkeypatch)
        bucket = server.bucket()
        landing, lake = f"s3://{bucket}/landing", f"s3://{bucket}/lake"
        open_landing_store(landing).write("events/2026-01-05/10/a.jsonl", b"{}\n")
        Lake(lake).replace(RAW_EVENTS, Slice("2026-01-05"), [])
        before = stored(server, bucket)
        found = look(offline=True, LANDING_URL=landing, LAKE_URL=lake)
        assert told(found, "landing") == f"ok: LANDING_URL={landing} can be read and written; 1 days have landed. "
        assert told(found, "lake").startswith(f"ok: LAKE_URL={lake} can be written; 1 of ")
        assert "TMPDIR" in told(found, "disk")
        assert stored(server, bucket) == before, "a look leaves nothing"


def test_a_store_without_conditional_writes(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with juicefs_gateway() as server:
        server.use(monkeypatch)
        bucket = server.bucket()
        found = look(offline=True, LANDING_URL=f"s3://{bucket}/landing", LAKE_URL=f"s3://{bucket}/lake")
        assert told(found, "landing").startswith(f"warn: LANDING_URL=s3://{bucket}/landing can be read and written; 0")
        assert "although told not to. Fine while names never repeat" in told(found, "landing")
        assert told(found, "lake").startswith(f"fail: The store of LAKE_URL=s3://{bucket}/lake ignores If-None-Match")
        assert "Name a store with conditional writes in LAKE_URL" in told(found, "lake")
        assert stored(server, bucket) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_right_that_is_missing(look: Examine, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    with faulty_s3() as s3:
        s3.server.use(monkeypatch)
        url = f"s3://{s3.server.bucket()}/some"
        s3.times(10**6, DENIED, method, "/bucket-")
        found = look(offline=True, LANDING_URL=f"{url}/landing", LAKE_URL=f"{url}/lake")
        for check, outcome in (("landing", "fail" if method == "GET" else "warn"), ("lake", "fail")):
            assert told(found, check).startswith(f"{outcome}: ")
            assert check.upper() in told(found, check)
            assert f"{url}/{check}" in told(found, check)
            assert "AWS_ACCESS_KEY_ID" in told(found, check)


def test_a_store_that_is_down_and_an_address_that_is_none(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    S3Server("http://127.0.0.1:9").use(monkeypatch)
    started = time.monotonic()
    found = look(offline=True, LANDING_URL="s3://bucket/landing", LAKE_URL="s3://bucket/lake")
    for check in ("landing", "lake"):
        assert told(found, check).startswith("fail: ")
        assert "AWS_ENDPOINT_URL" in told(found, check)
    assert "fail: LAKE_URL=s3://B/ is no address of S3" in told(look(offline=True, LAKE_URL="s3://B/"), "lake")
    assert time.monotonic() - started < 20
