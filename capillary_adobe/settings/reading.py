"""Reading settings: one class or several, and the error that names every missing or malformed variable at once.

Belongs here: loading, and the words for what is wrong. Does not belong here: which settings there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from capillary_adobe.settings.adobe import RECORDED


class SettingsError(Exception):
    """One or more settings are missing or malformed; the text names each variable with its cure."""


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **values: Any) -> S:
    """Read one class of settings from the environment.

    Raises:
        SettingsError: naming every variable that is missing or malformed, with the cure; never with its value.
    """
    try:
        return settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(settings, error.errors())) from None


def given(settings: type[BaseSettings]) -> dict[str, Any]:
    """What the environment and `.env` set of a class, by field, as written there."""
    found = {**DotEnvSettingsSource(settings)(), **EnvSettingsSource(settings)()}
    return {name: value for name, value in found.items() if name in settings.model_fields}


def names_in_use() -> set[str]:
    """Names of all variables in the environment and in `.env`, whoever reads them."""
    return {*os.environ, *dotenv_values(".env")}


def load_partly(settings: type[S], values: dict[str, Any]) -> None:
    """Judge these values alone, whatever else the class wants.

    Raises:
        SettingsError: naming every one that is malformed.
    """
    try:
        settings(**values)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["loc"] and str(one["loc"][0]) in values]
        if wrong:
            raise SettingsError(_explain(settings, wrong)) from None


def load_all(*settings: type[BaseSettings] | Callable[[], BaseSettings]) -> None:
    """Read several classes of settings, or call what reads them, and report what is wrong with any of them at once.

    Raises:
        SettingsError: as `load` does, over all classes.
    """
    wrong: dict[str, None] = {}
    for one in settings:
        try:
            load(one) if isinstance(one, type) else one()
        except SettingsError as error:
            wrong |= dict.fromkeys(str(error).splitlines())
    if wrong:
        raise SettingsError("\n".join(wrong))


def variable(settings: type[BaseSettings], field: str) -> str:
    """The environment variable of a field, such as `ADOBE_ORG_ID`."""
    return f"{settings.model_config.get('env_prefix') or ''}{field}".upper()


def without_links(markdown: str) -> str:
    """The words of a meaning alone, for a terminal."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", markdown)


def _explain(settings: type[BaseSettings], problems: list[ErrorDetails]) -> str:
    lines = []
    for problem in problems:
        if not problem["loc"]:
            # Settings that do not go together; the words name them.
            lines.append(f"{problem['msg'].removeprefix('Value error, ')}.")
            continue
        field = str(problem["loc"][0])
        name = field if field.isupper() else variable(settings, field)
        known = settings.model_fields.get(field.lower())
        meaning = without_links(known.description or "") if known else ""
        if problem["type"] == "missing":
            recorded = field.lower() in RECORDED and settings.model_config.get("env_prefix") == "ADOBE_"
            made = ", or run `capillary-adobe setup`, which makes and records it" if recorded else ""
            lines.append(f"{name} is missing. Set it in the environment or in .env{made}: {meaning}")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name} is malformed: {reason}. {meaning}")
    return "\n".join(lines)
