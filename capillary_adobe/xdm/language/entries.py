"""Entries of the mapping files, read into the model with errors that name file, line and column.

Belongs here: the language of an entry (docs/mapping.md), but for paths and conditions (`expressions.py`). Does not belong
here: entries of several files together (`layers.py`), turning rules into code (`compiler.py`) and what a conversion does
(`capillary.values`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from capillary_adobe.xdm.language.expressions import close_to, path, tests
from capillary_adobe.xdm.language.marked_yaml import Marked
from capillary_adobe.xdm.language.rule_model import (
    TENANT,
    Block,
    Leaf,
    List,
    MappingError,
    Node,
    Path,
    Place,
    Problems,
    Test,
    wrong,
)

CONVERSIONS = (
    *("text", "id", "slug", "number", "integer", "limit", "boolean", "currency", "moment"),
    *("date", "email", "language", "country"),
)
LEAF_OPTIONS = (
    "from",
    "as",
    "value",
    "when",
    "unit",
    "edge",
    "choose",
    "prefix",
    "identity",
    "description",
    "omit",
)
BLOCK_OPTIONS = ("each", "when", "distinct", "fields")
VARIANT_OPTIONS = ("event_type", "when", "timestamp", "identities", "use", "fields")
ADDITION_OPTIONS = ("timestamp", "use", "fields")
"""What an entry may hold that adds to a shipped one, since it has no `event_type`."""

_TEXTS = ("unit", "prefix", "identity", "description")
_PREFIXED = ("text", "id", "slug", "currency")
_CONVERTING = ("as", "choose", "edge", "prefix")
# Names from the root, lists included. AEP advises against a fraction of it, and code of far deeper lists does not compile.
_DEEPEST = 15


@dataclass(frozen=True)
class Omit:
    """Takes the rules of a path, and of all paths below it, away."""

    place: Place


Target = tuple[str, ...]
Fields = dict[Target, Leaf | List | Omit]
"""Target fields by their whole path."""


@dataclass(frozen=True)
class Entry:
    """One variant as a file has it, before shared blocks are filled in; an addition has no event type."""

    where: str
    place: Place
    event_type: str | None = None
    when: tuple[Test, ...] = ()
    timestamp: tuple[Path, ...] | None = None
    customer_id_only: bool = False
    use: tuple[tuple[str, Place], ...] = ()
    fields: Fields = field(default_factory=dict)


def read_entry(event: str, body: Marked, *, may_add: bool) -> tuple[Entry, ...]:
    """The variants of one event, in order; one without event type where the entry adds to a shipped one.

    Raises:
        MappingError: the entry breaks the language; every problem in it is named.
    """
    if body.is_scalar:
        _only(event, body, VARIANT_OPTIONS)
    if may_add and isinstance(body.value, dict) and body.value and "event_type" not in body.value:
        return (_addition(event, body),)
    problems, entries = Problems(), []
    for variant in body.value if isinstance(body.value, list) else [body]:
        with problems.gathered():
            entries.append(_variant(event, variant))
    problems.tell()
    if not entries or entries[-1].when:
        raise wrong(body.place, f"{event} needs a last variant without `when`, for what meets no condition.")
    return tuple(entries)


def read_fields(where: str, fields: Marked, origin: str = "root", depth: int = 0) -> Fields:
    """Target fields with their rules, by path; `depth` is how many names stand above them.

    Raises:
        MappingError: a rule breaks the language, or two write one path; every problem is named.
    """
    read: Fields = {}
    problems = Problems()
    _fill(_Filling(where, origin, depth, read, problems), (), fields)
    problems.tell()
    return read


def put(where: str, fields: Fields, target: Target, rule: Leaf | List | Omit, *, over: bool = False) -> None:
    """Add the rule of a path; `over` says that it comes from a layer above, which may omit rules of the lower one.

    Raises:
        MappingError: another rule writes the path, or an object that it is part of.
    """
    for known, other in fields.items():
        shorter = min(len(known), len(target))
        omits = isinstance(other, Omit) or isinstance(rule, Omit)
        # What is omitted as a whole may be written anew in part, but one path is not both.
        if known[:shorter] == target[:shorter] and (known == target or not omits):
            raise _taken(where, target[:shorter], other, rule, over=over)
    fields[target] = rule


def node(fields: Fields) -> Node:
    """The target object that the fields make; standard fields come before the tenant's."""
    root = Node()
    for target, rule in fields.items():
        if isinstance(rule, Omit):
            continue
        owner = root
        for name in target[:-1]:
            child = owner.children.setdefault(name, Node())
            assert isinstance(child, Node)  # noqa: S101 - `put` lets no rule write below another
            owner = child
        owner.children[target[-1]] = rule
    return Node(dict(sorted(root.children.items(), key=lambda child: child[0] == TENANT)))


