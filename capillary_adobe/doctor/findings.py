"""What a look of the doctor finds, and the running of looks: each bounded in time, none hidden by another.

Belongs here: verdicts, their order, the time limit, and the guard that no secret is told. Does not belong here: any one look.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from capillary_adobe.adobe import DeliveryError
from capillary_adobe.capillary.api.client import CapillaryApiError
from capillary_adobe.capillary.insights.places import PlaceError
from capillary_adobe.capillary.insights.rules import RulesError
from capillary_adobe.lake import LakeError
from capillary_adobe.landing import LandingError
from capillary_adobe.s3_address import ObjectStoreError
from capillary_adobe.settings import SettingsError
from capillary_adobe.state import StateError
from capillary_adobe.xdm.language.rule_model import MappingError

SECONDS: Final = 5.0
"""How long a look may take that waits for somebody."""

LOCAL_SECONDS: Final = 30.0
"""How long a look may take that works: on a machine at its limit, a second of work takes many."""

_CUT: Final = "***"
_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_PLAIN_ERRORS = (
    StateError,
    LakeError,
    LandingError,
    ObjectStoreError,
    MappingError,
    DeliveryError,
    CapillaryApiError,
    PlaceError,
    RulesError,
)


class Outcome(StrEnum):
    """How a look ends."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """What one look found, and what to do about it."""

    outcome: Outcome
    words: str
    cure: str = ""


@dataclass(frozen=True)
class Finding:
    """A verdict under the name of its look."""

    check: str
    outcome: Outcome
    words: str
    cure: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "outcome": str(self.outcome)}


@dataclass(frozen=True)
class Check:
    """One look and how long it may take; `outside` leaves this machine, and `--offline` leaves it out."""

    name: str
    look: Callable[[], Verdict | list[Verdict]]
    outside: bool = False
    seconds: float = SECONDS


def ok(words: str) -> Verdict:
    """All is well."""
    return Verdict(Outcome.OK, words)


def warn(words: str, cure: str) -> Verdict:
    """It works, and may not for long or not as meant."""
    return Verdict(Outcome.WARN, words, cure)


def fail(words: str, cure: str) -> Verdict:
    """It does not work."""
    return Verdict(Outcome.FAIL, words, cure)


def skipped(words: str) -> Verdict:
    """There was nothing to look at, or no way to."""
    return Verdict(Outcome.SKIPPED, words)


def examine(checks: Iterable[Check], secrets: Iterable[str], *, offline: bool = False) -> Iterator[Finding]:
    """Run the checks one after another and give the findings of each as it ends."""
    hidden = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    for check in checks:
        for verdict in _verdicts(check, offline=offline):
            yield Finding(check.name, verdict.outcome, _without(hidden, verdict.words), _without(hidden, verdict.cure))


def split_cure(text: str) -> tuple[str, str]:
    """What is wrong and what to do about it, from an error that says both: the cure is what follows the first sentence."""
    one_line = " ".join(text.split())
    match = re.match(r"(.+?[.;])\s+(?=[A-Z])(.+)", one_line)
    return (match[1], match[2]) if match else (one_line, "")


def _verdicts(check: Check, *, offline: bool) -> list[Verdict]:
    if check.outside and offline:
        return [skipped("Not asked: --offline.")]
    found: list[Verdict] = []
    # A thread that hangs is left behind: the process ends without waiting for it.
    worker = threading.Thread(target=lambda: found.extend(_looked(check)), name=check.name, daemon=True)
    worker.start()
    worker.join(check.seconds)
    return found or [
        fail(
            f"No answer within {check.seconds:g} seconds.", "Check the network, any proxy, and the load of the machine."
        )
    ]


def _looked(check: Check) -> list[Verdict]:
    try:
        verdict = check.look()
    except SettingsError:
        return [skipped("Needs settings that are missing or malformed; `settings` names them.")]
    except _PLAIN_ERRORS as error:
        return [fail(*split_cure(str(error)))]
    except Exception as error:  # noqa: BLE001 - whatever one look meets, the others go on
        return [fail(f"The look stopped with {type(error).__name__}.", "Report it with this line.")]
    return verdict if isinstance(verdict, list) else [verdict]


def _without(hidden: list[str], text: str) -> str:
    for secret in hidden:
        text = text.replace(secret, _CUT)
    return _PASSWORD.sub(lambda match: match[0].replace(f":{match[1]}@", f":{_CUT}@"), text)
