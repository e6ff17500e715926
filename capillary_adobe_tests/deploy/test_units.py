"""The systemd units: systemd takes them, and they fit the program that they start."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from capillary_adobe.cli import main
from capillary_adobe.settings import ReceiverSettings
from capillary_adobe_tests.docs.pages import ROOT, page

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")


def default(field: str) -> float:
    return float(ReceiverSettings.model_fields[field].default)


def service(unit: Path) -> dict[str, str]:
    class Lines(RawConfigParser):
        def optionxform(self, optionstr: str) -> str:
            return optionstr

    parser = Lines(strict=False, interpolation=None)
    parser.read_string(unit.read_text())
    return dict(parser["Service"])


@needs_systemd
@each_unit
def test_systemd_takes_the_unit_without_a_remark(unit: Path, tmp_path: Path) -> None:
    installed = re.sub(
        r"/opt/\S+/capillary-adobe", str(Path(sys.executable).parent / "capillary-adobe"), unit.read_text()
    )
    name = unit.name.replace("@", "@8791")
    (tmp_path / name).write_text(installed)
    seen = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    about_it = [line for line in (seen.stdout + seen.stderr).splitlines() if unit.stem.rstrip("@") in line]
    assert (seen.returncode, about_it) == (0, [])


@needs_systemd
@each_unit
def test_the_unit_is_shut_off_from_the_rest_of_the_machine(unit: Path) -> None:
    seen = subprocess.run(
        [str(ANALYZE), "security", "--offline=yes", "--threshold=25", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.returncode == 0, seen.stdout + seen.stderr


@each_unit
def test_a_stop_lets_the_receiver_land_what_it_took(unit: Path) -> None:
    found = service(unit)
    needed = default("stop_seconds") + default("commit_seconds")
    assert float(found["TimeoutStopSec"]) > needed
    assert (found["KillSignal"], found["KillMode"]) == ("SIGTERM", "mixed")


@each_unit
def test_it_comes_back_whatever_ended_it(unit: Path) -> None:
    assert service(unit)["Restart"] == "always"
    assert "StartLimitIntervalSec=0" in unit.read_text()
    assert int(service(unit)["LimitNOFILE"]) > default("max_connections")


@each_unit
def test_the_command_exists_and_the_page_names_what_the_unit_reads(unit: Path) -> None:
    found = service(unit)
    assert found["ExecStart"].split()[-1] in main.commands
    for place in (found["EnvironmentFile"], found["ReadWritePaths"], f"deploy/systemd/{unit.name}"):
        assert place in page("receiving.md")


def test_the_template_is_the_unit_with_a_port() -> None:
    one, several = (set(unit.read_text().splitlines()) for unit in UNITS)
    differing = {line.partition("=")[0] for line in one ^ several if not line.startswith("#")}
    assert differing == {"Description", "ExecStart"}
