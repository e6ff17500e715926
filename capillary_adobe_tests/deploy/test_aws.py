"""The policies for S3 against the programs: what one does not allow is refused, and nothing in it is without use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow as pa
import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster_aws.s3 import S3ComputeLogManager

from capillary_adobe.capillary.insights.places.opening import open_place
from capillary_adobe.doctor import storage
from capillary_adobe.doctor.findings import Outcome, Verdict
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import LandingError, open_landing_store
from capillary_adobe.landing.receiver.outcome import NotLanded
from capillary_adobe.settings import InsightsSettings, load
from capillary_adobe.tables import RAW_EVENTS
from capillary_adobe_tests.deploy.chart import instance_of
from capillary_adobe_tests.docs.pages import ROOT
from capillary_adobe_tests.landing.receiver.landed import Watched, committing, event, outcomes, take
from capillary_adobe_tests.s3_faults import Fault, FaultyS3, Request, faulty_s3
from capillary_adobe_tests.test_lake import DAY, sample

DENIED = (403, "<Error><Code>AccessDenied</Code></Error>")


@dataclass
class Guard:
    """Answers for S3 as IAM does, by the statements of a policy; notes which of them were needed."""

    statements: list[dict[str, Any]]
    used: set[tuple[str, str]] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, file: str, **names: str) -> Guard:
        text = (ROOT / "deploy" / "aws" / file).read_text()
        for name, here in names.items():
            assert name in text
            text = text.replace(name, here)
        policy = json.loads(text)
        assert policy["Version"] == "2012-10-17"
        assert {one["Effect"] for one in policy["Statement"]} == {"Allow"}
        return cls(policy["Statement"])

    def __call__(self, request: Request) -> Fault | None:
        action, arn = asked(request), f"arn:aws:s3:::{request.path.strip('/')}"
        for statement in self.statements:
            for resource in listed(statement["Resource"]):
                # Of several objects that are removed at once the keys stand in the body: any of the bucket's may be meant.
                meant = resource.startswith(f"{arn}/") if several(request) else fnmatchcase(arn, resource)
                if action in listed(statement["Action"]) and meant:
                    self.used.add((statement["Sid"], action))
                    return None
        self.refused.append(f"{action} {arn}")
        return DENIED

    @property
    def unused(self) -> set[tuple[str, str]]:
        return {(one["Sid"], action) for one in self.statements for action in listed(one["Action"])} - self.used


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def several(request: Request) -> bool:
    return request.method == "POST" and "delete" in parse_qs(request.query, keep_blank_values=True)


def asked(request: Request) -> str:
    """The action that a request needs, by Amazon's table of S3's actions."""
    query = parse_qs(request.query, keep_blank_values=True)
    of_object = "/" in request.path.strip("/")
    if several(request):
        return "s3:DeleteObject"
    if not of_object:
        assert request.method in ("GET", "HEAD"), request
        return "s3:ListBucket"
    if request.method == "DELETE":
        return "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    return {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject"}[
        request.method
    ]


@pytest.fixture(scope="module")
def running() -> Iterator[FaultyS3]:
    with faulty_s3() as s3:
        yield s3


@pytest.fixture
def s3(running: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    running.heal()
    running.server.use(monkeypatch)
    return running


def then(guard: Guard, fault: Callable[[Request], Fault | None]) -> Callable[[Request], Fault | None]:
    """The guard's word first; what it lets pass meets a fault of the store's."""
    return lambda request: guard(request) or fault(request)


def test_the_receiver_needs_no_more_and_no_less(s3: FaultyS3) -> None:
    bucket = s3.server.bucket()
    guard = Guard.of("receiver.json", YOUR_LANDING_BUCKET=bucket, YOUR_LANDING_PREFIX="brand/landing")
    lost = iter([True])
    part = iter([True])

    def fault(request: Request) -> Fault | None:
        # An answer that is lost is looked for; an upload that breaks off is ended.
        if request.method == "PUT" and "/events/" in request.path and next(lost, None):
            return "lost"
        if "partNumber=2" in request.query and next(part, None):
            return (400, "<Error><Code>InvalidPart</Code></Error>")
        return None

    s3.fault = then(guard, fault)

    async def land() -> None:
        async with committing(f"s3://{bucket}/brand/landing", Watched(), commit_seconds=20.0) as committer:
            assert await outcomes([take(committer, event(1)), take(committer, b"[1,")]) == ["landed"] * 2
            async with committer.large() as body:
                for _ in range(180):
                    await body.write(b"z" * 65536)
                with pytest.raises(NotLanded):
                    await body.land("oversize")

    asyncio.run(land())
    assert guard.refused == []
    assert guard.unused == set()


def test_code_server_and_runs_need_no_more_and_no_less(s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    landing, lake = s3.server.bucket(), s3.server.bucket()
    of_landing = {"YOUR_LANDING_BUCKET": landing, "YOUR_LANDING_PREFIX": "landing"}
    names = {**of_landing, "YOUR_LAKE_BUCKET": lake, "YOUR_LAKE_PREFIX": "lake"}
    monkeypatch.setenv("LANDING_URL", f"s3://{landing}/landing")
    monkeypatch.setenv("LAKE_URL", f"s3://{lake}/lake")
    s3.server.client().put_object(Bucket=landing, Key=f"landing/events/{DAY}/01/1.jsonl", Body=b"{}\n")
    guard = Guard.of("dagster.json", **names)
    s3.fault = guard
    store = open_landing_store(f"s3://{landing}/landing")
    store.write(f"history/{DAY}/1.jsonl", b"{}\n")
    assert store.days("live") == [DAY]
    tables = Lake(f"s3://{lake}/lake")
    row = pa.RecordBatch.from_pylist([sample(RAW_EVENTS)], schema=RAW_EVENTS.schema)
    for _ in range(2):
        assert tables.replace(RAW_EVENTS, Slice(DAY), [row]) == 1
    assert tables.count(RAW_EVENTS, Slice(DAY)) == 1
    for look in (storage.landing(), storage.lake()):
        assert isinstance(look, Verdict)
        assert look.outcome is Outcome.OK, look
    broken = (400, "<Error><Code>InvalidPart</Code></Error>")
    s3.fault = then(guard, lambda request: broken if "partNumber=2" in request.query else None)
    with pytest.raises(LandingError):
        store.write(f"history/{DAY}/2.jsonl", b"{}\n" * 7_000_000)
    assert guard.refused == []
    # Of a table's file that is written in parts and breaks off; no row is large enough here.
    assert guard.unused == {("ReadAndWriteTheTables", "s3:AbortMultipartUpload")}


def test_exports_are_only_read(s3: FaultyS3, tmp_path: Path) -> None:
    bucket = s3.server.bucket()
    s3.server.client().put_object(Bucket=bucket, Key="in/a.zip", Body=b"PK")
    guard = Guard.of("exports.json", YOUR_EXPORTS_BUCKET=bucket, YOUR_EXPORTS_PREFIX="in")
    s3.fault = guard
    place = open_place(f"s3://{bucket}/in", load(InsightsSettings))
    [found] = place.files()
    place.fetch(found.name, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"PK"
    assert (guard.refused, guard.unused) == ([], set())


def test_the_output_of_runs_is_added_and_goes_with_them(s3: FaultyS3, tmp_path: Path) -> None:
    configured = instance_of(ROOT / "deploy" / "kubernetes" / "values.yaml")["compute_logs"]["config"]
    bucket = s3.server.bucket()
    guard = Guard.of("output.json", YOUR_OUTPUT_BUCKET=bucket, YOUR_OUTPUT_PREFIX=configured["prefix"])
    s3.fault = guard
    kept = S3ComputeLogManager(**{**configured, "bucket": bucket}, local_dir=str(tmp_path))
    with kept.open_log_stream(["run", "compute_logs", "step"], ComputeIOType.STDOUT) as output:
        assert output is not None
        output.write("what a run has printed")
    # As purge_runs does.
    kept.delete_logs(prefix=["run"])
    assert s3.server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert (guard.refused, guard.unused) == ([], set())
