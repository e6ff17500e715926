"""S3 as the landing store and the lake use it: the client, what a store can do, its failures in plain words.

Belongs here: what both have in common. Does not belong here: addresses (`s3_address.py`), landed objects (`landing`) and
tables (`lake`). boto3 comes with this module and takes 0.15 s: what a folder too goes through imports it where S3 is named.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.session import get_session
from botocore.utils import parse_timestamp
from dotenv import dotenv_values

from capillary_adobe.s3_address import ObjectStoreError, S3Address
from capillary_adobe.settings import S3Settings, in_files, load

_REGION: Final = "us-east-1"
_CONNECTIONS: Final = 32
_CREDENTIALS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_SERVER_FAILS: Final = 500
_PATIENCE: Final = {408, 409, 429}
_NEVER_PASS: Final = (NoCredentialsError, PartialCredentialsError, ParamValidationError)


def s3_client(
    *,
    connect_seconds: float = 5,
    read_seconds: float = 60,
    attempts: int = 5,
) -> Any:
    """A client for the store that the AWS_* variables name; one client serves any number of threads.

    Raises:
        ObjectStoreError: the profile or the region that the environment names is unusable.
    """
    settings = load(S3Settings)
    style = "path" if settings.endpoint_url and not settings.virtual_hosted_style_request else "virtual"
    try:
        made = _session()
        return made.client(
            "s3",
            endpoint_url=settings.endpoint_url,
            region_name=settings.region or made.region_name or _REGION,
            config=Config(
                connect_timeout=connect_seconds,
                read_timeout=read_seconds,
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=_CONNECTIONS,
                s3={"addressing_style": style},
                # Of S3-compatible stores only some know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise _unusable(error) from error


def _moment(text: Any) -> datetime:
    """A time in an answer; botocore's own parser takes 60 of the 70 microseconds that an object costs in a listing."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)


def storage_options() -> dict[str, str]:
    """The same store for delta-rs.

    Raises:
        ObjectStoreError: the profile that the environment names is unusable.
    """
    settings = load(S3Settings)
    try:
        known = _session().region_name
    except BotoCoreError as error:
        raise _unusable(error) from error
    options = {
        "AWS_REGION": settings.region or known or _REGION,
        "AWS_CONDITIONAL_PUT": "etag",
        **_credentials_in_file(),
    }
    # With an endpoint named it would know no credentials but those in the environment: no profile, no shared file.
    options["AWS_FORCE_CREDENTIAL_LOAD"] = "true"
    if settings.endpoint_url is None:
        return options
    return {
        **options,
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        "AWS_ALLOW_HTTP": str(settings.endpoint_url.startswith("http://")).lower(),
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(settings.virtual_hosted_style_request).lower(),
    }


def _session() -> boto3.Session:
    in_file = {name.lower(): value for name, value in _credentials_in_file().items()}
    own = get_session()
    own.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return boto3.Session(botocore_session=own, **in_file)


def _credentials_in_file() -> dict[str, str]:
    """The key that `.env` or the folder of secrets holds, where the environment has none and names no profile.

    AWS tools know neither.
    """
    if any(os.environ.get(name) for name in (*_CREDENTIALS, "AWS_PROFILE")):
        return {}
    found = {**in_files(), **dotenv_values(".env")}
    return {name: value for name in _CREDENTIALS if (value := found.get(name))}


def _unusable(error: Exception) -> ObjectStoreError:
    return ObjectStoreError(f"S3 cannot be used ({error}). Check the AWS_* variables.")


def keeps_what_is_there(client: Any, address: S3Address) -> bool:
    """Whether the store honours `If-None-Match: *`, by trying: the second of two writers must be refused.

    docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. A store that ignores the header answers both
    with 200 and keeps the last.

    Raises:
        ObjectStoreError: the store cannot be written at all.
    """
    probe = {"Bucket": address.bucket, "Key": address.key(f".probe-{uuid4()}")}
    try:
        client.put_object(**probe, Body=b"first", IfNoneMatch="*")
        try:
            client.put_object(**probe, Body=b"second", IfNoneMatch="*")
        except ClientError as error:
            if status_of(error) not in {409, 412, 501}:
                raise
            return status_of(error) != 501
        finally:
            client.delete_object(**probe)
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and status_of(error) == 501:
            return False
        raise ObjectStoreError(f"{address} cannot be written ({reason(error)}). {cure(error)}") from error
    return False


def status_of(error: ClientError) -> int:
    """The HTTP status of an answer of the store; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a little later: no answer, or one by which the store asks for patience."""
    if isinstance(error, ClientError):
        return status_of(error) >= _SERVER_FAILS or status_of(error) in _PATIENCE
    return not isinstance(error, _NEVER_PASS)


def reason(error: Exception) -> str:
    """What went wrong, without keys, headers or request contents."""
    if isinstance(error, ClientError):
        return f"{error.response.get('Error', {}).get('Code', 'unknown')}, status {status_of(error)}"
    return type(error).__name__


def cure(error: Exception) -> str:
    """What to do about it."""
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    status = status_of(error) if isinstance(error, ClientError) else 0
    if code == "NoSuchBucket":
        return "Make the bucket, or correct its name."
    if status in {401, 403}:
        return (
            "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role, and that it may list, get and put there."
        )
    if type(error).__name__ == "NoCredentialsError":
        return "Give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role."
    if status in {301, 400}:
        return "Check AWS_REGION and AWS_ENDPOINT_URL."
    return "Check AWS_ENDPOINT_URL, the network and the store itself."
