"""Faults counted by cause: what an operator mends at one place stands in one line.

Belongs here: the line of one cause and gathering them over a run. Does not belong here: the violations (`violations`), the
rows of quarantine (`entities`) and showing the lines (`defs`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from capillary_adobe.xdm.violations import Violation, any_element

_MOST: Final = 500


class Fault(NamedTuple):
    """One cause: the same event, place and demand, whichever element of a list; `rule` is the mapping's line."""

    event: str
    pointer: str
    code: str
    category: str
    keyword: str
    value_type: str
    rule: str
    cure: str


@dataclass
class FaultCounts:
    """Violations of a run by cause. The mapping bounds the causes; should it not, the rest is counted as one number."""

    by_cause: Counter[Fault] = field(default_factory=Counter)
    not_listed: int = 0

    def add(self, event: str, violation: Violation, rule: str | None) -> None:
        """Count one violation."""
        told = violation.code, violation.category, violation.keyword, violation.value_type
        fault = Fault(event, any_element(violation.pointer) or "/", *told, rule or "", violation.cure)
        if fault in self.by_cause or len(self.by_cause) < _MOST:
            self.by_cause[fault] += 1
        else:
            self.not_listed += 1
