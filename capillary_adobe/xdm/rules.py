"""Mapping rules: the YAML files read into a small model, with errors that name the file and the place.

Belongs here: the language of the files (docs/mapping.md). Does not belong here: turning rules into code
(`compiler.py`) and what a conversion does (`capillary.values`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

from capillary_adobe.tables import ENRICHED_EVENTS

CONVERSIONS = ("text", "id", "slug", "number", "integer", "limit", "boolean", "currency", "moment")
TENANT = "_tenant"
GENERIC = "*"
_LEAF_OPTIONS = {"from", "as", "value", "when", "unit", "edge", "choose", "prefix"}
_BLOCK_OPTIONS = {"each", "when", "distinct", "fields"}
_VARIANT_OPTIONS = {"when", "event_type", "timestamp", "identities", "use", "fields"}
_STEP = re.compile(r"(\w+)(?:\[(\w+)=([^\]]+)\])?")
_CONDITION = re.compile(r"(?P<no>not\s+)?(?P<path>\S+)(?:\s+(?P<operator>>=|<=|>|<|is)\s+(?P<literal>\S+))?")


class MappingError(Exception):
    """A mapping file cannot be used; the text names the file, the rule and the cure."""


@dataclass(frozen=True)
class Step:
    """One step of a path; with `key`, the first list element whose `key` field equals `wanted`."""

    name: str
    key: str | None = None
    wanted: str | Path | None = None


@dataclass(frozen=True)
class Path:
    """A source path: from the payload (`root`), the element at hand (`item`) or the enriched row (`row`)."""

    origin: str
    steps: tuple[Step, ...]
    text: str


@dataclass(frozen=True)
class Test:
    """One condition: the path has a value, or compares with a literal."""

    path: Path
    negated: bool
    operator: str | None
    literal: str | None


@dataclass(frozen=True)
class Leaf:
    """One target field: its sources in order of preference, or a constant."""

    sources: tuple[Path, ...]
    conversion: str
    constant: Any = None
    when: tuple[Test, ...] = ()
    unit: str | None = None
    edge: str = "end"
    choices: tuple[tuple[str, str], ...] = ()
    prefix: str = ""


@dataclass(frozen=True)
class Node:
    """A target object."""

    children: dict[str, Node | Leaf | List] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Elements of a target list: one, or one for each element of a source list."""

    fields: Node
    each: Path | None
    when: tuple[Test, ...]
    distinct: bool


