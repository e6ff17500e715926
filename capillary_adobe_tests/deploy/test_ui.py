"""The UI behind its login: the shipped nginx files before two real webservers, one of them with --read-only."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from capillary_adobe_tests.cli.programs import answers, free_port, wait_until
from capillary_adobe_tests.deploy.login import COOKIE, Login, login
from capillary_adobe_tests.deploy.nginx_program import (
    certificate,
    main_file,
    needs_nginx,
    remarks,
    replaced,
    running,
)
from capillary_adobe_tests.docs.pages import ROOT, page

NGINX = ROOT / "deploy" / "nginx"
LOGIN = ROOT / "deploy" / "oauth2-proxy" / "oauth2-proxy.cfg"
HOST = "dagster.example.com"
PEOPLE = {
    "anna": ["operators"],
    "both": ["guests", "operators"],
    "gus": ["staff", "guests"],
    "carl": ["operators-of-something-else"],
}
MUTATION = 'mutation { setConcurrencyLimit(concurrencyKey: "a-pool", limit: 3) }'
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@dataclass(frozen=True)
class Ui:
    """The UI as a browser reaches it."""

    port: int
    login: Login
    log: Path

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"

    def ask(self, method: str, path: str, person: str = "", **request: Any) -> requests.Response:
        headers = {"Host": f"{HOST}:{self.port}", **request.pop("headers", {})}
        if person:
            headers["Cookie"] = f"{COOKIE}={person}"
        url = f"https://127.0.0.1:{self.port}{path}"
        return requests.request(
            method,
            url,
            headers=headers,
            verify=False,  # noqa: S501
            timeout=30,
            allow_redirects=False,
            **request,
        )

    def query(self, text: str, person: str = "", **headers: str) -> requests.Response:
        return self.ask("POST", "/graphql", person, json={"query": text}, headers={"Origin": self.origin, **headers})

    def says(self, person: str, origin: str = "") -> dict[str, Any]:
        """The first word of the webserver over a websocket."""
        blind = ssl._create_unverified_context()  # noqa: S323
        with connect(
            f"wss://{HOST}:{self.port}/graphql",
            sock=socket.create_connection(("127.0.0.1", self.port), timeout=30),
            ssl=blind,
            server_hostname=HOST,
            subprotocols=[Subprotocol("graphql-ws")],
            origin=origin or self.origin,  # pyright: ignore[reportArgumentType]
            additional_headers={"Cookie": f"{COOKIE}={person}"},
        ) as connection:
            connection.send(json.dumps({"type": "connection_init", "payload": {}}))
            return json.loads(connection.recv(timeout=30))


@contextmanager
def webservers(folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """Both, over one instance, once they answer: each takes seconds to start."""
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = {**os.environ, "DAGSTER_HOME": str(folder)}
    with ExitStack() as stack:
        started: list[subprocess.Popen[str]] = []
        for name, options in (("operators", []), ("guests", ["--read-only"])):
            where = ["-h", "127.0.0.1", "-p", str(ports[name]), "--empty-workspace"]
            command = [sys.executable, "-m", "dagster_webserver", *where, *options]
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, text=True)
            started.append(stack.enter_context(process))
            # They keep nothing, and to stop in order takes them long.
            stack.callback(process.kill)
        for process, name in zip(started, ("operators", "guests"), strict=True):
            wait_until(lambda name=name: answers(ports[name]), process, seconds=300)
        yield


def write_configuration(folder: Path, ports: dict[str, int]) -> Path:
    """The shipped files, all of them, on other ports."""
    made, key = certificate(folder)
    (folder / "conf.d").mkdir()
    (folder / "ask.inc").write_text((NGINX / "ui-ask.inc").read_text())
    ui = replaced(
        (NGINX / "ui.conf").read_text(),
        ("127.0.0.1:4180;", f"127.0.0.1:{ports['login']};"),
        ("127.0.0.1:3000;", f"127.0.0.1:{ports['operators']};"),
        ("127.0.0.1:3001;", f"127.0.0.1:{ports['guests']};"),
        ("include /etc/nginx/ui-ask.inc;", f"include {folder}/ask.inc;"),
        ("/var/log/nginx/ui.log", f"{folder}/ui.log"),
    )
    for name, text in (("ui", ui), ("receiver", (NGINX / "receiver.conf").read_text())):
        written = replaced(
            text,
            ("listen 443 ssl;", f"listen 127.0.0.1:{ports['nginx']} ssl;"),
            ("    listen [::]:443 ssl;\n", ""),
            (f"/etc/nginx/tls/{name}.crt", str(made)),
            (f"/etc/nginx/tls/{name}.key", str(key)),
        )
        (folder / "conf.d" / f"{name}.conf").write_text(written)
    return main_file(folder)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    (home := folder / "home").mkdir()
    ports = {name: free_port() for name in ("nginx", "operators", "guests")}
    with ExitStack() as stack:
        asked = stack.enter_context(login(PEOPLE))
        main = write_configuration(folder, {**ports, "login": asked.port})
        stack.enter_context(webservers(home, ports))
        stack.enter_context(running(main, ports["nginx"]))
        yield Ui(ports["nginx"], asked, folder / "ui.log")


@needs_nginx
def test_nginx_takes_the_files(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("nginx", "operators", "guests", "login")}
    assert remarks(write_configuration(tmp_path, ports)) == ""


@needs_nginx
def test_without_a_session_pages_lead_to_the_login_and_back_and_nothing_else_answers(ui: Ui) -> None:
    page_of_a_run = "/runs?q[0]=status%3AFAILURE&cursor=1"
    sent = ui.ask("GET", page_of_a_run)
    assert sent.status_code == 302
    assert sent.headers["Location"].partition("?state=")[2] == page_of_a_run.replace("[0]", "%5B0%5D")
    assert ui.query("{ version }").status_code == 401
    assert ui.ask("POST", "/report_asset_materialization/a").status_code == 401
    with pytest.raises(InvalidStatus, match="401"):
        ui.says("")
    # Of the login, only what people need: not what nginx asks.
    assert ui.ask("GET", "/oauth2/callback?code=1&state=2").status_code == 200
    assert ui.ask("GET", "/oauth2/auth", "anna").status_code == 404
    assert ui.ask("GET", "/ask/operators", "anna").status_code != 202
    assert ui.ask("GET", "/oauth2/start").headers["Location"].endswith("?state=/")


@needs_nginx
def test_an_operator_may_do_everything(ui: Ui) -> None:
    for person in ("anna", "both"):
        assert ui.ask("GET", "/overview", person).text.startswith("<!DOCTYPE html>")
        assert ui.query(MUTATION, person).json() == {"data": {"setConcurrencyLimit": True}}
        reported = ui.ask("POST", "/report_asset_materialization/an_asset", person, json={})
        assert (reported.status_code, "error" in reported.json()) == (200, False)
        assert ui.says(person)["type"] == "connection_ack"
    assert "127.0.0.1 anna@example.com [" in ui.log.read_text()


@needs_nginx
def test_a_guest_reads_and_changes_nothing(ui: Ui) -> None:
    assert ui.ask("GET", "/overview", "gus").text.startswith("<!DOCTYPE html>")
    assert ui.query("{ version }", "gus").json()["data"]["version"]
    assert ui.says("gus")["type"] == "connection_ack"
    refused = ui.query(MUTATION, "gus")
    assert "setConcurrencyLimit" not in (refused.json().get("data") or {})
    assert "Unauthorized" in refused.text or "Permission" in refused.text
    for path in ("materialization/a", "check/a", "observation/a"):
        assert ui.ask("POST", f"/report_asset_{path}", "gus", json={}).status_code == 403
    assert ui.ask("GET", "/download_debug/an-id", "gus").status_code == 403
    assert ui.ask("GET", "/notebook?path=/etc/passwd", "gus").status_code == 403


@needs_nginx
def test_a_login_of_another_group_opens_nothing(ui: Ui) -> None:
    assert ui.ask("GET", "/overview", "carl").status_code == 403
    assert ui.query("{ version }", "carl").status_code == 403


@needs_nginx
def test_what_a_client_says_of_itself_is_never_believed_nor_passed_on(ui: Ui) -> None:
    claims = {
        f"{head}-{name}": value
        for head in ("X-Auth-Request", "X-Forwarded")
        for name, value in (("User", "root"), ("Groups", "operators"), ("Email", "a@b.example"), ("Uri", "/oauth2/x"))
    }
    claims |= {"Authorization": "Bearer x", "X-Auth-Request-Redirect": "https://evil.example/", "X-Real-IP": "10.0.0.1"}
    assert ui.query(MUTATION, **claims).status_code == 401
    assert "setConcurrencyLimit" not in (ui.query(MUTATION, "gus", **claims).json().get("data") or {})
    assert ui.ask("GET", "/overview", "carl", headers=claims).status_code == 403
    ui.login.asked.clear()
    sent = ui.ask("GET", "/overview", headers=claims)
    assert sent.headers["Location"].endswith("?state=/overview")
    ours = {"host", "connection", "cookie", "accept", "x-real-ip", "x-forwarded-proto", "x-auth-request-redirect"}
    for asked in ui.login.asked:
        assert set(asked) <= ours
        assert asked["x-real-ip"] == "127.0.0.1"


@needs_nginx
def test_a_foreign_page_cannot_use_an_operators_session(ui: Ui) -> None:
    for origin in ("https://evil.example", f"https://{HOST}.evil.example:{ui.port}", f"http://{HOST}", "null"):
        assert ui.query(MUTATION, "anna", Origin=origin).status_code == 403, origin
        reported = ui.ask("POST", "/report_asset_materialization/a", "anna", headers={"Origin": origin})
        assert reported.status_code == 403
        with pytest.raises(InvalidStatus, match="403"):
            ui.says("anna", origin)
    # A link needs no origin.
    assert ui.ask("GET", f"/graphql?query={MUTATION}", "anna").status_code == 405


@needs_nginx
def test_an_unknown_host_is_the_receivers(ui: Ui) -> None:
    # Capillary's events come under any name; one that met the login would be lost.
    for host in ("events.example.com", "127.0.0.1"):
        answer = ui.ask("POST", "/events", headers={"Host": host}, data=b"{}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")


def test_the_login_asks_for_the_groups_that_nginx_knows_and_holds_no_secret() -> None:
    options = tomllib.loads(LOGIN.read_text())
    nginx = (NGINX / "ui.conf").read_text()
    asked = {frozenset(one.split(",")) for one in re.findall(r"allowed_groups=([\w,]+)", nginx)}
    assert {frozenset(options["allowed_groups"]), frozenset({"operators"})} == asked
    assert options["cookie_name"] == COOKIE
    assert f"server {options['http_address']};" in nginx
    assert options["redirect_url"] == f"https://{HOST}/oauth2/callback"
    assert f"server_name {HOST};" in nginx
    # Secrets are named by their files, and nothing of a session goes on to a webserver.
    assert {name for name in options if "secret" in name} == {"client_secret_file", "cookie_secret_file"}
    assert not any(options[name] for name in options if name.startswith("pass_"))
    assert options["set_xauthrequest"]
    assert options["cookie_secure"]


def test_every_webserver_that_is_shipped_or_described_listens_on_this_machine_alone() -> None:
    places = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.*"), ROOT / "Makefile"]
    started = [
        (path.name, line.strip())
        for path in places
        if path.is_file() and path.suffix not in {".png", ".pyc"}
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"dagster-webserver .*(?:-w|-m|-p) |dagster dev\b|dg dev\b", line)
    ]
    assert len(started) >= 3
    for name, line in started:
        assert re.search(r"(?:-h|--host) (?:127\.0\.0\.1|localhost)\b", line), (name, line)
    assert "--read-only" in page("security.md")
