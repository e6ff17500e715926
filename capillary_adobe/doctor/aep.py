"""Looks at AEP: the credential, the gateway, the clock, the sandbox, and the right to use each service.

Belongs here: calls that read, and what their answers mean for the operator. Does not belong here: the objects of the
installation (`aep_objects.py`). Nothing is repeated: what fails now is told now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final

from capillary_adobe.adobe.errors import DeliveryError, TransientDeliveryError
from capillary_adobe.adobe.platform import NotThere, Platform, Refused, json_of
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.doctor.findings import Check, Verdict, fail, ok, skipped, split_cure, warn
from capillary_adobe.doctor.installation import readable_adobe_settings
from capillary_adobe.settings import AdobeSettings, CredentialSettings, load

_PATIENCE: Final[dict[str, Any]] = {"timeout_seconds": 3.0, "retry_budget_seconds": 0.0}
_NO_TOKEN: Final = "Needs an access token; `ims` tells why there is none."  # noqa: S105 - words, no secret
_NO_ANSWER: Final = "Needs an answer of the Platform API; `platform` tells why there is none."
_SKEW_WARNS: Final = 30
_SKEW_FAILS: Final = 300
_RIGHTS: Final = "In Adobe's Admin Console give the credential a role with the right to {right}"


@dataclass(frozen=True)
class Service:
    """One service of the Platform API, and a call that only reads."""

    name: str
    path: str
    right: str
    method: str = "GET"
    accept: str | None = None
    absent_is_fine: bool = False


SERVICES: Final = (
    Service(
        "schema registry",
        "/data/foundation/schemaregistry/tenant/schemas?limit=1",
        "view schemas (Data Modeling)",
        accept="application/vnd.adobe.xed-id+json",
    ),
    Service("namespaces", "/data/core/idnamespace/identities", "view identity namespaces (Identity Management)"),
    Service("catalog", "/data/foundation/catalog/batches?limit=1", "view datasets (Data Management)"),
    Service("flow service", "/data/foundation/flowservice/flows?limit=1", "view sources (Data Ingestion)"),
    Service(
        "batch ingestion",
        "/data/foundation/import/batches/none/datasets/none/files/none",
        "manage datasets (Data Management)",
        method="HEAD",
        absent_is_fine=True,
    ),
)


@dataclass(frozen=True)
class _Gateway:
    """The first answer of the gateway: sandboxes that the credential may use, and how far its clock is ahead in seconds."""

    sandboxes: list[dict[str, Any]]
    ahead: float | None


class Aep:
    """What the looks at AEP share: one credential, one token, the first answer of the gateway."""

    def __init__(self) -> None:
        self._refused: DeliveryError | None = None
        self.secrets: list[str] = []

    @cached_property
    def credential(self) -> CredentialSettings:
        """The credential, with little patience.

        Raises:
            SettingsError: it is missing or malformed.
        """
        return load(CredentialSettings).model_copy(update=_PATIENCE)

    @cached_property
    def settings(self) -> AdobeSettings:
        """Everything that is known of AEP, with little patience.

        Raises:
            SettingsError: something is missing or malformed.
        """
        return readable_adobe_settings().model_copy(update=_PATIENCE)

    @cached_property
    def token(self) -> AccessToken:
        """The token of the credential, asked for once."""
        return AccessToken(self.credential, repeats=0)

    @cached_property
    def platform(self) -> Platform:
        """The Platform API of the sandbox."""
        return Platform(self.credential, self.token)

    @property
    def has_token(self) -> bool:
        """Whether there is a token; IMS is asked for one the first time only."""
        if self._refused is None and self.token.seconds_left <= 0:
            try:
                self.secrets.append(self.token.value())
            except DeliveryError as error:
                self._refused = error
        return self._refused is None

    @property
    def lacks(self) -> str:
        """What a call to the Platform API would need and there is not, in words; empty where it can be made."""
        if not self.has_token:
            return _NO_TOKEN
        return _NO_ANSWER if isinstance(self._asked[1], TransientDeliveryError) else ""

    @cached_property
    def _asked(self) -> tuple[_Gateway | None, DeliveryError | None]:
        """What the gateway says of the sandboxes, or why it says nothing; asked once."""
        try:
            return self._ask(), None
        except DeliveryError as error:
            return None, error

    def _ask(self) -> _Gateway:
        asked = time.time()
        answer = self.platform.call("GET", "/data/foundation/sandbox-management/", headers={"x-sandbox-name": None})
        body = json_of(answer)
        listed = body.get("sandboxes") if type(body) is dict else None
        usable = [one for one in listed or [] if type(one) is dict]
        return _Gateway(usable, _ahead(answer.headers.get("Date"), (asked + time.time()) / 2))

    def ims(self) -> Verdict:
        """Whether IMS gives a token for the credential."""
        if not self.has_token:
            return fail(*split_cure(str(self._refused)))
        return ok(f"{self.credential.ims_url} gives a token, good for {_hours(self.token.seconds_left)}.")

    def gateway(self) -> Verdict:
        """Whether the Platform API answers this credential."""
        if not self.has_token:
            return skipped(_NO_TOKEN)
        found, refused = self._asked
        if found is None:
            words, cure = split_cure(str(refused))
            return fail(words, cure or "Check ADOBE_CLIENT_ID and ADOBE_ORG_ID: they must belong together.")
        return ok(f"{self.credential.platform_url} answers; {len(found.sandboxes)} sandboxes may be used.")

    def clock(self) -> Verdict:
        """Whether this machine's clock agrees with AEP's."""
        if not self.has_token or self._asked[0] is None:
            return skipped(_NO_ANSWER if self.has_token else _NO_TOKEN)
        ahead = self._asked[0].ahead
        return skipped("The Platform API tells no time.") if ahead is None else judge_clock(ahead)

    def sandbox(self) -> Verdict:
        """Whether the sandbox exists and may be used."""
        if not self.has_token or self._asked[0] is None:
            return skipped(_NO_ANSWER if self.has_token else _NO_TOKEN)
        return judge_sandbox(self.credential.sandbox_name, self._asked[0].sandboxes)

    def checks(self) -> list[Check]:
        """Every look of this module, in order."""
        looks: dict[str, Callable[[], Verdict]] = {
            "ims": self.ims,
            "platform": self.gateway,
            "clock": self.clock,
            "sandbox": self.sandbox,
        }
        rights = [Check(f"right: {one.name}", lambda one=one: self._right(one), outside=True) for one in SERVICES]
        return [Check(name, look, outside=True) for name, look in looks.items()] + rights

    def _right(self, service: Service) -> Verdict:
        """Whether the credential may read what a service has."""
        if self.lacks:
            return skipped(self.lacks)
        cure = f"{_RIGHTS.format(right=service.right)} in the sandbox {self.credential.sandbox_name}."
        headers = {"Accept": service.accept} if service.accept else {}
        try:
            self.platform.call(service.method, service.path, headers=headers)
        except NotThere as error:
            if not service.absent_is_fine:
                return fail(split_cure(str(error))[0], "Check ADOBE_PLATFORM_URL: the service is not at that address.")
        except Refused as error:
            return fail(split_cure(str(error))[0], cure)
        return ok("The credential may use it.")


def judge_sandbox(name: str, usable: list[dict[str, Any]]) -> Verdict:
    """The verdict on a sandbox, given those that the credential may use."""
    found = next((one for one in usable if one.get("name") == name), None)
    if found is None:
        known = ", ".join(str(one.get("name")) for one in usable) or "none"
        return fail(
            f"The sandbox {name} does not exist, or the credential may not use it. It may use: {known}.",
            "Correct ADOBE_SANDBOX_NAME, or give the credential the right to the sandbox.",
        )
    if found.get("state") not in (None, "active"):
        return fail(f"The sandbox {name} is {found['state']}.", "Wait until it is active, or name another one.")
    return ok(f"The sandbox {name} exists and may be used.")


def judge_clock(ahead: float) -> Verdict:
    """The verdict on how many seconds AEP's clock is ahead of this machine's."""
    off = abs(ahead)
    words = f"This machine's clock is {off:.0f} seconds {'behind' if ahead > 0 else 'ahead of'} AEP's."
    cure = "Set the clock by NTP: events of a clock that runs ahead look as if they lay in the future."
    if off > _SKEW_FAILS:
        return fail(words, cure)
    return warn(words, cure) if off > _SKEW_WARNS else ok(words)


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
