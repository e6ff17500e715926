"""The `property` parameter of lists: conditions such as `name==Orders`, `schemaRef.id!=x` and `createdAt>=1670880253121`.

Belongs here: reading such conditions and holding objects against them. Does not belong here: paging and the order of a
list, which differ between the services.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_CONDITION = re.compile(r"(?P<path>[^=!<>~]+)(?P<word>==|!=|>=|<=|>|<|~)(?P<value>.*)", re.DOTALL)
_ORDER: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}

Condition = Callable[[Any], bool]


class BadCondition(Exception):
    """A condition that cannot be understood; the text says why."""


def conditions(texts: Iterable[str]) -> list[Condition]:
    """Conditions that are all to hold."""
    return [_condition(text) for text in texts]


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise BadCondition(f"The condition [{text}] has no operator")
    steps, word, value = match["path"].strip().split("."), match["word"], match["value"]
    if word == "~":
        try:
            pattern = re.compile(value)
        except re.error:
            raise BadCondition(f"[{value}] is no regular expression") from None
        return lambda content: any(pattern.search(_text(found)) for found in _at(content, steps))
    if word in _ORDER:
        return _ordered(steps, _ORDER[word], value)
    wanted = set(value.split(",")) | {value}
    if word == "==":
        return lambda content: any(_text(found) in wanted for found in _at(content, steps))
    return lambda content: all(_text(found) not in wanted for found in _at(content, steps))


def _ordered(steps: list[str], holds: Callable[[float, float], bool], value: str) -> Condition:
    try:
        bound = float(value)
    except ValueError:
        raise BadCondition(f"[{value}] is no number") from None
    return lambda content: any(
        holds(found, bound) for found in _at(content, steps) if isinstance(found, int | float) and found is not True
    )


def _at(content: Any, steps: list[str]) -> Iterator[Any]:
    """Every value at a path; `[]` behind a name, as well as a list that is met, stands for each of its members."""
    if isinstance(content, list):
        for item in content:
            yield from _at(item, steps)
    elif not steps:
        yield content
    elif isinstance(content, dict) and (name := steps[0].removesuffix("[]")) in content:
        yield from _at(content[name], steps[1:])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
