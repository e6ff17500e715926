"""The mapping one rule at a time, telling what each rule found and did: slow, for people.

Belongs here: the same steps as compiled rules take (`compiler.py`), each with its outcome. Does not belong here: what
becomes of a source field over all rules (`trial.py`), and the way that entities are really made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from capillary_adobe.capillary import values
from capillary_adobe.capillary.values import Unreadable
from capillary_adobe.xdm.language import primitives
from capillary_adobe.xdm.language.expressions import COLUMNS
from capillary_adobe.xdm.language.rule_model import TENANT, Block, Leaf, List, Node, Path, Place, Step, Test, Variant

_COLUMN = {name: place for place, name in enumerate(COLUMNS)}
_OPERATORS = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
}


class Outcome(StrEnum):
    """What a rule did with a source."""

    WRITTEN = "written"
    NOTHING = "there is nothing"
    UNREADABLE = "cannot be read"
    CONDITION = "the rule's condition does not hold"
    NOT_NEEDED = "an earlier source of the rule gave the value"
    NOT_LISTED = "is not in the rule's `choose`"
    MEANS_NOTHING = "means nothing under the rule's `as`"
    REPEATED = "repeats an element that the list has already"
    LOOKED_AT = "looked at"
    LATER = "lies after createdAt"


@dataclass(frozen=True)
class Use:
    """One rule and one of its sources; a constant has no source, a condition no target of its own."""

    source: str
    target: str
    place: Place | None
    outcome: Outcome
    words: str = ""


@dataclass(frozen=True)
class Trace:
    """What the mapping made of an event, and every use of a source on the way."""

    variant: int
    fields: dict[str, Any]
    uses: list[Use]


class _Found(NamedTuple):
    path: str
    value: Any


class _Item(NamedTuple):
    path: str
    value: dict[str, Any]


def trace(variants: tuple[Variant, ...], data: dict[str, Any], row: tuple[Any, ...], tenant_id: str) -> Trace:
    """Apply the variants of an event to a payload and its enriched row, the customer identity behind its columns."""
    walk = _Walk(data, row, tenant_id)
    for number, variant in enumerate(variants):
        if walk.all_hold(variant.when, None, variant.place):
            walk.timestamp(variant)
            return Trace(number, walk.node(variant.fields, None, ""), walk.uses)
    raise ValueError("the last variant of an event has no condition")


class _Walk:
    def __init__(self, data: dict[str, Any], row: tuple[Any, ...], tenant_id: str) -> None:
        self._data = data
        self._row = row
        self._key = f"_{tenant_id}"
        self._zone = ZoneInfo(row[_COLUMN["zone"]])
        self.uses: list[Use] = []

    def timestamp(self, variant: Variant) -> None:
        """The sources of the timestamp: the first that can be read and is not after `createdAt`."""
        created, written = self._row[_COLUMN["created_ms"]], False
        for path in variant.timestamp:
            found = self._look_up(path, None, path.place)
            if written:
                self._use(found, "/timestamp", path.place, Outcome.NOT_NEEDED)
                continue
            try:
                read = values.epoch_ms(found.value)
            except Unreadable as error:
                self._use(found, "/timestamp", path.place, Outcome.UNREADABLE, str(error))
                continue
            written = read is not None and read <= created
            outcome = Outcome.WRITTEN if written else Outcome.NOTHING if read is None else Outcome.LATER
            self._use(found, "/timestamp", path.place, outcome)

    def node(self, node: Node, item: _Item | None, target: str) -> dict[str, Any]:
        """The object of a node; parts without content are left out."""
        made: dict[str, Any] = {}
        for name, part in node.children.items():
            key = self._key if name == TENANT else name
            inner = f"{target}/{key}"
            if isinstance(part, Leaf):
                value = self._leaf(part, item, inner)
                if value is not None:
                    made[key] = value
            elif content := self.node(part, item, inner) if isinstance(part, Node) else self._list(part, item, inner):
                made[key] = content
        return made

    def all_hold(self, tests: tuple[Test, ...], item: _Item | None, place: Place | None) -> bool:
        """Whether conditions hold; what they look at is noted."""
        return all([self._holds(test, item, place) for test in tests])  # noqa: C419 - each is to be noted

    def _list(self, part: List, item: _Item | None, target: str) -> list[Any]:
        made: list[Any] = []
        for block in part.blocks:
            if block.each is None:
                self._element(block, item, target, made)
                continue
            source = self._look_up(block.each, item, block.place)
            for number, value in enumerate(source.value if type(source.value) is list else ()):
                if type(value) is dict:
                    self._element(block, _Item(f"{source.path}[{number}]", value), target, made)
        return made

    def _element(self, block: Block, item: _Item | None, target: str, made: list[Any]) -> None:
        start = len(self.uses)
        holds = self.all_hold(block.when, item, block.place)
        before = len(self.uses)
        content = self.node(block.fields, item, f"{target}/{len(made)}")
        if not holds:
            self._change(before, Outcome.CONDITION, _condition(block.when))
        elif content and block.distinct and content in made:
            self._change(start, Outcome.REPEATED, "")
        elif content:
            made.append(content)

    def _change(self, start: int, outcome: Outcome, words: str) -> None:
        """What was written since counts as not written after all."""
        for number in range(start, len(self.uses)):
            use = self.uses[number]
            if use.outcome is Outcome.WRITTEN:
                self.uses[number] = Use(use.source, use.target, use.place, outcome, words)

    def _leaf(self, leaf: Leaf, item: _Item | None, target: str) -> Any:
        holds = self.all_hold(leaf.when, item, leaf.place)
        if not leaf.sources:
            if holds:
                self.uses.append(Use("", target, leaf.place, Outcome.WRITTEN))
            return leaf.constant if holds else None
        value: Any = None
        for path in leaf.sources:
            found = self._look_up(path, item, leaf.place)
            if not holds:
                self._use(found, target, leaf.place, Outcome.CONDITION, _condition(leaf.when))
            elif value is not None:
                self._use(found, target, leaf.place, Outcome.NOT_NEEDED)
            else:
                value = self._converted(leaf, found, target)
        return value

    def _converted(self, leaf: Leaf, found: _Found, target: str) -> Any:
        try:
            read = convert(leaf, found.value, self._zone)
        except Unreadable as error:
            self._use(found, target, leaf.place, Outcome.UNREADABLE, str(error))
            return None
        outcome = Outcome.WRITTEN
        if read is None:
            empty = values.nothing(found.value)
            given = Outcome.NOT_LISTED if leaf.choices else Outcome.MEANS_NOTHING
            outcome = Outcome.NOTHING if empty else given
        self._use(found, target, leaf.place, outcome)
        return read

    def _holds(self, test: Test, item: _Item | None, place: Place | None) -> bool:
        found = self._look_up(test.path, item, place)
        self._use(found, "", place, Outcome.LOOKED_AT, f"the condition `{test}`")
        if test.operator is None:
            holds = not values.nothing(found.value)
        elif test.operator == "is":
            holds = primitives.same_text(found.value, str(test.literal).lower())
        else:
            holds = _OPERATORS[test.operator](primitives.compare(found.value), float(test.literal or 0))
        return holds != test.negated

    def _look_up(self, path: Path, item: _Item | None, place: Place | None) -> _Found:
        if path.origin == "row":
            return _Found(path.text, self._row[_COLUMN[path.steps[0].name]])
        found = _Found(item.path, item.value) if path.origin == "item" and item is not None else _Found("", self._data)
        for step in path.steps:
            found = self._step(found, step, item, place)
        return found

    def _step(self, owner: _Found, step: Step, item: _Item | None, place: Place | None) -> _Found:
        value = owner.value.get(step.name) if type(owner.value) is dict else None
        path = f"{owner.path}.{step.name}" if owner.path else step.name
        if step.key is None:
            return _Found(path, value)
        wanted = step.wanted
        if isinstance(wanted, Path):
            other = self._look_up(wanted, item, place)
            self._use(other, "", place, Outcome.LOOKED_AT, f"the choice of an element of {path}")
            wanted = other.value
        at = primitives.picked(value, step.key, wanted)
        if at is None or type(value) is not list:
            return _Found(f"{path}[{step.key}={step.wanted if type(step.wanted) is str else '…'}]", None)
        chosen = _Found(f"{path}[{at}]", value[at])
        key = _Found(f"{chosen.path}.{step.key}", None)
        self._use(key, "", place, Outcome.LOOKED_AT, f"the choice of an element of {path}")
        return chosen

    def _use(self, found: _Found, target: str, place: Place | None, outcome: Outcome, words: str = "") -> None:
        self.uses.append(Use(found.path, target, place, outcome, words))


def convert(leaf: Leaf, value: Any, zone: ZoneInfo) -> Any:
    """What a leaf makes of a value.

    Raises:
        Unreadable: the value is there and cannot be converted.
    """
    if value is None:
        return None
    if leaf.choices:
        return dict(leaf.choices).get((values.text(value) or "").lower())
    if leaf.conversion == "moment":
        return values.moment(value, zone, "start" if leaf.edge == "start" else "end")
    read = primitives.CONVERT[leaf.conversion](value)
    return (read and leaf.prefix + read) if leaf.prefix else read


def _condition(tests: tuple[Test, ...]) -> str:
    return " and ".join(str(test) for test in tests)
