"""The errors of the Flow Service.

Belongs here: their codes and layout as Adobe lists them. Does not belong here: when they arise (`flow_rules`,
`flow_service`).
"""

from __future__ import annotations

import uuid
from typing import Any

from starlette.responses import Response

from capillary_adobe.emulators.wire import json_response

_TITLES = {
    "1403-400": "Header is missing",
    "1404-412": "Version not matching",
    "1439-404": "Resource not found",
}
_OTHER_TITLE = "Invalid request"


class FlowError(Exception):
    """A call that is answered with an error, given by its code, whose last part is the status."""

    def __init__(self, code: str, message: str, **report: Any) -> None:
        super().__init__(message)
        self._code = code
        self._message = message
        self._report = report

    @property
    def response(self) -> Response:
        """The answer."""
        status = int(self._code.rpartition("-")[2])
        report = {"detailed-message": self._message, "request-id": str(uuid.uuid4())} | self._report
        content = {
            "type": f"https://ns.adobe.com/aep/errors/FLOW-{self._code}",
            "title": _TITLES.get(self._code, _OTHER_TITLE),
            "status": status,
            "report": report,
            "errorMessage": self._message,
        }
        return json_response(status, content)


def not_found(kind: str, id_: str) -> FlowError:
    """There is no such object."""
    message = f"The requested {kind} resource {id_} is not found. Verify the resource ID before trying again."
    return FlowError("1439-404", message, id=id_, type=kind)


def not_processed(message: str) -> FlowError:
    """What was asked for cannot be."""
    return FlowError("1100-400", f"The request could not be processed. Error from flow provider: {message}.")


def unknown_spec() -> FlowError:
    """The specification does not exist, or not for this."""
    return FlowError("1413-400", "The spec ID provided is invalid. Please provide a valid spec ID and try again.")


def other_version(supplied: str, current: str) -> FlowError:
    """The object is no longer as the client saw it."""
    return FlowError(
        "1404-412", f"Supplied version=[{supplied}] does not match the current version on entity=[{current}]"
    )
