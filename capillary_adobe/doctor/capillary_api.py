"""The look at Capillary's API: whether its client gets a token.

Belongs here: the token call, as docs.capillarytech.com/reference/oauth describes it. Does not belong here: any use of the
API.
"""

from __future__ import annotations

from typing import Any

import orjson
import requests

from capillary_adobe.doctor.findings import Verdict, fail, ok, skipped
from capillary_adobe.settings import CapillaryApiSettings, load

_SECONDS = 4.0


def capillary_api() -> Verdict:
    """Whether Capillary gives a token for the client; nothing else is asked."""
    settings = load(CapillaryApiSettings)
    if settings.url is None and settings.key is None and settings.secret is None:
        return skipped("Not set up (CAPILLARY_API_URL); deliveries do not need it.")
    if settings.url is None or settings.key is None or settings.secret is None:
        return fail(
            "Of CAPILLARY_API_URL, CAPILLARY_API_KEY and CAPILLARY_API_SECRET only some are set.",
            "Set all three, or none.",
        )
    try:
        answer = requests.post(
            f"{settings.url}/v3/oauth/token/generate",
            json={"key": settings.key, "secret": settings.secret.get_secret_value()},
            timeout=_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        return fail(
            f"CAPILLARY_API_URL does not answer ({type(error).__name__}).",
            "Check the address of your cluster with Capillary, and the network.",
        )
    return judge_token(answer.status_code, answer.content)


def judge_token(status: int, content: bytes) -> Verdict:
    """The verdict on the answer of the token call."""
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    data = body.get("data") if type(body) is dict else None
    if status == 200 and type(data) is dict and data.get("accessToken"):
        life = data.get("ttlSeconds")
        good = f", good for {life} seconds" if type(life) in (int, float) else ""
        return ok(f"Capillary gives a token{good}.")
    if status in (400, 401, 403) or (status == 200 and type(body) is dict):
        return fail(
            f"Capillary refuses the API client (status {status}).",
            "Check CAPILLARY_API_KEY and CAPILLARY_API_SECRET, and that the client is active.",
        )
    return fail(
        f"CAPILLARY_API_URL answers {status} without a token.", "Check the address of your cluster with Capillary."
    )
