"""The errors of the Schema Registry.

Belongs here: their codes and the layout they share. Does not belong here: when they are raised.

Adobe publishes some of the codes. Where it publishes none the number is the emulator's own, so no client should act on
it; the status and the layout are Adobe's.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from capillary_adobe.emulators.wire import json_response

LIST_ACCEPT: Final = "XDM-1006-400"
LOOK_UP_ACCEPT: Final = "XDM-1007-400"
DESCRIPTOR_LIST_ACCEPT: Final = "XDM-1008-400"
DESCRIPTOR_ACCEPT: Final = "XDM-1009-400"
NOT_FOUND: Final = "XDM-1012-404"
NAMESPACE: Final = "XDM-1021-400"
MERGE: Final = "XDM-1413-400"
TITLE: Final = "XDM-3005-400"
UNION: Final = "XDM-1528-400"

_UNPUBLISHED: Final = 9000


class RegistryError(Exception):
    """A call that is refused: the code, whose last part is the status, a title, and what is wrong."""

    def __init__(self, code: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.title, self.detail = code, title, detail

    @property
    def response(self) -> Response:
        """The answer."""
        report = {
            "registryRequestId": str(uuid.uuid4()),
            "timestamp": datetime.now(UTC).strftime("%m-%d-%Y %H:%M:%S"),
            "detailed-message": self.detail,
            "sub-errors": [],
        }
        status = int(self.code.rpartition("-")[2])
        content = {
            "type": f"http://ns.adobe.com/aep/errors/{self.code}",
            "title": self.title,
            "status": status,
            "report": report,
            "detail": self.detail,
        }
        return json_response(status, content)


def not_found(id_: str, version: str = "1") -> RegistryError:
    """Nothing has this id, or not in this version."""
    detail = f"Requested resource {id_} with version {version} is not found"
    return RegistryError(NOT_FOUND, "Resource Not Found", detail)


def invalid(detail: str) -> RegistryError:
    """The body of a call is not what it has to be."""
    return RegistryError(f"XDM-{_UNPUBLISHED}-400", "Schema validation error", detail)


def breaking(detail: str) -> RegistryError:
    """A change that would make something of what is in use invalid."""
    return RegistryError(f"XDM-{_UNPUBLISHED + 1}-400", "Breaking change", detail)


def bad_descriptor(detail: str) -> RegistryError:
    """A descriptor that does not fit what it describes."""
    return RegistryError(f"XDM-{_UNPUBLISHED + 2}-400", "Descriptor validation error", detail)


def refused(status: int, detail: str) -> RegistryError:
    """Any other refusal."""
    return RegistryError(f"XDM-{_UNPUBLISHED + 3}-{status}", "Request refused", detail)
