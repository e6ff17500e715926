"""An AWS Lambda function that lands webhook events on S3 in the layout that capillary-adobe reads. Needs boto3 alone.

    API Gateway (REST) --authorize--> SQS --handler--> s3://<bucket>/<prefix>/events/<YYYY-MM-DD>/<HH>/<name>.jsonl

Belongs here: `authorize`, which knows the secrets, and `handler`, which lands what the queue holds. Does not belong here:
what an event is. The event is safe, and Capillary is told so, once SQS has it; the function may fail and come again.

Environment: `LANDING_URL` (s3://<bucket>/<prefix>) for `handler`; `RECEIVE_SECRET` and, while it is being changed,
`RECEIVE_PREVIOUS_SECRET` for `authorize`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_LOG = logging.getLogger(__name__)
_PUTS_AT_ONCE = 16
# The same limit as the receiver's: AEP takes no entity above 1 MB.
_MAX_BODY_BYTES = 2**20


def authorize(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """API Gateway's TOKEN authorizer: lets in whoever sends one of the two secrets.

    docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
    """
    sent = str(event.get("authorizationToken", "")).encode()
    secrets = (os.environ.get("RECEIVE_SECRET", ""), os.environ.get("RECEIVE_PREVIOUS_SECRET", ""))
    # A sum, since it makes every comparison, whichever fits.
    fits = sum(bool(secret) and hmac.compare_digest(sent, secret.encode()) for secret in secrets)
    return {
        "principalId": "capillary",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if fits else "Deny",
                    "Resource": event["methodArn"],
                }
            ],
        },
    }


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Land the messages of one SQS batch, an object each; the answer names those that must come again.

    Needs `ReportBatchItemFailures` in the event source mapping, or one failure repeats the whole batch.
    """
    messages = event["Records"]
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        landed = list(pool.map(_landed, messages))
    failed = [message["messageId"] for message, done in zip(messages, landed, strict=True) if not done]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _landed(message: dict[str, Any]) -> bool:
    """Whether the message is in the store, now or since a delivery before."""
    body = _body(message["body"])
    bucket, prefix = _place()
    key = "/".join(filter(None, (prefix, _key(message, _why_aside(body)))))
    try:
        _client().put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 412:  # Precondition Failed: a delivery before this one has landed it.
            return True
        # Never with a traceback, which could quote the event.
        _LOG.error("not landed: %s, status %s", error.response.get("Error", {}).get("Code"), status)
        return False
    except BotoCoreError as error:
        _LOG.error("not landed: %s", type(error).__name__)
        return False
    return True


def _body(text: str) -> bytes:
    """The bytes as received. API Gateway sends them in base64: SQS refuses what is no XML character."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def _key(message: dict[str, Any], why_aside: str) -> str:
    """The same key for every delivery of a message: the moment it entered the queue, and its id."""
    sent_ms = int(message["attributes"]["SentTimestamp"])
    hour = datetime.fromtimestamp(sent_ms / 1000, UTC).strftime("%Y-%m-%d/%H")
    name = f"{sent_ms:013d}-{re.sub('[^0-9A-Za-z]', '', message['messageId'])}-000000"
    return f"aside/{hour}/{name}.{why_aside}" if why_aside else f"events/{hour}/{name}.jsonl"


def _why_aside(body: bytes) -> str:
    """Why a body is no line of JSON, and is kept whole beside the others; empty for one that is."""
    if len(body) > _MAX_BODY_BYTES:
        return "oversize"
    if b"\n" in body or b"\r" in body:
        return "unreadable"
    try:
        value = json.loads(body.decode(), parse_constant=_no_constant, parse_float=_finite)
        # Half surrogates pass json.loads, and are no UTF-8.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return "unreadable"
    return "" if isinstance(value, dict | list) else "unreadable"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


@cache
def _place() -> tuple[str, str]:
    """Bucket and prefix of the landing store."""
    url = os.environ.get("LANDING_URL", "")
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", url)
    if match is None:
        raise ValueError(f"LANDING_URL={url} is no address of S3: give s3://<bucket>/<prefix>.")
    return match[1], match[2].strip("/")


@cache
def _client() -> Any:
    return boto3.client("s3", config=Config(retries={"mode": "standard"}, max_pool_connections=_PUTS_AT_ONCE))
