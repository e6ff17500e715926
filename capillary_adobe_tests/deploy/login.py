"""A login that answers nginx as oauth2-proxy does: who has which cookie is in which groups.

Belongs here: its three endpoints as documented, and what it was asked. Does not belong here: OpenID Connect, any
expectation.

It is a stand-in because oauth2-proxy is in no package index that tests can install from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from capillary_adobe.emulators.running import BackgroundServer

COOKIE = "__Host-dagster"


@dataclass
class Login:
    """People by their cookie, with their groups, and the headers of each question that was asked."""

    people: dict[str, list[str]]
    port: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    def auth(self, request: Request) -> Response:
        """202 with the groups, 401 without a session, 403 in none of `allowed_groups`."""
        self.asked.append(dict(request.headers))
        person = request.cookies.get(COOKIE, "")
        groups = self.people.get(person)
        if groups is None:
            return PlainTextResponse("Unauthorized", 401)
        allowed = [one for one in request.query_params.get("allowed_groups", "").split(",") if one]
        if allowed and not set(allowed) & set(groups):
            return PlainTextResponse("Forbidden", 403)
        told = {"User": person, "Email": f"{person}@example.com", "Groups": ",".join(groups)}
        return PlainTextResponse(
            "Authenticated", 202, {f"X-Auth-Request-{name}": value for name, value in told.items()}
        )

    def start(self, request: Request) -> Response:
        """To the provider, which comes back to where nginx says."""
        self.asked.append(dict(request.headers))
        back = request.query_params.get("rd") or request.headers.get("x-auth-request-redirect", "/")
        return RedirectResponse(f"https://login.example.com/auth?state={back}", 302)


@contextmanager
def login(people: dict[str, list[str]]) -> Iterator[Login]:
    """The login on a free port while the context lasts."""
    found = Login(people)
    routes = [
        Route("/oauth2/auth", found.auth),
        Route("/oauth2/start", found.start),
        Route("/oauth2/callback", lambda request: PlainTextResponse("back", 200)),
    ]
    with BackgroundServer(Starlette(routes=routes)) as server:
        found.port = int(server.base_url.rpartition(":")[2])
        yield found
