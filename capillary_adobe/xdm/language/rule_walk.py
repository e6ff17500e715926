"""Walking through rules: every target field of a variant with what surrounds it.

Belongs here: the whole target path and the whole source path of each rule. Does not belong here: what is done with them
(`checking`, `trying`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capillary_adobe.xdm.language.rule_model import Block, Leaf, List, Node, Path, Place, Step, Test, Variant

Target = tuple[str, ...]
"""Names of a target path; `[]` stands for the elements of a list."""


@dataclass(frozen=True)
class Site:
    """A leaf or a block where it stands; `base` is the source path of the element at hand, if there is one."""

    target: Target
    leaf: Leaf | None
    block: Block | None
    base: str | None
    when: tuple[Test, ...]
    """Conditions of the blocks around it and of the element at hand."""


def written(target: Target) -> str:
    """A target path as one text: `loyalty.pointsGained[].value`."""
    return ".".join(target).replace(".[]", "[]")


def sites(variant: Variant) -> Iterator[Site]:
    """Every block and leaf of a variant, in the order in which they are written."""
    yield from _sites(variant.fields, (), None, ())


def first_place(part: Node | Leaf | List) -> Place | None:
    """Where a part of a target stands: an object has no place of its own, but its first field has."""
    if not isinstance(part, Node):
        return part.place
    return next((place for child in part.children.values() if (place := first_place(child)) is not None), None)


def source(path: Path, base: str | None) -> str:
    """A source path from the payload's root: `promotionalPointsIssued[].promotionPoints`; a column keeps its `@`."""
    if path.origin == "row":
        return path.text
    own = ".".join(_step(step) for step in path.steps)
    return f"{base}[].{own}" if path.origin == "item" and base is not None else own


def _step(step: Step) -> str:
    return step.name if step.key is None else f"{step.name}[]"


def _sites(node: Node, above: Target, base: str | None, when: tuple[Test, ...]) -> Iterator[Site]:
    for name, child in node.children.items():
        target = (*above, name)
        if isinstance(child, Leaf):
            yield Site(target, child, None, base, when)
        elif isinstance(child, Node):
            yield from _sites(child, target, base, when)
        else:
            yield from _in_list(child, target, base, when)


def _in_list(child: List, target: Target, base: str | None, when: tuple[Test, ...]) -> Iterator[Site]:
    for block in child.blocks:
        inner = base if block.each is None else source(block.each, base)
        yield Site((*target, "[]"), None, block, base, when)
        yield from _sites(block.fields, (*target, "[]"), inner, (*when, *block.when))
