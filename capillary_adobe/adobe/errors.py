"""AEP's answers as classes of reaction, and the two kinds of failure that leave this package.

Belongs here: the one table from status to reaction. Does not belong here: carrying a reaction out (`inlet.py`).
Sources: the OpenAPI description of streaming ingestion (github.com/AdobeDocs/experience-platform-apis) and
experienceleague.adobe.com/docs/experience-platform/ingestion/streaming/troubleshooting.html.
"""

from __future__ import annotations

from enum import Enum


class DeliveryError(Exception):
    """Delivery stopped; the text says why and what to do. Entities not accepted stay for the next run."""


class PermanentDeliveryError(DeliveryError):
    """Repeating changes nothing: a setting or a right is wrong."""


class TransientDeliveryError(DeliveryError):
    """Repeating later may help: the service is down, slow or throttling."""


class Reaction(Enum):
    """What to do about an answer."""

    READ_ITEMS = "read each message's own answer"
    REFRESH_ONCE = "take a fresh token and repeat once"
    SPLIT = "send the two halves"
    BACK_OFF = "wait and repeat"
    STOP = "stop: a setting is wrong"


_REACTIONS = {
    200: Reaction.READ_ITEMS,
    207: Reaction.READ_ITEMS,
    401: Reaction.REFRESH_ONCE,
    # An authenticated inlet answers an old token with 403 and a foreign address with 403 and no body.
    403: Reaction.REFRESH_ONCE,
    408: Reaction.BACK_OFF,
    413: Reaction.SPLIT,
    425: Reaction.BACK_OFF,
    429: Reaction.BACK_OFF,
}


def reaction_to(status: int) -> Reaction:
    """The reaction to the status of a whole request."""
    if status >= 500:
        return Reaction.BACK_OFF
    return _REACTIONS.get(status, Reaction.STOP)


def retryable_message(status: int) -> bool:
    """Whether one message of an answered request may be sent again."""
    return status in (408, 425, 429) or status >= 500


CURES = {
    400: "AEP cannot read the request. Compare ADOBE_ORG_ID and ADOBE_EVENTS_SCHEMA_ID with the sandbox.",
    401: "AEP does not take the access token. Check that ADOBE_CLIENT_ID belongs to ADOBE_ORG_ID and has the right to ingest.",
    403: "AEP refuses access. Check that the credential may use this inlet and that this machine's address is allowed.",
    404: "AEP does not know the inlet. Copy ADOBE_INLET_URL from the streaming connection again.",
    415: "AEP does not take JSON at this address. Check ADOBE_INLET_URL.",
}


def cure_for(status: int) -> str:
    """What an operator can do about a status that stops delivery."""
    return CURES.get(status, "Look the status up in docs/troubleshooting.md.")
