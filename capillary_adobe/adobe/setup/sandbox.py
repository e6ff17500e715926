"""What every part of set-up knows: the services of the sandbox, what is wanted there, what is known of it already.

Belongs here: gathering these, and the names that objects get. Does not belong here: the objects (`schema_parts`,
`road_parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from capillary_adobe.adobe.datasets import Datasets
from capillary_adobe.adobe.flow_service import FlowService
from capillary_adobe.adobe.namespaces import Namespaces
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.schema_registry import SchemaRegistry
from capillary_adobe.adobe.setup.model import Action, Finding, one_of
from capillary_adobe.settings import SetupSettings
from capillary_adobe.xdm.language.rules import Rules
from capillary_adobe.xdm.schemas import Kind

KINDS: Final[tuple[Kind, ...]] = ("events", "profiles")
SETUP_NAME: Final = "setup_name"
"""Under this the record keeps the name that its objects were made by; under another name others are looked for."""


@dataclass(frozen=True)
class Wanted:
    """What an operator asks set-up for: the card namespace, and to enable for Profile what is not enabled yet.

    `namespaces` are the symbols that the entities' identities stand under by the settings.
    """

    card: bool = False
    enable_profile: bool = False
    namespaces: tuple[str, ...] = ()


class Sandbox:
    """The sandbox that is set up."""

    def __init__(
        self,
        platform: Platform,
        settings: SetupSettings,
        rules: Rules,
        wanted: Wanted,
        given: Mapping[str, str],
        recorded: Mapping[str, str],
    ) -> None:
        self.registry = SchemaRegistry(platform)
        self.namespaces = Namespaces(platform)
        self.datasets = Datasets(platform)
        self.flows = FlowService(platform)
        self.settings = settings
        self.rules = rules
        self.wanted = wanted
        self.given = given
        self._recorded = recorded if recorded.get(SETUP_NAME) == settings.name else {}

    def named(self, what: str) -> str:
        """The name of an object, such as `Capillary events`."""
        return f"{self.settings.name} {what}"

    def recorded(self, key: str) -> str | None:
        """What the record holds under a name."""
        return self._recorded.get(key)

    def known(
        self, key: str, ids: list[str], what: str, cure: str, one: Callable[[str], object]
    ) -> tuple[str | None, Finding | None]:
        """The object that is recorded if `one` finds it, whatever its name is now; else the one out of those of its name.

        The finding says why a person has to choose.
        """
        recorded = self.recorded(key)
        if recorded and (recorded in ids or one(recorded) is not None):
            return recorded, None
        return one_of(ids, what, cure)


def person(detail: str, id_: str = "") -> Finding:
    """A step that only a person can take."""
    return Finding(Action.PERSON, id_, detail)


RENAME: Final = "Give all but one of them another name in AEP, then run set-up again."


ASKED: Final = "is not there, though it was asked for. Run set-up with --enable-profile."


def choose(variable: str) -> str:
    """How to choose among namesakes where a setting can."""
    return f"Set {variable} to the right one, or give the other another name in AEP."