def _taken(
    where: str, target: Target, other: Leaf | List | Omit, rule: Leaf | List | Omit, *, over: bool
) -> MappingError:
    path = ".".join(target)
    words = f"{where}{path} is written by another rule ({other.place}). Two rules must not write one path."
    return wrong(rule.place, f"{words} Take the lower one away with `{path}: {{omit: true}}`." if over else words)


def _addition(event: str, body: Marked) -> Entry:
    foreign = next((option for option in ("when", "identities") if option in body.mapping()), None)
    if foreign is not None:
        words = (
            f"{event} has `{foreign}` and no event_type. With an event_type the entry takes the place of the shipped one; "
            f"without, it adds to it and has no more than {', '.join(ADDITION_OPTIONS)}."
        )
        raise wrong(body.keys[foreign], words)
    _only(event, body, ADDITION_OPTIONS)
    return _entry(event, body)


def _variant(event: str, body: Marked) -> Entry:
    _only(event, body, VARIANT_OPTIONS)
    read = body.mapping().get("event_type")
    if read is None or not isinstance(read.value, str) or not read.value.strip():
        place = read.place if read else body.place
        raise wrong(place, f"{event} needs an event_type, such as loyalty.pointsIssued.")
    return _entry(event, body, read.value)


def _entry(event: str, body: Marked, event_type: str | None = None) -> Entry:
    options, problems = body.mapping(), Problems()
    fields: Fields = {}
    when: tuple[Test, ...] = ()
    timestamp: tuple[Path, ...] | None = None
    use: tuple[tuple[str, Place], ...] = ()
    only = False
    with problems.gathered():
        when = tests(event, options.get("when"), "root")
    with problems.gathered():
        if "timestamp" in options:
            timestamp = tuple(path(event, one, "root") for one in _list(event, options["timestamp"]))
    with problems.gathered():
        only = _customer_id_only(event, options.get("identities"))
    with problems.gathered():
        use = tuple((one.text, one.place) for one in _list(event, options["use"])) if "use" in options else ()
    with problems.gathered():
        fields = read_fields(f"{event}: ", options["fields"]) if "fields" in options else {}
    problems.tell()
    return Entry(event, body.place, event_type, when, timestamp, only, use, fields)


def _list(event: str, written: Marked) -> list[Marked]:
    if not isinstance(written.value, list):
        raise wrong(written.place, f"{event}: `use` and `timestamp` are lists.")
    return written.value


def _customer_id_only(event: str, written: Marked | None) -> bool:
    if written is not None and written.value not in ("all", "customer id only"):
        raise wrong(written.place, f"{event}: identities is `all` or `customer id only`.")
    return written is not None and written.value != "all"


@dataclass(frozen=True)
class _Filling:
    """The fields that are being read, and where."""

    where: str
    origin: str
    depth: int
    read: Fields
    problems: Problems


def _fill(filling: _Filling, above: Target, fields: Marked) -> None:
    with filling.problems.gathered():
        if not isinstance(fields.value, dict):
            raise wrong(fields.place, f"{filling.where.removesuffix(': ')}: expected target fields with their rules.")
        for dotted, rule in fields.value.items():
            with filling.problems.gathered():
                _fill_one(filling, (*above, *dotted.split(".")), dotted, rule, fields.keys[dotted])


def _fill_one(filling: _Filling, target: Target, dotted: str, rule: Marked, place: Place) -> None:
    told, depth = f"{filling.where}{dotted}", filling.depth + len(target)
    if not all(target):
        raise wrong(place, f"{told} is no target; expected a or a.b.")
    if depth > _DEEPEST:
        raise wrong(place, f"{told} lies deeper than {_DEEPEST} names. Write to a field nearer to the root.")
    if isinstance(rule.value, list):
        blocks = tuple(_block(told, block, filling.origin, depth) for block in rule.value)
        put(filling.where, filling.read, target, List(blocks, place))
    elif isinstance(rule.value, dict) and _is_leaf(rule.value):
        put(filling.where, filling.read, target, _leaf(told, rule, filling.origin, place))
    else:
        _fill(replace(filling, where=f"{told}: "), target, rule)


def _is_leaf(rule: dict[str, Marked]) -> bool:
    """Whether a mapping is the rule of one field: target fields below it would be mappings or lists of blocks."""
    return any(option.is_scalar for option in rule.values()) or isinstance(rule.get("from", _NONE).value, list)


_NONE = Marked(None, Place("", 0))


def _block(where: str, body: Marked, origin: str, depth: int) -> Block:
    _only(where, body, BLOCK_OPTIONS)
    options = body.mapping()
    each = path(where, options["each"], origin) if "each" in options else None
    inner = "item" if each is not None else origin
    fields = read_fields(f"{where}: ", options["fields"], inner, depth) if "fields" in options else {}
    omitted = next((rule for rule in fields.values() if isinstance(rule, Omit)), None)
    if omitted is not None:
        raise wrong(
            omitted.place, f"{where}: `omit` takes a whole list away, not a field of its elements. Write the list anew."
        )
    distinct = options.get("distinct")
    if distinct is not None and not isinstance(distinct.value, bool):
        raise wrong(distinct.place, f"{where}: `distinct` is true or false.")
    return Block(
        fields=node(fields),
        each=each,
        when=tests(where, options.get("when"), inner),
        distinct=distinct is not None and distinct.value is True,
        place=body.place,
    )


