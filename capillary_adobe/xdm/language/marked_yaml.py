"""YAML read with the place of every value, so that an error can say where it is.

Belongs here: a YAML text as a tree of marked values. Does not belong here: what the values mean (`rules.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.reader import ReaderError

from capillary_adobe.xdm.language.rule_model import Place, wrong

Scalar = str | int | float | bool | None

_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")}
_MERGE = "tag:yaml.org,2002:merge"
_DATE = "tag:yaml.org,2002:timestamp"
_UNACCEPTABLE = "is not usable YAML: it holds the control character U+{:04X}. Take it out."


@dataclass(frozen=True)
class Marked:
    """One value of a YAML text. `text` is a scalar as it is written; keys are always text as written."""

    value: dict[str, Marked] | list[Marked] | Scalar
    place: Place
    text: str = ""
    keys: dict[str, Place] = field(default_factory=dict)
    # Column of the first sign of the text, where the n-th sign of the text is the n-th in the file; else None.
    first_column: int | None = None

    @property
    def is_scalar(self) -> bool:
        """Whether it is one value, not a mapping or a list."""
        return not isinstance(self.value, dict | list)

    def mapping(self) -> dict[str, Marked]:
        """Its members; empty where it is no mapping."""
        return self.value if isinstance(self.value, dict) else {}

    def elements(self) -> list[Marked]:
        """Its elements; empty where it is no list."""
        return self.value if isinstance(self.value, list) else []

    def at(self, offset: int) -> Place:
        """The place of a sign of the text, or of the whole where they do not run alike (escapes, folded lines)."""
        if self.first_column is None:
            return self.place
        return Place(self.place.file, self.place.line, self.first_column + offset)


def read_yaml(name: str, text: str) -> Marked:
    """The marked tree of a YAML text; an empty text is an empty mapping.

    Raises:
        MappingError: it is no YAML, writes a key twice, or nests without end.
    """
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Marked({}, Place(name, 1))
        return _Reader(name, loader).read(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1)
        raise wrong(place, f"is not usable YAML: {_told(error)}.{_hint(error)}") from error
    except ReaderError as error:
        raise wrong(_place_of(name, text, error.position), _UNACCEPTABLE.format(error.character)) from error
    except (ValueError, OverflowError) as error:
        # An escape or a directive with a number that is none; the scanner stands behind it.
        place = Place(name, loader.line + 1, loader.column + 1) if loader else Place(name, 1)
        raise wrong(place, f"is not usable YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise wrong(Place(name, 1), "is nested too deeply to be a mapping.") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name = name
        self._loader = loader
        self._known: dict[int, Marked] = {}
        self._open: set[int] = set()

    def read(self, node: yaml.Node) -> Marked:
        """The value of a node; an alias gives the value that its anchor has."""
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._open:
            raise wrong(self._place(node), "holds itself. An alias must not stand within its own anchor.")
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            read = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode):
            read = Marked([self.read(element) for element in node.value], self._place(node))
        else:
            read = self._scalar(node)
        self._open.discard(id(node))
        self._known[id(node)] = read
        return read

    def _mapping(self, node: yaml.MappingNode) -> Marked:
        members: dict[str, Marked] = {}
        keys: dict[str, Place] = {}
        self._demand_names(node)
        for key, value in node.value:
            if key.tag == _MERGE:
                self.read(value)
        self._loader.flatten_mapping(node)
        for key, value in node.value:
            members[key.value] = self.read(value)
            keys[key.value] = self._place(key)
        return Marked(members, self._place(node), keys=keys)

    def _demand_names(self, node: yaml.MappingNode) -> None:
        written = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise wrong(self._place(key), "is no name. A key is one word or text.")
            _demand_text(key.value, self._place(key))
            # YAML lets the last one win, and a rule would be gone without a word.
            if key.value in written:
                raise wrong(self._place(key), f"{key.value} is written twice. Keep one of them.")
            written.add(key.value)

    def _scalar(self, node: Any) -> Marked:
        if node.tag not in _PLAIN:
            raise wrong(self._place(node), f"has the tag {node.tag}. Write plain text, numbers, true or false.")
        _demand_text(node.value, self._place(node))
        # A date is text for us: JSON knows no dates.
        try:
            value = node.value if node.tag == _DATE else self._loader.construct_object(node)
        except (ValueError, KeyError) as error:
            raise wrong(
                self._place(node), f"{node.value[:40]} is not what YAML takes it for. Put a text in quotes."
            ) from error
        return Marked(value, self._place(node), node.value, first_column=_first_column(node))

    def _place(self, node: Any) -> Place:
        return Place(self._name, node.start_mark.line + 1, node.start_mark.column + 1)


def _told(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be read"
    return f"{error.context} {problem}" if problem.startswith("but ") and error.context else problem


def _hint(error: yaml.MarkedYAMLError) -> str:
    # A path such as `list[key=Value].b` within braces: the most likely slip in this language.
    return " Put a text with brackets in quotes." if (error.problem or "").endswith("but got '['") else ""


def _place_of(name: str, text: str, position: int) -> Place:
    before = text[:position].splitlines(keepends=True) or [""]
    ended = before[-1].endswith(("\n", "\r"))
    return Place(name, len(before) + ended, 1 if ended else len(before[-1]) + 1)


def _demand_text(value: str, place: Place) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise wrong(
            place, "holds half a character (a lone surrogate), which no file can store. Take it out."
        ) from error


def _first_column(node: Any) -> int | None:
    start, end = node.start_mark, node.end_mark
    quotes = 1 if node.style in ("'", '"') else 0
    alike = start.line == end.line and end.column - start.column == len(node.value) + 2 * quotes
    return start.column + 1 + quotes if alike and node.style in (None, "'", '"') else None
