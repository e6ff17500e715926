"""The container file against the repository: what it copies is there, and what it starts exists."""

from __future__ import annotations

import re
import tomllib

from packaging.specifiers import SpecifierSet

from capillary_adobe.cli import main
from capillary_adobe.settings import ReceiverSettings
from capillary_adobe_tests.docs.pages import ROOT

TEXT = (ROOT / "deploy" / "container" / "Containerfile").read_text().replace("\\\n", " ")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(f"{name} ")]


def test_everything_it_copies_is_in_the_repository() -> None:
    sources = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert {"pyproject.toml", "constraints.txt", "capillary_adobe", "workspace.yaml", "dagster.yaml"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_it_installs_the_tested_versions_on_a_python_that_is_new_enough() -> None:
    wanted = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
    versions = {found for line in instructions("FROM") for found in re.findall(r"python:([0-9.]+)-slim", line)}
    assert len(versions) == 1
    assert wanted.contains(versions.pop())
    assert "-c constraints.txt" in TEXT


def test_it_runs_the_receiver_as_nobody_and_asks_whether_it_is_alive() -> None:
    assert instructions("CMD")[-1] == '["receive"]'
    assert "receive" in main.commands
    [user] = instructions("USER")
    assert int(user.partition(":")[0]) > 0
    assert "/healthz" in TEXT
    assert f"RECEIVE_PORT={ReceiverSettings.model_fields['port'].default}" in TEXT
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
