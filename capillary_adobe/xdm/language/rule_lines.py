"""Mapping lines for what is wrong with an entity.

Belongs here: the line of a violation as it is shown, and of an entity that was made before, by the `eventType` that its
variant wrote. Does not belong here: which rule wrote a field (`origins.py`).
"""

from __future__ import annotations

from capillary_adobe.xdm.language.origins import Origins
from capillary_adobe.xdm.language.rule_model import GENERIC, Rules

_OF_THE_VARIANT = "/eventType"


class RuleLines:
    """Lines of a mapping's rules, such as `points.yaml:12`."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._origins = Origins(rules)

    def of_variant(self, event: str, variant: int, pointer: str, category: str | None = None) -> str | None:
        """The line of the rule that wrote what a pointer names.

        For a field that is absent, the nearest line, at last that of the variant; None for what no rule writes.
        """
        place = self._origins.place(event, variant, pointer)
        if place is None and category == "presence":
            place = self._origins.place(event, variant, _OF_THE_VARIANT)
        return None if place is None else place.in_line

    def __call__(self, event: str, event_type: str, pointer: str, category: str | None = None) -> str | None:
        """The line for an entity made before; another mapping may have made it, so that it is where to look first."""
        variants = self._rules.get(event) or self._rules.get(GENERIC, ())
        same = [number for number, variant in enumerate(variants) if variant.event_type == event_type]
        lines = (self.of_variant(event, number, pointer, category) for number in same or range(len(variants)))
        return next((line for line in lines if line is not None), None)
