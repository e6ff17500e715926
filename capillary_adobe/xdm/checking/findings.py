"""Findings: what a check of the mapping has to say, each with its place.

Belongs here: the form and the order of findings. Does not belong here: finding anything (`checking*.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from capillary_adobe.xdm.language.rule_model import Place

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing to mend (`error`) or to look at (`warning`); the words hold the cure."""

    severity: Severity
    place: Place | None
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.words}" if self.place else f"{self.severity}: {self.words}"

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        place = self.place
        return {
            "severity": self.severity,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "words": self.words,
        }


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once, by file, line and column; a rule in a shared block is found in every event that uses it."""

    def key(finding: Finding) -> tuple[bool, str, int, int, str, str]:
        place = finding.place or Place("", 0)
        return finding.place is None, place.file, place.line, place.column, finding.severity, finding.words

    return sorted(set(findings), key=key)
