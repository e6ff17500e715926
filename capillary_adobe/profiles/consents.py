"""Consents: what a customer's subscriptions say.

Belongs here: channel, priority and status of a subscription, and which of several counts. Does not belong here: the form of
a consent in XDM.
"""

from __future__ import annotations

import re
from typing import Any, Final

from capillary_adobe.profiles.reading import Reader, objects

_YES: Final = frozenset({"optin", "optedin", "subscribed", "subscribe", "in", "y", "yes", "true", "active", "1"})
_NO: Final = frozenset(
    {"optout", "optedout", "unsubscribed", "unsubscribe", "out", "n", "no", "false", "inactive", "0"}
)
_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,39}")
PRIORITIES: Final = ("BULK", "TRANS")


def consents(reader: Reader, subscriptions: Any, status: str, path: str) -> dict[str, Any]:
    """`consent.<channel>.<BULK|TRANS>` of a list of subscriptions, whose field `status` holds the status.

    A customer may have several accounts on one channel: who opted out of one of them has opted out. An opt-out without a
    priority counts for both, an opt-in without one for none.
    """
    found: dict[str, Any] = {}
    for one in objects(subscriptions):
        channel = (reader.text(one.get("channel"), f"{path}.channel") or "").lower()
        said = reader.text(one.get(status), f"{path}.{status}")
        if not channel or said is None:
            continue
        if not _CHANNEL.fullmatch(channel):
            reader.refuse(f"{path}.channel")
            continue
        consent = _consent(said)
        if consent is None:
            reader.refuse(f"{path}.{status}")
            continue
        for priority in _priorities(reader, one.get("priority"), consent, f"{path}.priority"):
            name = f"consent.{channel}.{priority}"
            found[name] = "n" if "n" in (consent, found.get(name)) else "y"
    return found


def _consent(said: str) -> str | None:
    word = re.sub(r"[ _-]", "", said).lower()
    if word in _NO:
        return "n"
    return "y" if word in _YES else None


def _priorities(reader: Reader, value: Any, consent: str, path: str) -> tuple[str, ...]:
    said = (reader.text(value, path) or "").upper()
    for priority, words in (("BULK", ("BULK", "PROMO", "MARKETING")), ("TRANS", ("TRANS",))):
        if said.startswith(words):
            return (priority,)
    reader.refuse(path)
    return PRIORITIES if consent == "n" else ()
