"""S3 itself: what a store can do is found out by trying, and addresses are judged before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from capillary_adobe.object_store import keeps_what_is_there, s3_client
from capillary_adobe.s3_address import ObjectStoreError, S3Address
from capillary_adobe_tests.s3_servers import S3Server, juicefs_gateway, moto_server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="module")
def gateway() -> Iterator[S3Server]:
    with juicefs_gateway() as server:
        yield server


def test_a_store_with_conditional_writes_is_known_for_one(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto.use(monkeypatch)
    bucket = moto.bucket()
    assert keeps_what_is_there(s3_client(), S3Address(bucket, "lake"))
    assert "Contents" not in moto.client().list_objects_v2(Bucket=bucket)


def test_a_store_that_overwrites_is_known_for_one(gateway: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.use(monkeypatch)
    bucket = gateway.bucket()
    assert not keeps_what_is_there(s3_client(), S3Address(bucket, "lake"))
    left = gateway.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    assert [found["Key"] for found in left if not found["Key"].endswith("/")] == []


def test_a_bucket_that_is_not_there_is_told_with_the_cure(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto.use(monkeypatch)
    with pytest.raises(ObjectStoreError, match=r"s3://no-such-bucket/lake .*NoSuchBucket.* Make the bucket"):
        keeps_what_is_there(s3_client(), S3Address("no-such-bucket", "lake"))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://bucket", S3Address("bucket")),
        ("s3://bucket/", S3Address("bucket")),
        ("s3://my.bucket/a/b/", S3Address("my.bucket", "a/b")),
        ("s3://bucket//a b/ö~+=&'/", S3Address("bucket", "a b/ö~+=&'")),
    ],
)
def test_an_address_has_a_bucket_and_a_prefix(url: str, address: S3Address) -> None:
    assert S3Address.parse(url, "LAKE_URL") == address
    assert address.name(address.key("events/x")) == "events/x"


@pytest.mark.parametrize("url", ["s3://", "s3:///a", "s3://Bucket/a", "s3://b_c/a", "s3://bucket/a?x=1"])
def test_what_is_no_address_is_told_by_its_variable(url: str) -> None:
    with pytest.raises(ObjectStoreError, match=r"LAKE_URL=.*s3://<bucket>/<prefix>"):
        S3Address.parse(url, "LAKE_URL")


@pytest.mark.parametrize("prefix", ["a%20b", "a//b", "./a", "a/../b", "[a]", "a^b", "a|b", "a\\b", "a#b", "a\tb"])
def test_a_prefix_that_tools_read_in_two_ways_is_no_address(prefix: str) -> None:
    """delta-rs decodes it, or ends the process with a panic; boto3 takes it as it stands."""
    with pytest.raises(ObjectStoreError, match=r"that every tool reads alike: .*without % \? #"):
        S3Address.parse(f"s3://bucket/{prefix}", "LAKE_URL")


def test_a_key_in_an_address_is_not_told_back() -> None:
    with pytest.raises(ObjectStoreError, match=r"LAKE_URL=s3://…@bucket/a is no") as told:
        S3Address.parse("s3://AKIA1:words/words@bucket/a", "LAKE_URL")
    assert "words" not in str(told.value)


def test_a_bucket_is_addressed_as_the_store_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    S3Server("http://127.0.0.1:9").use(monkeypatch)
    named = s3_client()
    assert (named.meta.endpoint_url, named.meta.region_name) == ("http://127.0.0.1:9", "us-east-1")
    assert named.meta.config.s3["addressing_style"] == "path"
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    assert s3_client().meta.config.s3["addressing_style"] == "virtual"
    monkeypatch.delenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert s3_client().meta.config.s3["addressing_style"] == "virtual"
