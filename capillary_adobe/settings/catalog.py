"""Settings of Dagster's catalog: what it says of the assets that is the operator's to decide.

Belongs here: the fields. Does not belong here: putting it on the assets (`defs/catalog.py`).
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.source import environment

_ENTRY: Final = re.compile(r"(?:([^\s=]+)=)?([^\s=]+)")
# What Dagster takes for one: a team, or an address of mail.
_OWNER: Final = re.compile(r"team:[^\s,=]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")


class Owners(NamedTuple):
    """Who owns the assets: those of whom nothing is said by name, and by the name of an asset or a group."""

    of_all: tuple[str, ...]
    by_name: dict[str, tuple[str, ...]]


def _owners(text: str) -> Owners:
    of_all: tuple[str, ...] = ()
    by_name: dict[str, tuple[str, ...]] = {}
    for entry in text.split():
        match = _ENTRY.fullmatch(entry)
        owners = tuple(match[2].split(",")) if match else ()
        if match is None or not all(_OWNER.fullmatch(owner) for owner in owners):
            raise ValueError(
                f"{entry} names no owner; give team:<name> or an address of mail, after <asset or group>= if only for that, "
                "such as team:data customers=team:crm,ann@example.com"
            )
        if match[1] is None:
            of_all += owners
        elif match[1] in by_name:
            raise ValueError(f"{match[1]} is named twice; separate its owners by commas")
        else:
            by_name[match[1]] = owners
    if not of_all:
        raise ValueError("names no owner of all the other assets; begin with one, such as team:data")
    return Owners(of_all, by_name)


def _checked(value: str) -> str:
    _owners(value)
    return value


class CatalogSettings(BaseSettings):
    """What the catalog says of the assets. Read when the code location loads."""

    model_config = environment("ASSET_")

    owners: Annotated[str, AfterValidator(_checked)] = Field(
        default="team:data",
        description=(
            "Who owns the assets, separated by blanks: `team:<name>` or an address of mail, and for an asset or a group by its "
            "name `<name>=<owner>[,<owner>…]`, such as `team:data customers=team:crm,ann@example.com`. "
            "[Alerts](alerts.md#who-hears-what) are routed by it."
        ),
    )

    @property
    def found_owners(self) -> Owners:
        """The owners by name."""
        return _owners(self.owners)
