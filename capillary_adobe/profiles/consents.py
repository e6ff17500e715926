"""Consents: what a customer's subscriptions say.

Belongs here: channel, priority, account and status of a subscription, and which of several counts. Does not belong here: the
form of a consent in XDM.
"""

from __future__ import annotations

import re
from typing import Any, Final

from capillary_adobe.profiles.document import Document, Register
from capillary_adobe.profiles.reading import Reader, objects

_YES: Final = frozenset({"optin", "optedin", "subscribed", "subscribe", "in", "y", "yes", "true", "active", "1"})
_NO: Final = frozenset(
    {"optout", "optedout", "unsubscribed", "unsubscribe", "out", "n", "no", "false", "inactive", "0"}
)
_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ACCOUNT: Final = ("sourceName", "sourceAccountId", "ouId")
_LONGEST_ACCOUNT: Final = 200
PRIORITIES: Final = ("BULK", "TRANS")


def consents(reader: Reader, subscriptions: Any, status: str, path: str, *, by_account: bool = False) -> dict[str, Any]:
    """`consent.<channel>.<BULK|TRANS>` of a list of subscriptions, whose field `status` holds the status.

    An answer of Capillary's API has them all. An event tells those that changed: `by_account` gives each account (source,
    account and organisation unit) a field of its own, with the account at the end. Of several on one field an opt-out
    counts. An opt-out without a priority counts for both, an opt-in without one for none.
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
        account = _account(reader, one, path) if by_account else ""
        for priority in _priorities(reader, one.get("priority"), consent, f"{path}.priority"):
            name = f"consent.{channel}.{priority}{account}"
            found[name] = "n" if "n" in (consent, found.get(name)) else "y"
    return found


def consent_of(document: Document, channel: str, priority: str) -> Register | None:
    """The consent on a channel of Capillary's: who opted out of one account has opted out.

    What was said without an account is of all of them, as Capillary's API tells it, and ends what accounts said before.
    """
    name = f"consent.{channel}.{priority}"
    whole = document.get(name)
    registers = [register for field, register in document.items() if field.startswith(f"{name}.")]
    if whole is not None:
        registers = [register for register in registers if register.stamp > whole.stamp] or [whole]
    given = [register for register in registers if register.value in ("y", "n")]
    counted = [register for register in given if register.value == "n"] or given
    return max(counted, key=lambda register: register.stamp, default=None)


def _account(reader: Reader, one: dict[str, Any], path: str) -> str:
    told = [(reader.text(one.get(name), f"{path}.{name}") or "").lower() for name in _ACCOUNT]
    return "." + "/".join(told)[:_LONGEST_ACCOUNT] if any(told) else ""


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
