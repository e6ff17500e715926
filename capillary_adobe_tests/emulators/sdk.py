"""Adobe's own Python SDK, pointed at an emulator.

Belongs here: its configuration. Does not belong here: any expectation, and any change of what the SDK does: only its
settings are written, so that what passes here passes because the emulator answers as Adobe's services do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aepp
from aepp.configs import ConnectObject

from capillary_adobe.emulators.aep import RunningEmulator


@contextmanager
def connected(emulator: RunningEmulator, sandbox: str | None = None) -> Iterator[ConnectObject]:
    """The SDK's configuration for this emulator, and its address in place of Adobe's while the context lasts."""
    tenant = emulator.tenant
    connection = ConnectObject(
        org_id=tenant.org_id,
        client_id=tenant.client_id,
        secret=tenant.client_secret,
        scopes=tenant.scopes,
        sandbox=sandbox or tenant.sandbox_name,
    )
    connection.getConfigObject()["oauthTokenEndpointV2"] = f"{emulator.base_url}/ims/token/v3"
    adobe = aepp.config.endpoints["global"]
    aepp.config.endpoints["global"] = emulator.base_url
    try:
        yield connection
    finally:
        aepp.config.endpoints["global"] = adobe
