"""The edge to HTTP: request bodies of bounded size in, JSON answers out.

Belongs here: what every endpoint of an emulator does alike with a request and a response. Does not belong here: what
any one endpoint means by them.
"""

from __future__ import annotations

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response


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
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def json_response(status: int, content: object) -> Response:
    """An answer with a JSON body."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
