"""AEP's refusals while setting up, each as one sentence with its cure.

Belongs here: credential, sandbox, permissions, malformed requests. Does not belong here: refusals of entities
(`adobe.refused`, `adobe.errors`).
Source: the gateway's errors at experienceleague.adobe.com/docs/experience-platform/landing/troubleshooting.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.platform import Refused
from capillary_adobe.adobe.setup.model import SetupError
from capillary_adobe.settings import CredentialSettings

_GOES_ON: Final = "Run `capillary-adobe setup` again when it answers: it goes on where it stopped."

_PERMISSIONS: Final = {
    "tenant id": "Data Modeling: View Schemas",
    "schema": "Data Modeling: Manage Schemas, View Schemas",
    "field group": "Data Modeling: Manage Schemas, View Schemas",
    "identity descriptor": "Data Modeling: Manage Schemas; Identity Management: View Identity Namespaces",
    "Profile tag": "Data Modeling: Manage Schemas; Profile Management: Manage Profiles",
    "namespace": "Identity Management: Manage Identity Namespaces, View Identity Namespaces",
    "dataset": "Data Management: Manage Datasets, View Datasets",
}
_SOURCES: Final = "Data Ingestion: Manage Sources, View Sources"
# The gateway's own codes for a credential that it does not let in, whatever is asked.
_NOT_ENTITLED: Final = ("403025", "403027")
_WRONG_KEY: Final = ("403000", "403003")
# What follows tells of entities, which set-up has none of.
_OF_ENTITIES: Final = re.compile(r" What is not accepted|(?:;| and) its effect|[;.] [Ee]ntities stay pending")


class Interrupted(TransientDeliveryError):
    """AEP does not answer; the text says where set-up stopped, and that it goes on there."""


@contextmanager
def told(settings: CredentialSettings, kind: str, name: str = "", *, looking: bool = False) -> Iterator[None]:
    """Turn a refusal or silence of AEP's into a sentence for the operator, about an object of a kind.

    Raises:
        SetupError: AEP refuses.
        Interrupted: AEP does not answer; set-up can be run again.
    """
    what = f"the {kind} {name}".rstrip()
    try:
        yield
    except Refused as refused:
        why = _why(refused, settings, kind)
        raise SetupError(f"AEP refuses {'to show ' if looking else ''}{what}: {why}") from refused
    except Interrupted:
        raise
    except TransientDeliveryError as error:
        where = f"looking at {what}" if looking else f"at {what}"
        raise Interrupted(f"Set-up stopped {where}: {_first_sentence(error)} {_GOES_ON}") from error


def _why(refused: Refused, settings: CredentialSettings, kind: str) -> str:
    said = refused.words.rstrip(".") or f"status {refused.status}"
    sandbox = f"ADOBE_SANDBOX_NAME={settings.sandbox_name}"
    if any(code in refused.words for code in _WRONG_KEY):
        return f"it does not know the credential ({said}). Check ADOBE_CLIENT_ID."
    if any(code in refused.words for code in _NOT_ENTITLED):
        return (
            f"the credential has no access to Experience Platform ({said}). Check ADOBE_ORG_ID, and add the credential to a "
            "product profile of Adobe Experience Platform in the Admin Console."
        )
    if "sandbox" in refused.words.lower():
        return (
            f"the sandbox {sandbox} does not exist, or the credential may not enter it ({said}). Correct the name, or give "
            "the credential's role this sandbox."
        )
    if refused.status == 401:
        return f"it does not take the access token ({said}). Check that ADOBE_CLIENT_ID belongs to ADOBE_ORG_ID."
    if refused.status == 403:
        right = _PERMISSIONS.get(kind, _SOURCES)
        return f"a permission is missing in {sandbox} ({said}). Give the credential's role {right}."
    return f"{said} (status {refused.status}). docs/setup.md says how to make the object by hand."


def _first_sentence(error: TransientDeliveryError) -> str:
    return _OF_ENTITIES.split(str(error))[0].rstrip(". ") + "."
