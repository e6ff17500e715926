"""Expressions of the mapping files: source paths and conditions.

Belongs here: their grammar, and the place of every part of one. Does not belong here: where expressions may stand
(`rules.py`) and what they do (`compiler.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.language.marked_yaml import Marked
from capillary_adobe.xdm.language.rule_model import IDENTITY, Path, Step, Test, wrong

COLUMNS = (*ENRICHED_EVENTS.names, IDENTITY)
"""What may stand behind `@`: the columns of enriched events, and what is put behind them."""

_STEP = re.compile(r"(\w+)(?:\[(\w+)=([^\]]+)\])?")
# A blank within brackets belongs to the wanted text, not between words.
_WORD = re.compile(r"(?:[^\s\[\]]|\[[^\]]*\])+")
_OPERATORS = (">", ">=", "<", "<=", "is")


def close_to(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` where something known is spelled like the word, else nothing."""
    names = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(names), n=1, cutoff=0.7)
    return f" Did you mean {names[close[0]]}?" if close else ""


def path(where: str, written: Marked, origin: str) -> Path:
    """The source path that a value writes.

    Raises:
        MappingError: it writes none.
    """
    if not written.is_scalar:
        raise wrong(written.place, f"{where}: expected a path, such as a.b or a.list[key=Value].b.")
    return _path(where, written, written.text, 0, origin)


def tests(where: str, written: Marked | None, origin: str) -> tuple[Test, ...]:
    """The conditions that a value writes, all of which must hold.

    Raises:
        MappingError: it writes none.
    """
    if written is None or written.value is None:
        return ()
    if not written.is_scalar:
        raise wrong(written.place, f"{where}: expected a condition as text, such as `amount > 0`.")
    return tuple(_tests(where, written, origin))


def _tests(where: str, written: Marked, origin: str) -> Iterator[Test]:
    text = written.text
    part: list[re.Match[str]] = []
    words = list(_WORD.finditer(text))
    if not words:
        raise wrong(written.place, f"{where}: `when` is empty. Write a condition, or leave it out.")
    for word in words:
        if word.group() == "and":
            yield _test(where, written, part, word.start(), origin)
            part = []
        else:
            part.append(word)
    yield _test(where, written, part, len(text.rstrip()), origin)


def _test(where: str, written: Marked, words: list[re.Match[str]], end: int, origin: str) -> Test:
    negated = len(words) > 1 and words[0].group() == "not"
    rest = words[1:] if negated else words
    compared = len(rest) == 3 and rest[1].group() in _OPERATORS
    if not (compared or len(rest) == 1):
        start = words[0].start() if words else end
        told = written.text[start:end].strip() or "`and` at the end or the beginning"
        expected = "expected `path`, `not path`, `path > 0` or `path is TEXT`"
        raise wrong(written.at(start), f"{where}: {told} is no condition; {expected}.")
    source = _path(where, written, rest[0].group(), rest[0].start(), origin)
    if not compared:
        return Test(source, negated, None, None)
    operator, literal = rest[1].group(), rest[2].group()
    if operator != "is" and not _is_number(literal):
        told = written.text[rest[0].start() : rest[2].end()]
        raise wrong(written.at(rest[2].start()), f"{where}: {told} compares with {literal}, which is no number.")
    return Test(source, negated, operator, literal)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII) is not None


def _path(where: str, written: Marked, text: str, offset: int, origin: str) -> Path:
    place = written.at(offset)
    if text.startswith("@"):
        if text[1:] not in COLUMNS:
            close = close_to(text[1:], COLUMNS)
            raise wrong(place, f"{where}: enriched events have no column {text[1:]}.{close}")
        return Path("row", (Step(text[1:]),), text, place)
    root = text.startswith("$.")
    skipped = 2 if root else 0
    steps = _steps(where, written, text[skipped:], offset + skipped)
    return Path("root" if root else origin, steps, text, place)


def _steps(where: str, written: Marked, text: str, offset: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    # A dot inside brackets belongs to the wanted path, not to this one.
    for part in re.split(r"\.(?![^\[]*\])", text):
        match = _STEP.fullmatch(part)
        if match is None:
            here = f", and not {part}" if part and part != text else ""
            words = f"{where}: {text} is no path; expected a.b or a.list[key=Value].b{here}."
            raise wrong(written.at(offset), words)
        name, key, wanted = match.groups()
        if wanted and wanted.startswith("$."):
            wanted = _path(where, written, wanted, offset + match.start(3), "root")
        steps.append(Step(name, key, wanted))
        offset += len(part) + 1
    return tuple(steps)
