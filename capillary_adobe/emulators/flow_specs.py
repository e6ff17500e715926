"""The specifications of the Flow Service that streaming with XDM entities needs.

Belongs here: what Adobe fixed once for all tenants. Does not belong here: connections and flows (`flow_service`), and the
specifications of other sources, which the emulator does not play.
"""

from __future__ import annotations

from typing import Any, Final

PROVIDER: Final = "521eee4d-8cbe-4906-bb48-fb6bd4450033"
STREAMING: Final = "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb"
DATA_LAKE: Final = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
STREAMING_FLOW: Final = "d8a6f005-7eaf-4153-983e-e8574508b877"
SPEC_VERSION: Final = "1.0"
AUTHENTICATION: Final = "Streaming Connection"

CONNECTION_SPECS: Final[dict[str, dict[str, Any]]] = {
    STREAMING: {
        "id": STREAMING,
        "name": "Streaming Connection",
        "providerId": PROVIDER,
        "version": SPEC_VERSION,
        "authSpec": [
            {
                "name": AUTHENTICATION,
                "type": "Basic",
                "spec": {
                    "type": "object",
                    "properties": {
                        "sourceId": {"type": "string"},
                        "dataType": {"type": "string", "enum": ["xdm"]},
                        "name": {"type": "string"},
                        "authenticationRequired": {"type": "boolean", "default": False},
                    },
                    "required": ["sourceId"],
                },
            }
        ],
        "attributes": {"category": "Streaming", "isSource": True},
    },
    DATA_LAKE: {
        "id": DATA_LAKE,
        "name": "datalake",
        "providerId": "0ed90a81-07f4-4586-8190-b40eccef1c5a",
        "version": SPEC_VERSION,
        "attributes": {"isSource": False},
    },
}

FLOW_SPECS: Final[dict[str, dict[str, Any]]] = {
    STREAMING_FLOW: {
        "id": STREAMING_FLOW,
        "name": "Stream data without transformation",
        "providerId": PROVIDER,
        "version": SPEC_VERSION,
        "sourceConnectionSpecIds": [STREAMING],
        "targetConnectionSpecIds": [DATA_LAKE],
        "attributes": {"isSourceFlow": True, "flowRunsSupported": False},
    },
}
