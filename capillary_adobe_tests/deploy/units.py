"""The shipped systemd units, taken apart.

Belongs here: finding units, reading their lines, and what a line becomes where the installation is elsewhere. Does not belong
here: expectations.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from capillary_adobe_tests.docs.pages import ROOT

FOLDER = ROOT / "deploy" / "systemd"
INSTALLED = "/opt/capillary-adobe"
BIN = f"{INSTALLED}/.venv/bin/"


@dataclass(frozen=True)
class Unit:
    """A unit file. A key may stand in it several times."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def lines(self) -> dict[str, list[str]]:
        """Values by key, in their order; sections share no key that is asked for."""
        found: dict[str, list[str]] = defaultdict(list)
        for key, value in re.findall(r"^(\w+)=(.*)$", self.text, re.MULTILINE):
            found[key].append(value)
        return found

    def one(self, key: str) -> str:
        """The only value of a key."""
        [value] = self.lines[key]
        return value

    def words(self, key: str) -> list[str]:
        """All values of a key, word by word."""
        return [word for value in self.lines[key] for word in value.split()]


def services() -> list[Unit]:
    return [Unit(path) for path in sorted(FOLDER.glob("*.service"))]


def service(name: str) -> Unit:
    return Unit(FOLDER / f"{name}.service")


def here(line: str, elsewhere: Mapping[str, str] | None = None) -> str:
    """A command line of a unit, with this interpreter's programs and whatever else lies elsewhere."""
    for place, other in {BIN: f"{Path(sys.executable).parent}/", **(elsewhere or {})}.items():
        line = line.replace(place, other)
    return line
