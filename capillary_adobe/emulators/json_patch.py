"""Changes of an object that a client asks for: a JSON Patch, or an object that is merged in.

Belongs here: applying them to a copy. Does not belong here: which parts of which object may be changed.
"""

from __future__ import annotations

import copy
from typing import Any

from capillary_adobe.emulators.wire import too_deep

_WORDS = ("add", "replace", "remove")
_LONGEST_PLACE = 9


class BadPatch(Exception):
    """The change cannot be made; the text says why."""


def paths_of(operations: Any) -> list[str]:
    """The paths of a JSON Patch, which is checked on this occasion for being one."""
    if not isinstance(operations, list) or not operations:
        raise BadPatch("The body is not a list of operations")
    for operation in operations:
        if not isinstance(operation, dict) or str(operation.get("op")).lower() not in _WORDS:
            raise BadPatch("An operation must be one of add, replace and remove")
        path = operation.get("path")
        if not isinstance(path, str) or not path.startswith("/") or path == "/":
            raise BadPatch("The path of an operation must be a slash and a name, or several of them")
    return [operation["path"] for operation in operations]


def patched(content: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """An object after a JSON Patch that `paths_of` has accepted."""
    changed = copy.deepcopy(content)
    for operation in operations:
        _apply(changed, operation)
    if too_deep(changed):
        raise BadPatch("The object would be nested too deep")
    return changed


def merged(content: Any, change: Any) -> Any:
    """A value after a merge: objects are merged, null takes away, anything else takes the place of what was there."""
    if not isinstance(change, dict):
        return change
    result = dict(content) if isinstance(content, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _apply(root: dict[str, Any], operation: dict[str, Any]) -> None:
    word, path = operation["op"].lower(), operation["path"]
    *way, last = (step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/"))
    holder: Any = root
    for step in way:
        holder = _child(holder, step, path)
    if isinstance(holder, list):
        _in_list(holder, last, word, operation)
    elif not isinstance(holder, dict) or (word != "add" and last not in holder):
        raise BadPatch(f"There is nothing at {path}")
    elif word == "remove":
        del holder[last]
    else:
        holder[last] = copy.deepcopy(_value(operation))


def _in_list(holder: list[Any], last: str, word: str, operation: dict[str, Any]) -> None:
    if word == "add" and last == "-":
        holder.append(copy.deepcopy(_value(operation)))
        return
    place = _place(last)
    if place is None or place > len(holder) - (word != "add"):
        raise BadPatch(f"There is nothing at {operation['path']}")
    if word == "remove":
        del holder[place]
    elif word == "add":
        holder.insert(place, copy.deepcopy(_value(operation)))
    else:
        holder[place] = copy.deepcopy(_value(operation))


def _child(holder: Any, step: str, path: str) -> Any:
    if isinstance(holder, dict) and step in holder:
        return holder[step]
    if isinstance(holder, list) and (place := _place(step)) is not None and place < len(holder):
        return holder[place]
    raise BadPatch(f"There is nothing at {path}")


def _place(step: str) -> int | None:
    return int(step) if step.isdecimal() and len(step) <= _LONGEST_PLACE else None


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise BadPatch("An operation has no value")
    return operation["value"]
