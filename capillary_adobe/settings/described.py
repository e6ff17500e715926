"""What each setting is, in words for operators: its variable, what to write, its default, its meaning.

Belongs here: words that follow from a field. Does not belong here: where they are shown (`settings_page.py`,
`cli_settings.py`), and reading values (`reading.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from capillary_adobe.settings.adobe import RECORDED
from capillary_adobe.settings.kinds import Form
from capillary_adobe.settings.reading import variable, without_links

REQUIRED: Final = "required"
"""In place of a default: there is none."""
SET_UP: Final = "set-up"
"""In place of a default: the value comes from the environment record that set-up writes."""
NONE: Final = "none"

_UNITS: Final = ("seconds", "minutes", "hours", "days", "bytes")
_SHARES: Final = ("share", "percent")
_PLAIN: Final = {bool: "true or false", str: "text", SecretStr: "secret", Path: "path", date: "date"}


@dataclass(frozen=True)
class Described:
    """One setting; `form` and `meaning` are Markdown with links as seen from `docs/`."""

    variable: str
    form: str
    default: str
    meaning: str
    secret: bool

    def as_dict(self) -> dict[str, Any]:
        """For programs: words without links."""
        return {
            "variable": self.variable,
            "form": self.form,
            "default": None if self.default in {REQUIRED, SET_UP, NONE} else self.default,
            "required": self.default == REQUIRED,
            "recorded_by_setup": self.default == SET_UP,
            "secret": self.secret,
            "meaning": without_links(self.meaning),
        }


def described(classes: Iterable[type[BaseSettings]]) -> dict[str, Described]:
    """Every setting of these classes by its variable, in the order in which they are declared."""
    found: dict[str, Described] = {}
    for settings in classes:
        for name, field in settings.model_fields.items():
            of_adobe = settings.model_config.get("env_prefix") == "ADOBE_"
            told = _described(variable(settings, name), name, field, recorded=of_adobe and name in RECORDED)
            found.setdefault(told.variable, told)
    return found


def _described(name: str, field_name: str, field: FieldInfo, *, recorded: bool) -> Described:
    kind, notes = _taken_apart(field.annotation)
    notes = (*field.metadata, *notes)
    form = next((note.words for note in reversed(notes) if isinstance(note, Form)), None)
    return Described(
        name,
        form or _form(kind, field_name, notes),
        _default(field, recorded=recorded),
        field.description or "",
        kind is SecretStr,
    )


def _taken_apart(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type of a value that is there, and what is noted of it."""
    if get_origin(annotation) in {Union, UnionType}:
        [present] = [one for one in get_args(annotation) if one is not type(None)]
        return _taken_apart(present)
    if get_origin(annotation) is Annotated:
        kind, *notes = get_args(annotation)
        return kind, tuple(notes)
    return annotation, ()


def _form(kind: Any, field_name: str, notes: Iterable[Any]) -> str:
    if get_origin(kind) is Literal:
        *first, last = (f"`{one}`" for one in get_args(kind))
        return f"{', '.join(first)} or {last}"
    if kind in {int, float}:
        bounds = _bounds(notes)
        return f"{_unit(kind, field_name)}{', ' if bounds else ''}{bounds}"
    return _PLAIN[kind]


def _unit(kind: type, field_name: str) -> str:
    last = field_name.rpartition("_")[2]
    if last in _SHARES:
        return last
    if last in _UNITS:
        return last if kind is float or last == "bytes" else f"whole {last}"
    return "number" if kind is float else "whole number"


def _bounds(notes: Iterable[Any]) -> str:
    least = most = above = ""
    for note in notes:
        if isinstance(note, Ge):
            least = _number(note.ge)
        elif isinstance(note, Gt):
            above = _number(note.gt)
        elif isinstance(note, Le):
            most = _number(note.le)
        elif isinstance(note, Lt):
            raise NotImplementedError("say how a bound that is not reached is told")
    if least and most:
        return f"{least} to {most}"
    lower = f"at least {least}" if least else f"above {above}" if above else ""
    return ", ".join(filter(None, (lower, f"at most {most}" if most else "")))


def _number(value: Any) -> str:
    return f"{value:,}"


def _default(field: FieldInfo, *, recorded: bool) -> str:
    value = field.default
    if recorded:
        return SET_UP
    if field.is_required():
        return REQUIRED
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)
