"""The mapping compiler: rules become one straight-line Python function per event type.

Belongs here: code generation. Does not belong here: the language (`rules.py`) and the conversions (`capillary.values`).

Why generated Python and not SQL: `bench/mapping_forms.py` measures both over the same payloads. DuckDB makes a text with
nulls in half the time, but AEP takes no nulls, and dropping them costs a parse and a write again: ready to send, SQL is
1.4 times slower, with numbers as text, alternates and the list of unreadable fields still to come. The validator takes
Python objects besides, so the parsed entity is needed anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from capillary_adobe.capillary import values
from capillary_adobe.capillary.values import Unreadable
from capillary_adobe.xdm.language import primitives
from capillary_adobe.xdm.language.expressions import COLUMNS
from capillary_adobe.xdm.language.rule_model import TENANT, Leaf, List, Node, Path, Rules, Step, Test, Variant

_COLUMN = {name: place for place, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Mapped:
    """What the mapping makes of one event, before its head (`_id`, `identityMap` and so on) is set."""

    event_type: str
    customer_id_only: bool
    timestamp_ms: int
    fields: dict[str, Any]
    variant: int


Transform = Callable[[dict[str, Any], tuple[Any, ...], list[str]], Mapped]


def compile_rules(rules: Rules, tenant_id: str) -> dict[str, Transform]:
    """One function per event type: payload, enriched row, list for unreadable source paths → `Mapped`.

    Behind the columns of the enriched row stands one item more, the customer identity (`@identity`).
    """
    return {event: _compiled(tenant_id, variants) for event, variants in rules.items()}


# By the rule itself beside its identity, so that no other can come to have its place. Several stages of a run compile the
# same rules, at 4 ms a rule.
_COMPILED: dict[tuple[str, int], tuple[tuple[Variant, ...], Transform]] = {}
_MOST_COMPILED = 1000


def _compiled(tenant_id: str, variants: tuple[Variant, ...]) -> Transform:
    place = tenant_id, id(variants)
    known = _COMPILED.get(place)
    if known is None or known[0] is not variants:
        if len(_COMPILED) >= _MOST_COMPILED:
            _COMPILED.clear()
        known = _COMPILED[place] = variants, _Writer(tenant_id).function(variants)
    return known[1]


_LIBRARY: dict[str, Any] = {
    "Unreadable": Unreadable,
    "Mapped": Mapped,
    "ZoneInfo": ZoneInfo,
    "nothing": values.nothing,
    "pick": primitives.pick,
    "compare": primitives.compare,
    "same_text": primitives.same_text,
    "epoch_ms": values.epoch_ms,
    **{f"convert_{name}": function for name, function in primitives.CONVERT.items()},
    "convert_moment": values.moment,
}


class _Writer:
    """Writes the source of one function; look-ups already made in an enclosing block are not made again."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant = f"_{tenant_id}"
        self._lines: list[str] = []
        self._depth = 1
        self._names = 0
        self._known: list[dict[tuple[str, str], str]] = [{}]
        self._item = ""
        self._globals: dict[str, Any] = dict(_LIBRARY)

    def function(self, variants: tuple[Variant, ...]) -> Transform:
        """Compile the variants of one event type; the first whose condition holds applies."""
        self._emit(f"zone = ZoneInfo(row[{_COLUMN['zone']}])")
        for number, variant in enumerate(variants):
            if variant.when:
                with self._block(f"if {self._condition(variant.when)}:"):
                    self._variant(variant, number)
            else:
                self._variant(variant, number)
        source = "def transform(data, row, unreadable):\n" + "\n".join(self._lines)
        # The source is made of parsed rules alone: names are word characters, literals go through repr.
        exec(compile(source, "<mapping>", "exec"), self._globals)  # noqa: S102
        return self._globals["transform"]

    def _variant(self, variant: Variant, number: int) -> None:
        self._emit(f"created = row[{_COLUMN['created_ms']}]")
        self._emit("timestamp = None")
        for path in variant.timestamp:
            with self._block("if timestamp is None:"):
                with self._block("try:"):
                    self._emit(f"timestamp = epoch_ms({self._look_up(path)})")
                with self._block("except Unreadable:"):
                    self._emit(f"unreadable.append({path.text!r})")
                # A till whose clock runs ahead, or a zone slip, would put the event after its own storage.
                with self._block("if timestamp is not None and timestamp > created:"):
                    self._emit("timestamp = None")
        fields = self._node(variant.fields)
        stamp = "created if timestamp is None else timestamp"
        self._emit(f"return Mapped({variant.event_type!r}, {variant.customer_id_only}, {stamp}, {fields}, {number})")

    def _node(self, node: Node) -> str:
        name = self._name("node")
        self._emit(f"{name} = {{}}")
        for key, child in node.children.items():
            target = f"{name}[{(self._tenant if key == TENANT else key)!r}]"
            if isinstance(child, Leaf):
                self._leaf(child, target)
            else:
                made = self._node(child) if isinstance(child, Node) else self._list(child)
                self._emit(f"if {made}: {target} = {made}")
        return name

    def _list(self, child: List) -> str:
        name = self._name("list")
        self._emit(f"{name} = []")
        for block in child.blocks:
            if block.each is None:
                with self._block(f"if {self._condition(block.when)}:" if block.when else "if True:"):
                    made = self._node(block.fields)
                    self._emit(f"if {made}: {name}.append({made})")
                continue
            source = self._look_up(block.each)
            with self._block(f"if type({source}) is list:"):
                item, outer = self._name("item"), self._item
                with self._block(f"for {item} in {source}:"):
                    self._emit(f"if type({item}) is not dict: continue")
                    self._item = item
                    with self._block(f"if {self._condition(block.when)}:" if block.when else "if True:"):
                        made = self._node(block.fields)
                        fresh = f" and {made} not in {name}" if block.distinct else ""
                        self._emit(f"if {made}{fresh}: {name}.append({made})")
                    self._item = outer
        return name

    def _leaf(self, leaf: Leaf, target: str) -> None:
        if leaf.when:
            with self._block(f"if {self._condition(leaf.when)}:"):
                self._value(leaf, target)
        else:
            self._value(leaf, target)

    def _value(self, leaf: Leaf, target: str) -> None:
        if not leaf.sources:
            self._emit(f"{target} = {leaf.constant!r}")
            return
        value = self._name("value")
        several = len(leaf.sources) > 1
        if several:
            self._emit(f"{value} = bad = None")
        for number, path in enumerate(leaf.sources):
            found = self._look_up(path)
            guard = f"if {found} is not None:" if number == 0 else f"if {value} is None and {found} is not None:"
            with self._block(guard):
                with self._block("try:"):
                    self._emit(f"{value} = {self._converted(leaf, found)}")
                with self._block("except Unreadable:"):
                    self._emit(f"bad = {path.text!r}" if several else f"unreadable.append({path.text!r})")
                if not several:
                    with self._block("else:"):
                        self._emit(f"if {value} is not None: {target} = {value}")
        if several:
            self._emit(f"if {value} is not None: {target} = {value}")
            self._emit("elif bad is not None: unreadable.append(bad)")

    def _converted(self, leaf: Leaf, found: str) -> str:
        if leaf.choices:
            table = self._name("choices")
            self._globals[table] = dict(leaf.choices)
            return f"{table}.get((convert_text({found}) or '').lower())"
        if leaf.conversion == "moment":
            return f"convert_moment({found}, zone, {leaf.edge!r})"
        converted = f"convert_{leaf.conversion}({found})"
        return f"(lambda read: read and {leaf.prefix!r} + read)({converted})" if leaf.prefix else converted

    def _condition(self, tests: tuple[Test, ...]) -> str:
        return " and ".join(self._test(test) for test in tests)

    def _test(self, test: Test) -> str:
        found = self._look_up(test.path)
        if test.operator is None:
            written = f"not nothing({found})"
        elif test.operator == "is":
            written = f"same_text({found}, {str(test.literal).lower()!r})"
        else:
            written = f"compare({found}) {test.operator} {float(test.literal or 0)!r}"
        return f"not ({written})" if test.negated else written

    def _look_up(self, path: Path) -> str:
        if path.origin == "row":
            return f"row[{_COLUMN[path.steps[0].name]}]"
        found = self._item if path.origin == "item" else "data"
        for step in path.steps:
            found = self._step(found, step)
        return found

    def _step(self, owner: str, step: Step) -> str:
        place = (owner, repr(step))
        for known in reversed(self._known):
            if place in known:
                return known[place]
        name = self._name("at")
        reached = f"{owner}.get({step.name!r})"
        # The payload and the elements at hand are objects already; anything deeper may be of any type.
        safe = owner == "data" or owner == self._item
        looked_up = reached if safe else f"{reached} if type({owner}) is dict else None"
        if step.key is None:
            self._emit(f"{name} = {looked_up}")
        else:
            wanted = self._look_up(step.wanted) if isinstance(step.wanted, Path) else repr(step.wanted)
            self._emit(f"{name} = pick({looked_up}, {step.key!r}, {wanted})")
        self._known[-1][place] = name
        return name

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _emit(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)

    @contextmanager
    def _block(self, head: str) -> Any:
        self._emit(head)
        self._depth += 1
        self._known.append({})
        yield
        self._known.pop()
        self._depth -= 1
