"""The figures of the report, from the balance of each day and the registers of the state database.

Belongs here: which days and what of each, errors by class, causes in quarantine. Does not belong here: what stands and waits
now (`standing.py`), its words for the three questions (`answers.py`), the page (`page.py`).

The cost grows with the days and their rows: a balance reads a few columns of each table, of one day each, and lists the landed
objects of the day. What is older than the days costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from capillary_adobe.balance import Accounts, Balance, grouped
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import LandingStore
from capillary_adobe.reasons import AEP_REASONS, RAW_REASONS, XDM_REASONS
from capillary_adobe.reporting.standing import Backlog, Standing, backlog, way_back
from capillary_adobe.state import Customers, Outcome, State
from capillary_adobe.state.alerts import Alert, Alerts
from capillary_adobe.state.customers import CustomerCounts
from capillary_adobe.state.failed_calls import CallFailure, failed_calls_since
from capillary_adobe.tables import QUARANTINE

VALIDATION: Final = "validation"
ERRORS: Final = (*(one.value for one in CallFailure), VALIDATION)
"""Classes of errors: the first ones count calls on the UTC day, the last one records of the landing day."""

_TOP_CAUSES: Final = 12
_MOST_ALERTS: Final = 1000
_PAGE: Final = "docs/troubleshooting.md"
_MEANINGS: Final = RAW_REASONS | XDM_REASONS | AEP_REASONS
_SECTIONS: Final = {"raw": "#quarantined-lines", "aep": "#entities-that-aep-refused"}


@dataclass(frozen=True)
class Cause:
    """Records in quarantine for one reason; `page` is where the documentation has the cure of the code."""

    stage: str
    code: str
    records: int
    last_day: str
    meaning: str
    cure: str
    page: str


@dataclass(frozen=True)
class DayFigures:
    """A landing day: its balance without what no run has read, and its errors by class."""

    account: Balance
    errors: dict[str, int]

    @property
    def day(self) -> str:
        """YYYY-MM-DD, UTC."""
        return self.account.day

    @property
    def quarantined(self) -> int:
        """Lines and entities in quarantine, those that AEP refused among them."""
        refused = self.account.delivery[Outcome.REJECTED] + self.account.profile_delivery[Outcome.REJECTED]
        return sum(self.account.quarantined.values()) + refused

    @property
    def open(self) -> int:
        """Events that are pending or failed."""
        return self.account.delivery[Outcome.PENDING] + self.account.delivery[Outcome.FAILED]

    @property
    def open_profiles(self) -> int:
        """Profiles that are pending or failed."""
        return self.account.profile_delivery[Outcome.PENDING] + self.account.profile_delivery[Outcome.FAILED]


@dataclass(frozen=True)
class SentLog:
    """What Capillary's delivery log told of a day when it was compared last; `problem` where it could not be.

    `doubts` tell why the log may not be whole.
    """

    day: str
    sent: int = 0
    lost: int = 0
    on_their_way: int = 0
    doubts: str = ""
    problem: str = ""


@dataclass(frozen=True)
class DeliveryReport:
    """The report as of `made_ms` (epoch ms); days in order, the last two are yesterday and today."""

    made_ms: int
    days: Sequence[DayFigures]
    causes: Sequence[Cause]
    causes_left_out: int
    backlog: Backlog
    way_back: Sequence[Standing]
    alerts: Sequence[Alert]
    """Those that stand, the latest first."""
    customers: CustomerCounts
    sent: SentLog | None

    @property
    def today(self) -> DayFigures:
        """The day that is still filling."""
        return self.days[-1]

    @property
    def yesterday(self) -> DayFigures:
        """The last whole day, UTC."""
        return self.days[-2]

    def at_work(self, day: str) -> bool:
        """Whether a run is at work on a day or is to come: until it is through, its books may differ."""
        return day in self.backlog.open_days

    @property
    def unbalanced(self) -> list[DayFigures]:
        """Days whose books differ, and that no run is at work on."""
        return [one for one in self.days if not one.account.balanced and not self.at_work(one.day)]

    @property
    def open(self) -> int:
        """Events of all days that are pending or failed."""
        return sum(one.open for one in self.days)

    @property
    def open_profiles(self) -> int:
        """Profiles of all days that are pending or failed."""
        return sum(one.open_profiles for one in self.days)

    @property
    def failed(self) -> int:
        """Events and profiles of all days whose request or batch AEP refused as a whole."""
        accounts = [one.account for one in self.days]
        return sum(one.delivery[Outcome.FAILED] + one.profile_delivery[Outcome.FAILED] for one in accounts)

    @property
    def held(self) -> int:
        """Entities of all days that wait for an operator."""
        return sum(sum(one.account.held.values()) for one in self.days)

    @property
    def unread_objects(self) -> int:
        """Landed objects of all days that no run has read."""
        return sum(one.account.unread_objects for one in self.days)

    @property
    def oldest_unread_ms(self) -> int | None:
        """When the oldest of them landed, epoch ms."""
        known = (one.account.oldest_unread_ms for one in self.days)
        return min((one for one in known if one is not None), default=None)

    @property
    def latency(self) -> dict[str, float | None]:
        """From landing to AEP's acknowledgement, seconds, of `latency_day`."""
        return next((one.account.latency_seconds for one in self.days if one.day == self.latency_day), {})

    @property
    def latency_day(self) -> str | None:
        """The newest day with an accepted event."""
        found = [one.day for one in self.days if one.account.latency_seconds.get("p50") is not None]
        return found[-1] if found else None


