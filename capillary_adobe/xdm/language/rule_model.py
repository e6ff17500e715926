"""The model of the mapping: what the files say once they are read, and where each part of it stands.

Belongs here: the dataclasses and the error that names a place. Does not belong here: reading files (`rules.py`,
`layers.py`), code made of rules (`compiler.py`) and judging them (`checking`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

TENANT = "_tenant"
GENERIC = "*"
IDENTITY = "identity"
"""Pseudo column `@identity`: the customer identity as in `identityMap`, one more item behind the enriched row."""


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands: file, line and column, both from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def in_line(self) -> str:
        """File and line alone."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a mapping file, with the cure."""

    place: Place | None
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}" if self.place else self.words


class MappingError(Exception):
    """A mapping cannot be used; the text names each place with what is wrong there and the cure."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(one if isinstance(one, Problem) else Problem(None, one) for one in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def wrong(place: Place | None, words: str) -> MappingError:
    """The error of one place."""
    return MappingError(Problem(place, words))


class Problems:
    """Gathers what is wrong in several places, so that an operator mends it at one go."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the problems of an error that ends the block."""
        try:
            yield
        except MappingError as error:
            self._found |= dict.fromkeys(error.problems)

    def tell(self) -> None:
        """Raise what was gathered.

        Raises:
            MappingError: there is a problem.
        """
        if self._found:
            raise MappingError(*self._found)


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
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Test:
    """One condition: the path has a value, or compares with a literal."""

    path: Path
    negated: bool
    operator: str | None
    literal: str | None

    def __str__(self) -> str:
        compared = f" {self.operator} {self.literal}" if self.operator else ""
        return f"{'not ' if self.negated else ''}{self.path.text}{compared}"


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
    identity: str | None = None
    # What a field is for changes no entity, so that a rule stays the same rule under better words.
    description: str = field(default="", compare=False, repr=False)
    place: Place | None = field(default=None, compare=False, repr=False)


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
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class List:
    """A target list, its blocks in order."""

    blocks: tuple[Block, ...]
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Variant:
    """What an event becomes under a condition."""

    event_type: str
    when: tuple[Test, ...]
    timestamp: tuple[Path, ...]
    customer_id_only: bool
    fields: Node
    place: Place | None = field(default=None, compare=False, repr=False)


Rules = dict[str, tuple[Variant, ...]]
