"""Looks at the installation itself: Python, settings, names of variables, the mapping.

Belongs here: what can be seen without any other system. Does not belong here: folders and databases (`storage.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from pydantic_settings import BaseSettings

from capillary_adobe.doctor.findings import Verdict, fail, ok, split_cure, warn
from capillary_adobe.environment import adobe_settings
from capillary_adobe.mapping_check import check
from capillary_adobe.settings import (
    AdobeSettings,
    SettingsError,
    StorageSettings,
    TenantSettings,
    every_class,
    load,
    load_all,
    names_in_use,
    variable,
)
from capillary_adobe.state import State, StateError

_OLDEST: Final = (3, 11)
_DOCS: Final = "docs/configuration.md lists every variable."


def python() -> Verdict:
    """Whether this Python runs the package."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info >= _OLDEST:
        return ok(f"Python {version}.")
    wanted = ".".join(str(part) for part in _OLDEST)
    return fail(f"Python {version} is too old.", f"Install Python {wanted} or later and make the environment anew.")


def settings() -> Verdict | list[Verdict]:
    """Whether every class of settings can be read; all that is wrong is named at once."""
    plain = [one for one in every_class() if one not in (TenantSettings, AdobeSettings)]
    try:
        load_all(*plain, readable_adobe_settings)
    except SettingsError as error:
        return [_unusable(line) for line in str(error).splitlines()]
    return ok(f"{len(_variables())} variables are readable or have their defaults.")


def _unusable(line: str) -> Verdict:
    words, meaning = split_cure(line)
    return fail(words, f"{meaning} {_DOCS}" if "is missing" in words else f"{meaning} Correct it; {_DOCS}")


def readable_adobe_settings() -> AdobeSettings:
    """The settings of AEP, with the record where there is a state database; nothing is made for the look.

    Raises:
        SettingsError: they are missing or malformed.
    """
    try:
        state = State(load(StorageSettings).state_url)
        look = state.look(seconds=2)
        if look is not None and "environment" not in look.missing:
            return adobe_settings(state)
    except StateError:
        # The look at the state database tells of it.
        pass
    return load(AdobeSettings)


def variables() -> Verdict | list[Verdict]:
    """Variables that look as if they were meant for the package and are read by nobody."""
    return [_unread(name, known) for name, known in misspelt(names_in_use())] or ok(
        "No variable looks like a misspelt setting."
    )


def misspelt(names: set[str]) -> Iterator[tuple[str, str | None]]:
    """Names that no setting has and that bear the head of one or look much like one, with the setting probably meant."""
    known = _variables()
    heads = tuple(sorted({name.split("_")[0] + "_" for name in known}))
    upper = {name.upper() for name in names}
    for name in sorted(upper - known):
        if name.startswith("AWS_"):
            # Other tools read dozens of these.
            continue
        alike = get_close_matches(name, known, n=1, cutoff=0.8 if name.startswith(heads) else 0.9)
        if alike or name.startswith(_OWN_HEADS):
            yield name, alike[0] if alike else None


_OWN_HEADS: Final = ("ADOBE_", "CAPILLARY_", "IDENTITY_", "LANDING_", "LAKE_", "MAPPING_", "RECEIVE_")


def _unread(name: str, meant: str | None) -> Verdict:
    cure = f"Did you mean {meant}?" if meant else f"Remove it, or look its name up: {_DOCS}"
    return warn(f"{name} is set, and nothing reads it.", cure)


def _variables() -> set[str]:
    classes: list[type[BaseSettings]] = every_class()
    return {variable(one, name) for one in classes for name in one.model_fields}


def mapping() -> Verdict:
    """Whether the mapping loads and `mapping check` finds nothing in it."""
    checked = check(None, None)
    what = f"The mapping with {checked.folder}" if checked.folder else "The shipped mapping"
    cure = "Run `capillary-adobe mapping check`, which names each place with its cure."
    if checked.errors:
        first = next(one for one in checked.findings if one.severity == "error")
        return fail(f"{what} has errors ({checked.errors}), the first: {first}", cure)
    if checked.warnings:
        return warn(f"{what} has warnings ({checked.warnings}).", cure)
    return ok(f"{what} holds rules for {len(checked.events)} events and is clean.")
