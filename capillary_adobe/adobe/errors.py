"""AEP's answers as classes of reaction, and the two kinds of failure that leave this package.

Belongs here: the one table from an answer, or its absence, to a reaction, with the cure in plain words. Does not belong
here: carrying a reaction out (`inlet.py` for streaming, `platform.py` for everything else).
Sources: the OpenAPI descriptions of streaming and batch ingestion (github.com/AdobeDocs/experience-platform-apis) and
experienceleague.adobe.com/docs/experience-platform/ingestion/streaming/troubleshooting.html.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from capillary_adobe.state.failed_calls import CallFailure


class DeliveryError(Exception):
    """Delivery stopped; the text says why and what to do. Entities not accepted stay for the next run."""


class PermanentDeliveryError(DeliveryError):
    """Repeating changes nothing: a setting or a right is wrong."""


class TransientDeliveryError(DeliveryError):
    """Repeating later may help: the service is down, slow or throttling."""


class QuotaUsedUp(TransientDeliveryError):
    """Nothing more goes today: repeating at once changes nothing, tomorrow it goes by itself."""


class Reaction(Enum):
    """What to do about an answer."""

    READ = "read what became of each message"
    REFRESH_ONCE = "take a fresh token and repeat once"
    BACK_OFF = "wait and repeat"
    SPLIT = "send the two halves"
    ISOLATE = "send the halves until the record at fault stands alone, then reject it"
    SET_ASIDE = "stop: the entities are kept as failed"
    LOOK_UP = "look up what AEP has, then go on from there"


NO_ANSWER: Final = 0
"""Stands for a connection that was refused, reset or timed out: whether AEP took the request is unknown."""

REACTIONS: Final[dict[int, Reaction]] = {
    NO_ANSWER: Reaction.BACK_OFF,
    200: Reaction.READ,
    201: Reaction.READ,
    207: Reaction.READ,
    400: Reaction.ISOLATE,
    401: Reaction.REFRESH_ONCE,
    # An authenticated inlet answers an old token with 403 and a foreign address with 403 and no body.
    403: Reaction.REFRESH_ONCE,
    408: Reaction.BACK_OFF,
    409: Reaction.LOOK_UP,
    412: Reaction.LOOK_UP,
    413: Reaction.SPLIT,
    422: Reaction.ISOLATE,
    425: Reaction.BACK_OFF,
    429: Reaction.BACK_OFF,
    # "Not implemented" does not pass by waiting, unlike every other 5xx.
    501: Reaction.SET_ASIDE,
}
"""The error contract. Dead letters are ISOLATE and SET_ASIDE: 404, 414 and 415 concern the address or the form of every
request alike, so no record is to blame and none is rejected for them."""


def reaction_to(status: int) -> Reaction:
    """The reaction to the status of a whole request; `NO_ANSWER` for none."""
    default = Reaction.BACK_OFF if status >= 500 else Reaction.SET_ASIDE
    return REACTIONS.get(status, default)


def retryable_message(status: int) -> bool:
    """Whether one message of an answered request may be sent again."""
    return reaction_to(status) is Reaction.BACK_OFF


def effect_unknown(status: int) -> bool:
    """Whether AEP may have taken what it was sent for all that this status says, of a request or of one message in it.

    Somebody gave up waiting (408 and the 5xx, those of gateways that no standard lists included) or says no more than
    that all is well (a 2xx that tells nothing of the messages). 501 and 503 refuse before anything is done.
    """
    if status in (NO_ANSWER, 408):
        return True
    if 200 <= status < 300:
        return reaction_to(status) is not Reaction.READ
    return status >= 500 and status not in (501, 503)


def failure_of(status: int) -> CallFailure | None:
    """The class of a call that ended with this status; None where it was taken, or a record in it is to blame."""
    if status in (401, 403):
        return CallFailure.AUTHENTICATION
    if status == 429:
        return CallFailure.LIMITS
    return {Reaction.BACK_OFF: CallFailure.NETWORK, Reaction.SET_ASIDE: CallFailure.OTHER}.get(reaction_to(status))


def failure_without_token(error: DeliveryError) -> CallFailure:
    """The class of a call that could not be made since there is no access token."""
    return CallFailure.AUTHENTICATION if isinstance(error, PermanentDeliveryError) else CallFailure.NETWORK


CURES: Final[dict[int, str]] = {
    400: "AEP cannot read the request. Compare ADOBE_ORG_ID and the events schema with the sandbox, by "
    "`capillary-adobe setup --drift`.",
    401: "AEP does not take the access token. Check that ADOBE_CLIENT_ID belongs to ADOBE_ORG_ID and has the right to ingest.",
    403: "AEP refuses access. Check that the credential has the rights it needs and that this machine's address is allowed.",
    404: "AEP does not know the address. Run `capillary-adobe setup --drift`. If ADOBE_INLET_URL is set, copy it from the "
    "streaming connection again; for batches compare ADOBE_EVENTS_DATASET_ID with the sandbox.",
    415: "AEP does not take this form of data at this address. Check ADOBE_INLET_URL.",
}


def cure_for(status: int) -> str:
    """What an operator can do about a status that stops delivery."""
    return CURES.get(status, "Look the status up in docs/troubleshooting.md.")
