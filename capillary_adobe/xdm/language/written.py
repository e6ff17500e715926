"""What the mapping writes: one tree of target fields over all events and variants.

Belongs here: which kind of value stands at each path, and which rule says so. Does not belong here: the rules' language
(`rules.py`), what a schema lacks (`additions.py`) and whether a kind fits a schema (`checking`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from capillary_adobe.xdm.language.rule_model import Leaf, List, Node, Place, Rules
from capillary_adobe.xdm.language.rule_walk import first_place

OBJECT: Final = "object"
LIST: Final = "list"

KINDS: Final[dict[str, str]] = {
    "text": "text",
    "id": "text",
    "slug": "text",
    "number": "number",
    "integer": "integer",
    "limit": "integer",
    "boolean": "boolean",
    "currency": "currency code",
    "date": "date",
    "email": "text",
    "language": "text",
    "country": "text",
    "moment": "moment",
}
"""The kind of value that each conversion gives."""


@dataclass(frozen=True)
class Spot:
    """The rule of an event for a target field, and where it stands."""

    event: str
    target: str
    place: Place | None

    def __str__(self) -> str:
        where = f"{self.event}: {self.target}"
        return f"{where} ({self.place})" if self.place else where


@dataclass
class Written:
    """One target field: the kinds of value that rules give it, each with the first rule that does.

    `children` are an object's fields, or those of a list's elements.
    """

    kinds: dict[str, Spot] = field(default_factory=dict)
    children: dict[str, Written] = field(default_factory=dict)
    description: str = ""
    identities: dict[str, Spot] = field(default_factory=dict)
    """Namespaces that rules mark it as an identity of, each with the first rule that does."""

    @property
    def kind(self) -> str:
        """The kind that was written first."""
        return next(iter(self.kinds))

    @property
    def spot(self) -> Spot:
        """The rule that was there first."""
        return next(iter(self.kinds.values()))


def written_fields(rules: Rules) -> Written:
    """Every target field of the rules, events and variants laid over one another."""
    root = Written({OBJECT: Spot("", "", None)})
    for event, variants in rules.items():
        for variant in variants:
            _lay(root, variant.fields, event, "")
    return root


def leaves(written: Written, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Written]]:
    """Every field that holds a value of its own, with its path; `[]` ends the name of a list."""
    if written.kinds.keys() - {OBJECT, LIST} and path:
        yield path, written
    head = (*path[:-1], path[-1] + "[]") if path and LIST in written.kinds else path
    for name, child in written.children.items():
        yield from leaves(child, (*head, name))


def kind_of(leaf: Leaf) -> str:
    """The kind of value that a leaf gives."""
    if leaf.sources:
        return "text" if leaf.choices else KINDS[leaf.conversion]
    match leaf.constant:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
    return "text"


def _lay(owner: Written, node: Node, event: str, path: str) -> None:
    for name, part in node.children.items():
        target = f"{path}.{name}" if path else name
        written = owner.children.setdefault(name, Written())
        if isinstance(part, Leaf):
            written.kinds.setdefault(kind_of(part), Spot(event, target, part.place))
            written.description = written.description or part.description
            if part.identity:
                written.identities.setdefault(part.identity, Spot(event, target, part.place))
        elif isinstance(part, List):
            written.kinds.setdefault(LIST, Spot(event, target, part.place))
            for block in part.blocks:
                _lay(written, block.fields, event, f"{target}[]")
        else:
            written.kinds.setdefault(OBJECT, Spot(event, target, first_place(part)))
            _lay(written, part, event, target)
