"""What a look at the sandbox finds, and the plan that follows from it, as plain values.

Belongs here: actions, findings, steps, the plan, the error. Does not belong here: looking (`schema_parts`, `road_parts`)
and acting (`running`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from capillary_adobe.adobe.errors import PermanentDeliveryError

Ids = Mapping[str, str]
"""Ids of what was found or made so far, by the name under which the environment record keeps them."""


class SetupError(PermanentDeliveryError):
    """Set-up cannot go on by itself; the text says why and what a person has to do."""


class Action(StrEnum):
    """What set-up does about an object."""

    CREATE = "create"
    EXTEND = "extend"
    EXISTS = "exists"
    GIVEN = "given"
    PERSON = "needs a person"


@dataclass(frozen=True)
class Finding:
    """One look at one object.

    `detail` says what an extension adds, or what a person has to do. `differences` are faults that do not stop set-up and
    that it does not mend. `operations` is the extension as JSON Patch, `added` its fields, `recorded` what the record is to
    hold beside the id.
    """

    action: Action
    id: str = ""
    detail: str = ""
    differences: tuple[str, ...] = ()
    operations: tuple[dict[str, Any], ...] = ()
    added: tuple[str, ...] = ()
    recorded: Mapping[str, str] = field(default_factory=dict)


class Part(ABC):
    """One object that an installation needs.

    `key` is its name in the environment record, `kind` what it is, `name` its own name, title or code.
    """

    kind: str
    key: str
    name: str

    @abstractmethod
    def look(self, ids: Ids, /) -> Finding:
        """See what is there."""

    @abstractmethod
    def make(self, ids: Ids, /) -> str:
        """Create it; its id, empty where the service tells none."""

    def show(self, id_: str, /) -> Finding:
        """What was made just now, asked for by its id: a list may not have it yet."""
        return Finding(Action.EXISTS, id_)

    def extend(self, found: Finding, /) -> None:
        """Add what it lacks, where a look can find that."""
        raise NotImplementedError(f"a {self.kind} is never extended: {found}")


@dataclass(frozen=True)
class Step:
    """One line of a plan."""

    key: str
    kind: str
    name: str
    action: Action
    id: str
    detail: str
    differences: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "object": self.kind,
            "name": self.name,
            "action": self.action.value,
            "id": self.id,
            "detail": self.detail,
            "differences": list(self.differences),
            "adds": list(self.added),
        }


@dataclass(frozen=True)
class Plan:
    """Every step in its order, as a look at the sandbox gives it; once `carried_out`, with the id of what was made."""

    org_id: str
    sandbox: str
    tenant_id: str
    steps: tuple[Step, ...]
    carried_out: bool = False

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that would change something in AEP."""
        return tuple(step for step in self.steps if step.action in (Action.CREATE, Action.EXTEND))

    @property
    def blocked(self) -> tuple[Step, ...]:
        """The steps that only a person can take; with any of them nothing is changed."""
        return tuple(step for step in self.steps if step.action is Action.PERSON)

    @property
    def differences(self) -> list[str]:
        """The drift report: how AEP differs from what this installation needs, a sentence each."""
        found: list[str] = []
        for step in self.steps:
            if self.carried_out and step.action in (Action.CREATE, Action.EXTEND):
                pass
            elif step.action is Action.CREATE:
                found.append(f"{step.kind} {step.name} is missing.")
            elif step.action in (Action.EXTEND, Action.PERSON):
                found.append(f"{step.kind} {step.name}: {step.detail}")
            found += [f"{step.kind} {step.name}: {one}" for one in step.differences]
        return found

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "organisation": self.org_id,
            "sandbox": self.sandbox,
            "tenant_id": self.tenant_id,
            "steps": [step.as_dict() for step in self.steps],
            "differences": self.differences,
        }


def one_of(ids: list[str], what: str, cure: str) -> tuple[str | None, Finding | None]:
    """The one object of a name, or why a person has to choose."""
    if len(ids) > 1:
        listed = " and ".join(sorted(ids))
        return None, Finding(
            Action.PERSON, detail=f"{len(ids)} {what} have this name: {listed}. {cure} Nothing was changed."
        )
    return (ids[0] if ids else None), None