@dataclass(frozen=True)
class List:
    """A target list, its blocks in order."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Variant:
    """What an event becomes under a condition."""

    event_type: str
    when: tuple[Test, ...]
    timestamp: tuple[Path, ...]
    customer_id_only: bool
    fields: Node


Rules = dict[str, tuple[Variant, ...]]


@cache
def load_rules() -> Rules:
    """The shipped mapping files.

    Raises:
        MappingError: a file breaks the language, or two rules write one path.
    """
    folder = resources.files("capillary_adobe.xdm").joinpath("mappings")
    texts = {file.name: file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda f: f.name)}
    return parse_rules(texts)


def parse_rules(texts: dict[str, str]) -> Rules:
    """Rules from the texts of mapping files by file name; `shared.yaml` holds the blocks for `use`.

    Raises:
        MappingError: a file breaks the language, or two rules write one path.
    """
    files = {name: _yaml(name, text) for name, text in texts.items()}
    shared = files.pop("shared.yaml", {})
    rules: Rules = {}
    for name, events in files.items():
        for event, body in events.items():
            if event in rules:
                raise MappingError(f"{name}: {event} has rules in another file too. Keep one of them.")
            variants = body if isinstance(body, list) else [body]
            rules[event] = tuple(_variant(f"{name}: {event}", variant, shared) for variant in variants)
            if not variants or rules[event][-1].when:
                raise MappingError(f"{name}: {event} needs a last variant without `when`, for what meets no condition.")
    return rules


class _Loader(yaml.SafeLoader):
    """Takes no key twice: YAML lets the last one win, and a rule would be gone without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as in the base
        written = [key.value for key, _ in node.value]
        twice = next((key for key in written if written.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml(name: str, text: str) -> dict[str, Any]:
    try:
        read = yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError as error:
        raise MappingError(f"{name} is not usable YAML: {error}") from error
    if not isinstance(read, dict):
        raise MappingError(f"{name} must hold one entry per event type.")
    return read


def _variant(place: str, body: Any, shared: dict[str, Any]) -> Variant:
    _only(place, body, _VARIANT_OPTIONS)
    if not isinstance(body.get("event_type"), str):
        raise MappingError(f"{place} needs an event_type, such as loyalty.pointsIssued.")
    identities = body.get("identities", "all")
    if identities not in ("all", "customer id only"):
        raise MappingError(f"{place}: identities is `all` or `customer id only`.")
    if not all(isinstance(body.get(option, []), list) for option in ("use", "timestamp")):
        raise MappingError(f"{place}: `use` and `timestamp` are lists.")
    root = Node()
    for name in body.get("use", []):
        if name not in shared:
            raise MappingError(f"{place} uses {name}, which shared.yaml does not have.")
        _fill(f"{place} (use {name})", root, shared[name])
    _fill(place, root, body.get("fields", {}))
    standard_first = sorted(root.children.items(), key=lambda child: child[0] == TENANT)
    return Variant(
        event_type=body["event_type"],
        when=_tests(place, body.get("when")),
        timestamp=tuple(_path(place, path, "root") for path in body.get("timestamp", [])),
        customer_id_only=identities != "all",
        fields=Node(dict(standard_first)),
    )


def _fill(place: str, node: Node, fields: Any, origin: str = "root") -> None:
    if not isinstance(fields, dict):
        raise MappingError(f"{place}: expected target fields with their rules.")
    for dotted, rule in fields.items():
        *parents, name = str(dotted).split(".")
        owner = node
        for parent in parents:
            owner = _child(place, owner, parent)
        target = f"{place}: {dotted}"
        if isinstance(rule, list):
            _put(target, owner, name, List(tuple(_block(target, block, origin) for block in rule)))
        elif isinstance(rule, dict) and _is_leaf(rule):
            _put(target, owner, name, _leaf(target, rule, origin))
        else:
            _fill(target, _child(target, owner, name), rule, origin)


def _is_leaf(rule: dict[str, Any]) -> bool:
    return isinstance(rule.get("from"), str | list) or ("value" in rule and not isinstance(rule["value"], dict | list))


def _child(place: str, node: Node, name: str) -> Node:
    child = node.children.setdefault(name, Node())
    if not isinstance(child, Node):
        raise MappingError(f"{place}: {name} is written by another rule. Two rules must not write one path.")
    return child


def _put(place: str, node: Node, name: str, child: Leaf | List) -> None:
    if name in node.children:
        raise MappingError(f"{place} is written by another rule. Two rules must not write one path.")
    node.children[name] = child


def _block(place: str, body: Any, origin: str) -> Block:
    _only(place, body, _BLOCK_OPTIONS)
    each = _path(place, body["each"], origin) if "each" in body else None
    fields = Node()
    inner = "item" if each is not None else origin
    _fill(place, fields, body.get("fields", {}), inner)
    return Block(fields, each, _tests(place, body.get("when"), inner), bool(body.get("distinct", False)))


def _leaf(place: str, rule: dict[str, Any], origin: str) -> Leaf:
    _only(place, rule, _LEAF_OPTIONS)
    sources = rule.get("from", [])
    conversion = rule.get("as", "text")
    if conversion not in CONVERSIONS:
        raise MappingError(f"{place}: `as` is one of {', '.join(CONVERSIONS)}.")
    if not sources and rule.get("value") is None:
        raise MappingError(f"{place} needs a source under `from`, or a `value`.")
    if not isinstance(rule.get("choose", {}), dict):
        raise MappingError(f"{place}: `choose` holds one entry per source text.")
    edge = rule.get("edge", "end")
    if edge not in ("start", "end"):
        raise MappingError(f"{place}: `edge` is `start` or `end` of the day.")
    return Leaf(
        sources=tuple(_path(place, path, origin) for path in ([sources] if isinstance(sources, str) else sources)),
        conversion=conversion,
        constant=rule.get("value"),
        when=_tests(place, rule.get("when"), origin),
        unit=rule.get("unit"),
        edge=edge,
        choices=tuple((str(key).lower(), str(value)) for key, value in rule.get("choose", {}).items()),
        prefix=str(rule.get("prefix", "")),
    )


def _only(place: str, body: Any, options: set[str]) -> None:
    if not isinstance(body, dict):
        raise MappingError(f"{place}: expected the options {', '.join(sorted(options))}.")
    unknown = sorted(str(option) for option in body if option not in options)
    if unknown:
        raise MappingError(f"{place}: unknown option {unknown[0]}. Known: {', '.join(sorted(options))}.")


def _path(place: str, text: Any, origin: str) -> Path:
    written = str(text)
    if written.startswith("@"):
        if written[1:] not in ENRICHED_EVENTS.names:
            raise MappingError(f"{place}: enriched events have no column {written[1:]}.")
        return Path("row", (Step(written[1:]),), written)
    if written.startswith("$."):
        return Path("root", _steps(place, written[2:]), written)
    return Path(origin, _steps(place, written), written)


def _steps(place: str, text: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    # A dot inside brackets belongs to the wanted path, not to this one.
    for part in re.split(r"\.(?![^\[]*\])", text):
        match = _STEP.fullmatch(part)
        if match is None:
            raise MappingError(f"{place}: {text} is no path; expected a.b or a.list[key=Value].b")
        name, key, wanted = match.groups()
        steps.append(Step(name, key, _path(place, wanted, "root") if wanted and wanted.startswith("$.") else wanted))
    return tuple(steps)


def _tests(place: str, text: Any, origin: str = "root") -> tuple[Test, ...]:
    if text is None:
        return ()
    tests = []
    for part in re.split(r"\s+and\s+", str(text).strip()):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise MappingError(
                f"{place}: {part} is no condition; expected `path`, `not path`, `path > 0` or `path is TEXT`"
            )
        if match["operator"] not in (None, "is"):
            try:
                float(match["literal"])
            except ValueError as error:
                raise MappingError(f"{place}: {part} compares with {match['literal']}, which is no number.") from error
        tests.append(Test(_path(place, match["path"], origin), bool(match["no"]), match["operator"], match["literal"]))
    return tuple(tests)
