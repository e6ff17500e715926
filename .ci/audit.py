"""The pinned dependencies against what is known of vulnerabilities: `make audit`.

Belongs here: asking pip-audit, what of its answer fails the build, and the plain word where nobody can be asked. Does not
belong here: the pins (constraints.txt) and the vulnerabilities that are known and taken (audit-ignored.toml).

Exit code 0: nothing known, or nobody to ask, which is said. 1: a vulnerability that is not in the list, or a wrong list.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINS = ROOT / "constraints.txt"
IGNORED = ROOT / ".ci" / "audit-ignored.toml"


@dataclass(frozen=True)
class Ignored:
    """A vulnerability that is taken, and until when."""

    id: str
    reason: str
    review: date


def main(pins: Path = PINS, listed: Path = IGNORED) -> int:
    """Audit, print, and give the exit code."""
    today = datetime.now(UTC).date()
    try:
        ignored = read_ignored(listed)
    except ValueError as error:
        return _say(str(error), 1)
    report, complaint = ask(pins)
    if report is None:
        return _say(
            f"NOT AUDITED: the vulnerability service gave no answer ({complaint}). Nothing is known of the pins in "
            f"{pins.name}; run `make audit` where it can be reached.",
            0,
        )
    faults = judge(report, ignored, today)
    if faults:
        return _say("\n".join(faults), 1)
    return _say(f"{len(report['dependencies'])} dependencies, no known vulnerability that is not in {listed.name}.", 0)


def read_ignored(listed: Path) -> list[Ignored]:
    """The list of those that are taken.

    Raises:
        ValueError: an entry lacks its id, reason or date of review.
    """
    found = []
    for place, entry in enumerate(tomllib.loads(listed.read_text("utf-8")).get("ignored", []), 1):
        one, why, until = entry.get("id"), entry.get("reason"), entry.get("review")
        if not one or not str(why or "").strip() or not isinstance(until, date):
            raise ValueError(f"{listed.name}, entry {place}: give id, reason and review, a date such as 2027-01-31.")
        found.append(Ignored(one, why, until))
    return found


def ask(pins: Path) -> tuple[dict[str, Any] | None, str]:
    """What pip-audit reports, or None and why where there is nobody to ask.

    The first pin is asked about alone: a mirror that serves packages and knows nothing of vulnerabilities answers each
    question with "not found", and took half a minute to say so of all of them.
    """
    first = next(line for line in pins.read_text("utf-8").splitlines() if "==" in line)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as alone:
        alone.write(f"{first}\n")
        alone.flush()
        report, complaint = _asked(Path(alone.name))
    if report is not None and any("skip_reason" in one for one in report["dependencies"]):
        return None, report["dependencies"][0]["skip_reason"]
    return _asked(pins) if report is not None else (None, complaint)


def _asked(pins: Path) -> tuple[dict[str, Any] | None, str]:
    options = ["--no-deps", "--disable-pip", "--vulnerability-service", "pypi", "--timeout", "15"]
    shown = ["--format", "json", "--progress-spinner", "off"]
    asked = subprocess.run(  # noqa: S603 - a command of this file's own making
        [sys.executable, "-m", "pip_audit", "--requirement", str(pins), *options, *shown],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(asked.stdout), ""
    except json.JSONDecodeError:
        lines = asked.stderr.strip().splitlines()
        return None, lines[-1][:200] if lines else f"exit code {asked.returncode}"


def judge(report: dict[str, Any], ignored: list[Ignored], today: date) -> list[str]:
    """What must be mended, a sentence each: vulnerabilities, dates of review that have passed, entries without use."""
    faults: list[str] = []
    used: set[str] = set()
    for package in report["dependencies"]:
        if "skip_reason" in package:
            faults.append(f"{package['name']} was not audited: {package['skip_reason']}.")
        for found in package.get("vulns", []):
            taken = {one.id for one in ignored} & {found["id"], *found.get("aliases", [])}
            used |= taken
            if not taken:
                cure = (
                    f"take {' or '.join(found['fix_versions'])}" if found["fix_versions"] else "no version mends it yet"
                )
                faults.append(
                    f"{package['name']} {package['version']}: {found['id']}; {cure}, or list it with a reason."
                )
    for one in ignored:
        if one.id not in used:
            faults.append(f"{one.id} is ignored and not found any more: take it off the list.")
        elif one.review < today:
            faults.append(f"{one.id} is ignored until {one.review}, which has passed: look again ({one.reason}).")
    return faults


def _say(words: str, code: int) -> int:
    (sys.stderr if code else sys.stdout).write(f"{words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
