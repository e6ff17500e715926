"""The Identity Service's namespaces.

Belongs here: listing and making them. Does not belong here: which ones are needed (`adobe.setup`) and what stands under
them in an entity (`xdm.identities`).
Source: identity-service.yaml of github.com/AdobeDocs/experience-platform-apis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from capillary_adobe.adobe.platform import Platform, json_of

_ROOT: Final = "/data/core/idnamespace/identities"


@dataclass(frozen=True)
class Namespace:
    """A namespace; `code` is its symbol in `identityMap`."""

    id: str
    code: str
    id_type: str
    is_active: bool


class Namespaces:
    """The namespaces that a sandbox sees; safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def all(self) -> list[Namespace]:
        """Adobe's own and the organisation's; the service has no filter."""
        listed = json_of(self._platform.call("GET", _ROOT))
        return [
            Namespace(
                str(one.get("id")),
                str(one["code"]),
                str(one.get("idType") or "").upper(),
                str(one.get("status") or "ACTIVE").upper() == "ACTIVE",
            )
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and one.get("code")
        ]

    def create(self, code: str, name: str, description: str) -> str:
        """Make a cross-device namespace, whose code and type can never be changed; its id.

        Raises:
            Conflict: the code is taken.
            Refused: the service does not take it.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        body = {"name": name, "code": code, "idType": "CROSS_DEVICE", "description": description}
        made: Any = json_of(self._platform.call("POST", _ROOT, json=body, repeat_unanswered=False))
        # Some of this service's answers are a list of one.
        first = made[0] if isinstance(made, list) and made else made
        return str(first.get("id") or "") if isinstance(first, dict) else ""
