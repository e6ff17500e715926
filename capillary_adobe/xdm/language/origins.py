"""Origins: which line of a mapping file wrote a field of an entity.

Belongs here: from a JSON pointer into an entity back to the rule. Does not belong here: what is wrong with the field
(`conformance.py`).
"""

from __future__ import annotations

from capillary_adobe.xdm.language.rule_model import GENERIC, TENANT, Leaf, List, Node, Place, Rules, Variant
from capillary_adobe.xdm.language.rule_walk import first_place


class Origins:
    """Looks rules up by what they wrote."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def place(self, event: str, variant: int, pointer: str) -> Place | None:
        """Where the rule stands that wrote what a pointer names; None for the head of the entity, which no rule writes.

        A field that is absent has the place of the nearest rule: of the list that it would stand in, or of the first
        field beside it. Blocks of a list are told apart by their fields alone: where several have the field, the list is the
        nearest.
        """
        variants = self._rules.get(event) or self._rules.get(GENERIC, ())
        if variant >= len(variants):
            return None
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        found = variants[variant]
        if len(steps) == 1 and steps[0] in ("timestamp", "eventType"):
            return _of_head(found, steps[0])
        return _of_field(found.fields, steps)


def _of_head(variant: Variant, name: str) -> Place | None:
    if name == "timestamp" and variant.timestamp:
        return variant.timestamp[0].place
    return variant.place


def _of_field(root: Node, steps: list[str]) -> Place | None:
    part: Node | Leaf | List = root
    for number, step in enumerate(steps):
        if isinstance(part, Leaf):
            return part.place
        if isinstance(part, List):
            return _in_list(part, steps[number:])
        name = step if step in part.children or not _is_tenants(step) else TENANT
        if name not in part.children:
            return first_place(part) if number else None
        part = part.children[name]
    return first_place(part) if steps else None


def _is_tenants(step: str) -> bool:
    return step.startswith("_") and step not in ("_id", "_type")


def _in_list(part: List, steps: list[str]) -> Place | None:
    inside = steps[1:]
    found = [block for block in part.blocks if inside and _has(block.fields, inside[0])]
    return _of_field(found[0].fields, inside) if len(found) == 1 else part.place


def _has(node: Node, step: str) -> bool:
    return step in node.children or (_is_tenants(step) and TENANT in node.children)