def _leaf(where: str, rule: Marked, origin: str, place: Place) -> Leaf | Omit:
    _only(where, rule, LEAF_OPTIONS)
    options = rule.mapping()
    if "omit" in options:
        if options["omit"].value is not True or len(options) > 1:
            raise wrong(place, f"{where}: `omit` is true and stands alone.")
        return Omit(place)
    texts = {option: _text(where, option, options.get(option)) for option in _TEXTS}
    conversion = _one_of(where, "as", options.get("as"), CONVERSIONS) or "text"
    _demand_effect(where, options, conversion)
    return Leaf(
        sources=_sources(where, options, origin, place),
        conversion=conversion,
        constant=_constant(where, options.get("value")),
        when=tests(where, options.get("when"), origin),
        unit=texts["unit"] or None,
        edge=_edge(where, options.get("edge")),
        choices=_choices(where, options.get("choose")),
        prefix=texts["prefix"],
        identity=texts["identity"] or None,
        description=texts["description"],
        place=place,
    )


def _demand_effect(where: str, options: dict[str, Marked], conversion: str) -> None:
    """Refuse an option that would do nothing: whoever wrote it counts on it."""
    idle = next((one for one in _CONVERTING if one in options), None)
    if idle is not None and "value" in options and "from" not in options:
        words = f"{where}: `{idle}` converts a source, and a `value` is written as it stands. Take `{idle}` out."
        raise wrong(options[idle].place, words)
    chosen = "choose" in options
    beside = "`choose`" if chosen else f"`as: {conversion}`"
    if "prefix" in options and (chosen or conversion not in _PREFIXED):
        raise wrong(options["prefix"].place, f"{where}: `prefix` stands before a converted text, not beside {beside}.")
    if "edge" in options and (chosen or conversion != "moment"):
        raise wrong(options["edge"].place, f"{where}: `edge` is for `as: moment`, not beside {beside}.")


def _sources(where: str, options: dict[str, Marked], origin: str, place: Place) -> tuple[Path, ...]:
    written = options.get("from")
    if written is not None and "value" in options:
        raise wrong(options["value"].place, f"{where} has both `from` and `value`. Keep one of them.")
    if written is None or written.value in (None, []):
        if "value" not in options or options["value"].value is None:
            raise wrong(place, f"{where} needs a source under `from`, or a `value`.")
        return ()
    listed = written.value if isinstance(written.value, list) else [written]
    return tuple(path(where, one, origin) for one in listed)


def _constant(where: str, written: Marked | None) -> Any:
    if written is None:
        return None
    if not written.is_scalar or (isinstance(written.value, float) and not math.isfinite(written.value)):
        raise wrong(written.place, f"{where}: `value` is one text, number, true or false.")
    return written.value


def _choices(where: str, written: Marked | None) -> tuple[tuple[str, str], ...]:
    if written is None:
        return ()
    targets = list(written.mapping().values())
    # A null would be written as the text that YAML has for it.
    if not targets or not all(one.is_scalar and one.value is not None for one in targets):
        raise wrong(written.place, f"{where}: `choose` holds one entry per source text. Give each a target text.")
    return tuple((source.lower(), target.text) for source, target in written.mapping().items())


def _edge(where: str, written: Marked | None) -> str:
    if written is not None and written.value not in ("start", "end"):
        raise wrong(written.place, f"{where}: `edge` is `start` or `end` of the day.")
    return str(written.value) if written else "end"


def _one_of(where: str, option: str, written: Marked | None, known: tuple[str, ...]) -> str | None:
    if written is not None and written.value not in known:
        close = close_to(written.text, known)
        raise wrong(written.place, f"{where}: `{option}` is one of {', '.join(known)}.{close}")
    return str(written.value) if written else None


def _text(where: str, option: str, written: Marked | None) -> str:
    if written is not None and (not written.is_scalar or written.value is None or not written.text.strip()):
        raise wrong(written.place, f"{where}: `{option}` is a text.")
    return written.text if written else ""


def _only(where: str, body: Marked, options: tuple[str, ...]) -> None:
    if not isinstance(body.value, dict):
        raise wrong(body.place, f"{where}: expected the options {', '.join(sorted(options))}.")
    unknown = next((option for option in body.value if option not in options), None)
    if unknown is not None:
        close = close_to(unknown, options)
        words = f"{where}: unknown option {unknown}.{close} Known: {', '.join(sorted(options))}."
        raise wrong(body.keys[unknown], words)
