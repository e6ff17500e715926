"""The two kinds of failure that leave the client, and the table from an answer to one of them.

Belongs here: the classes, the statuses and codes that pass by waiting, the cures. Does not belong here: waiting
(`client.py`).
Sources: docs.capillarytech.com/reference/response-codes (461, 521), /docs/access-group (4000, 4001) and
/reference/add-v3-webhooks (51003, 51007, 300004).
"""

from __future__ import annotations

from typing import Final


class CapillaryApiError(Exception):
    """Capillary's API did not do what it was asked; the text says why and what to do. It holds no values and no secrets."""


class PermanentCapillaryApiError(CapillaryApiError):
    """Repeating changes nothing; `status` is 0 where no answer led to it, `codes` are Capillary's own."""

    def __init__(self, text: str, status: int = 0, codes: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.codes = codes


class TransientCapillaryApiError(CapillaryApiError):
    """Repeating later may help."""


class UnaskedCapillaryApiError(TransientCapillaryApiError):
    """There was no turn before the deadline, so Capillary was not asked."""


class UnansweredCapillaryApiError(TransientCapillaryApiError):
    """Whether Capillary did what it was asked is unknown."""


REFUSED_FOR_NOW: Final = frozenset({408, 425, 429, 461, 521, 503, 4001})
"""Statuses and codes by which Capillary has done nothing and may do it later: throttled, its search is busy (461), another
action runs for the same customer (521), it could not find out what the client may do (503, 4001)."""

_FORBIDDEN = (
    "Give the access group of the API client the right it needs: read and write on the resource Webhooks for webhooks and "
    "their log, read on Customer, Transaction and Organization for look-ups."
)
_CURES: Final = {
    401: "Capillary does not take the access token. Check that the client of CAPILLARY_API_KEY is active.",
    403: _FORBIDDEN,
    404: "Check that CAPILLARY_API_URL is the cluster of your organisation.",
    4000: _FORBIDDEN,
    8012: "Set CAPILLARY_LOOKUP_SOURCE to a source that the organisation has.",
    8045: "Set CAPILLARY_LOOKUP_ACCOUNT_ID to the account of CAPILLARY_LOOKUP_SOURCE.",
    1060: "Set CAPILLARY_LOOKUP_CUSTOMERS_PER_CALL to less.",
    51003: "Name at least one event in CAPILLARY_WEBHOOK_EVENTS.",
    51007: "Set CAPILLARY_WEBHOOK_CONNECTIONS to 1 or more.",
    300004: "Set CAPILLARY_WEBHOOK_CONNECTIONS to 1 or more.",
}
_NO_CURE = "Look the code up on docs.capillarytech.com/reference/response-codes, or ask Capillary with it."


def passes(status: int, codes: tuple[int, ...]) -> bool:
    """Whether an answer may be another one later."""
    return status >= 500 or status in REFUSED_FOR_NOW or bool(codes and REFUSED_FOR_NOW.issuperset(codes))


def effect_unknown(status: int, codes: tuple[int, ...]) -> bool:
    """Whether Capillary may have done what it was asked for all that a failure says."""
    return status >= 500 and status not in REFUSED_FOR_NOW and not (codes and REFUSED_FOR_NOW.issuperset(codes))


def cure_for(status: int, codes: tuple[int, ...]) -> str:
    """What an operator can do about a refusal."""
    return next((_CURES[one] for one in (*codes, status) if one in _CURES), _NO_CURE)