def draw_report(
    store: LandingStore, lake: Lake, state: State, days: int, sent: Callable[[str], SentLog | None]
) -> DeliveryReport:
    """Draw the report over so many landing days up to today, at least two; `sent` tells what Capillary sent on a day.

    Raises:
        LandingError, LakeError, StateError: a store cannot be read.
        SettingsError: a variable is malformed.
    """
    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)
    wanted = [(now.date() - timedelta(days=ago)).isoformat() for ago in range(max(days, 2) - 1, -1, -1)]
    accounts = Accounts(store, lake, state)
    failed = Counter[tuple[str, str]]()
    for one in failed_calls_since(state, wanted[0]):
        failed[one.day, one.failure.value] += one.times
    figures = [_of_day(accounts.balance(day, count_unread=False), failed) for day in wanted]
    causes, left_out = _causes(lake, wanted)
    customers = Customers(state).counts()
    return DeliveryReport(
        made_ms=now_ms,
        days=figures,
        causes=causes,
        causes_left_out=left_out,
        backlog=backlog(state, wanted[0], now_ms),
        way_back=way_back(state, customers, now_ms),
        alerts=Alerts(state).latest(_MOST_ALERTS, standing=True),
        customers=customers,
        sent=sent(wanted[-2]),
    )


def _of_day(account: Balance, failed: Counter[tuple[str, str]]) -> DayFigures:
    counted = DayFigures(account, {name: failed[account.day, name] for name in ERRORS})
    return replace(counted, errors={**counted.errors, VALIDATION: counted.quarantined})


def _causes(lake: Lake, days: Sequence[str]) -> tuple[list[Cause], int]:
    """The most frequent causes, and how many records have others."""
    records = Counter[tuple[str, str, str]]()
    last: dict[tuple[str, str, str], str] = {}
    for day in days:
        for key, n in grouped(lake, QUARANTINE, Slice(day), "stage, code, coalesce(cure, '')").items():
            records[key] += n
            last[key] = day
    listed = sorted(records.items(), key=lambda item: (-item[1], item[0]))
    causes = [
        Cause(
            stage=stage,
            code=code,
            records=n,
            last_day=last[stage, code, cure],
            meaning=_MEANINGS.get(code, ""),
            cure=cure,
            page=_PAGE + _SECTIONS.get(stage, "#quarantined-entities"),
        )
        for (stage, code, cure), n in listed[:_TOP_CAUSES]
    ]
    return causes, sum(n for _, n in listed[_TOP_CAUSES:])
