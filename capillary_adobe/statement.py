"""Statements: balances as a person reads them at the terminal.

Belongs here: words, order and alignment. Does not belong here: the numbers (`balance.py`) and printing (`cli.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tabulate import tabulate

from capillary_adobe.balance import Balance

_DIFFERENCES = {
    "lines": "landed lines that no table has yet",
    "enriched": "raw events without an enriched one",
    "entities": "raw events that became no entity and are not in quarantine",
    "outcomes": "events without an outcome",
    "profiles": "profiles without an outcome",
}
_BY_TYPE = ("landed", "raw", "duplicates", "ignored", "quarantined", "accepted", "rejected", "failed", "pending")


def of_day(account: Balance) -> str:
    """The statement of one day."""
    rows = [
        ("landed lines", account.landed_lines, _unread(account)),
        ("  raw events", account.raw, ""),
        ("  duplicates", account.duplicates, ""),
        ("  ignored", sum(account.ignored.values()), _named(account.ignored)),
        ("  quarantined", sum(account.quarantined.values()), _named(account.quarantined)),
        ("events", account.entities["events"], ""),
        *((f"  {outcome}", count, _of(account, outcome)) for outcome, count in account.delivery.items()),
        *_profiles(account),
        ("landing to AEP", "", _latency(account)),
        ("balanced", "yes" if account.balanced else "no", _verdict(account)),
    ]
    table = tabulate(rows, tablefmt="plain", colalign=("left", "right", "left"), preserve_whitespace=True)
    parts = [account.day, table]
    if account.held:
        parts.append(
            tabulate(account.held.items(), headers=["held: event type and why", "entities"], tablefmt="simple")
        )
    if account.by_event_type:
        parts.append(_by_event_type(account))
    return "\n\n".join(parts)


def of_days(accounts: Iterable[Balance]) -> str:
    """One line a day."""
    headers = [
        "day",
        "landed",
        "raw",
        "duplicates",
        "ignored",
        "quarantined",
        "accepted",
        "rejected",
        "failed",
        "pending",
    ]
    rows = [
        [
            account.day,
            account.landed_lines,
            account.raw,
            account.duplicates,
            sum(account.ignored.values()),
            sum(account.quarantined.values()),
            *(account.delivery[outcome] for outcome in headers[6:]),
            "yes" if account.balanced else f"no: {_verdict(account)}",
        ]
        for account in accounts
    ]
    return tabulate(rows, headers=[*headers, "balanced"], tablefmt="simple")


def _profiles(account: Balance) -> list[tuple[str, int, str]]:
    told = {"superseded": "a newer profile of the customer was sent"}
    if not account.entities["profiles"]:
        return []
    of = ((f"  {outcome}", n, told.get(outcome, "")) for outcome, n in account.profile_delivery.items())
    return [("profiles", account.entities["profiles"], ""), *of]


def _by_event_type(account: Balance) -> str:
    rows = [
        [name, *(counts.get(column, 0) or "" for column in _BY_TYPE)] for name, counts in account.by_event_type.items()
    ]
    return tabulate(
        rows, headers=["event type", *_BY_TYPE], tablefmt="simple", colalign=("left", *("right",) * len(_BY_TYPE))
    )


def _unread(account: Balance) -> str:
    return f"{account.unread_objects} objects wait for their micro-batch" if account.unread_objects else ""


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _latency(account: Balance) -> str:
    known = [f"{name} {seconds:.1f} s" for name, seconds in account.latency_seconds.items() if seconds is not None]
    return ", ".join(known) or "nothing accepted yet"


def _of(account: Balance, outcome: str) -> str:
    if outcome == "rejected":
        return _named(account.refused_by_cause)
    if outcome == "accepted" and account.maybe_twice:
        return f"{account.maybe_twice} sent again after a lost answer; AEP may hold them twice"
    if outcome == "pending" and account.held:
        return f"{sum(account.held.values())} held"
    return ""


def _verdict(account: Balance) -> str:
    found = [f"{count} {_DIFFERENCES.get(name, name)}" for name, count in account.differences.items()]
    return "; ".join(found)
