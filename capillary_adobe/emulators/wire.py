"""The edge to HTTP: request bodies of bounded size in, JSON answers out.

Belongs here: what every endpoint of an emulator does alike with a request and a response. Does not belong here: what
any one endpoint means by them.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

JSON_TYPES: Final = ("application/json", "application/json-patch+json")

DEEPEST: Final = 100
"""How deep a body may be nested that a service keeps; what means anything to one of them is far from it."""


async def read_body(request: Request, limit: int) -> bytes | None:
    """The whole body, or None when it is longer than `limit`.

    An over-long body is still read to its end: when a server answers early and hangs up, a client that is busy sending
    may see a broken connection in place of the answer.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
    return b"".join(chunks) if size <= limit else None


def parsed(body: bytes) -> Any:
    """The JSON of a body that is to be kept; a ValueError says that it is none, or nested too deep."""
    content = orjson.loads(body)
    if too_deep(content):
        raise ValueError(f"nested more than {DEEPEST} deep")
    return content


def too_deep(content: Any, levels: int = DEEPEST) -> bool:
    """Whether a value is nested deeper than so many levels."""
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else None
    return parts is not None and (levels == 0 or any(too_deep(part, levels - 1) for part in parts))


async def drain(request: Request) -> None:
    """Read the body to its end and forget it."""
    async for _ in request.stream():
        pass


def bearer_token(headers: Headers) -> str:
    """The token that a request presents; empty where it presents none of this kind."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def media_type(request: Request) -> str:
    """The media type of the body, without its parameters."""
    return media_type_of(request.headers)


def media_type_of(headers: Headers) -> str:
    """The media type that headers name, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def json_response(status: int, content: object) -> Response:
    """An answer with a JSON body."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
