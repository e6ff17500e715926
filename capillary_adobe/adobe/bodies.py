"""One answer, read to its end within a time.

Belongs here: the deadline that requests does not know: its timeout is for each silence, and a body that trickles would hold
a connection, and the day that is delivered, for as long as it likes. Does not belong here: what an answer says.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

_AT_ONCE = 65_536


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer, whole."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def whole(response: requests.Response, deadline: float) -> Answer:
    """Read a streamed response to its end, at most until `deadline` (of `time.monotonic`).

    Raises:
        requests.Timeout: it is not complete by then.
        requests.ConnectionError: it broke off.
    """
    parts: list[bytes] = []
    try:
        while part := response.raw.read1(_AT_ONCE, decode_content=True):
            parts.append(part)
            if time.monotonic() > deadline:
                raise requests.Timeout("the answer was not complete in time")
    except HTTPError as error:
        raise requests.ConnectionError("the answer broke off") from error
    finally:
        # Given back where it was read to its end, closed where it was not.
        response.close()
    return Answer(response.status_code, response.headers, b"".join(parts))
