"""The Capillary organisation that the emulator plays: its API client.

Belongs here: the identifiers, where they come from and which variables tell a client about them. Does not belong here:
how the emulator behaves (`behaviour`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self


@dataclass(frozen=True)
class Organisation:
    """One organisation with one API client."""

    key: str
    secret: str

    @classmethod
    def demo(cls) -> Self:
        """The organisation of the demo: fixed values that exist nowhere else."""
        return cls("demo-client", "demo-secret-of-the-local-capillary")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The demo organisation, with every value that a CAPILLARY_API_* variable sets taken from there."""
        given = {field.name: environ[name] for field in fields(cls) if environ.get(name := variable(field.name))}
        return replace(cls.demo(), **given)

    def environment(self, base_url: str) -> dict[str, str]:
        """The variables that a client of the emulator at `base_url` needs."""
        given = {variable(field.name): getattr(self, field.name) for field in fields(self)}
        return given | {variable("url"): base_url.rstrip("/")}


def variable(field: str) -> str:
    """The variable of a field."""
    return f"CAPILLARY_API_{field.upper()}"
