"""Reading settings: one class or several, and the error that names every missing or malformed variable at once.

Belongs here: loading, and the words for what is wrong. Does not belong here: which settings there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SecretsSettingsSource

from capillary_adobe.settings.adobe import RECORDED
from capillary_adobe.settings.source import folder_of_secrets, secrets_in_files


class SettingsError(Exception):
    """One or more settings are missing or malformed; the text names each variable with its cure."""


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **values: Any) -> S:
    """Read one class of settings from the environment, `.env` and the folder of secrets, in this order.

    What was read before is given again while nothing has changed.

    Raises:
        SettingsError: naming every variable that is missing or malformed, with the cure; never with its value.
    """
    folder = _folder()
    try:
        # Files beside may change unseen, and not every value can be looked up by.
        in_files = folder is not None or getattr(settings, "reads_files", False)
        if in_files or not all(isinstance(value, Hashable) for value in values.values()):
            return settings(_secrets_dir=folder, **values)
        return cast(S, _read(settings, tuple((name, type(value), value) for name, value in values.items()), _sources()))
    except ValidationError as error:
        raise SettingsError(_explain(settings, error.errors())) from None


# A run of a micro-batch reads settings 73 times, which took a tenth of its CPU time.
@lru_cache(128)
def _read(settings: type[BaseSettings], values: tuple[tuple[str, type, Any], ...], _sources: object) -> BaseSettings:
    # By type as well: 1 and True are one key.
    return settings(**{name: value for name, _, value in values})


def _sources() -> object:
    """All that settings are read from, as it is now."""
    try:
        file = Path(".env").read_bytes()
    except OSError:
        file = b""
    return frozenset(os.environ.items()), file


def given(settings: type[BaseSettings]) -> dict[str, Any]:
    """What the environment, `.env` and the folder of secrets set of a class, by field, as written there."""
    in_files = SecretsSettingsSource(settings, secrets_dir=_folder())()
    found = {**in_files, **DotEnvSettingsSource(settings)(), **EnvSettingsSource(settings)()}
    return {name: value for name, value in found.items() if name in settings.model_fields}


def names_in_use() -> set[str]:
    """Names of all variables in the environment, `.env` and the folder of secrets, whoever reads them."""
    return {*os.environ, *dotenv_values(".env"), *in_files()}


def in_files() -> dict[str, str]:
    """What the folder of secrets holds, by variable; nothing without SECRETS_DIR.

    Raises:
        SettingsError: the folder, or a file in it, cannot be read.
    """
    _folder()
    return secrets_in_files()


def _folder() -> Path | None:
    try:
        return folder_of_secrets()
    except ValueError as error:
        raise SettingsError(f"{error}.") from None


def load_partly(settings: type[S], values: dict[str, Any]) -> None:
    """Judge these values alone, whatever else the class wants.

    Raises:
        SettingsError: naming every one that is malformed.
    """
    folder = _folder()
    try:
        settings(_secrets_dir=folder, **values)
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
