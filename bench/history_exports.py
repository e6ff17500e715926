"""A large export, made fast: zip files of years, with CSV files of months, of every template.

Belongs here: the rows, the zip files, the rules file, and the numbers that a reader must come to. Does not belong here:
importing them (`history.py`) and small exports that are twins of webhooks (`capillary_adobe.demo.exports`).

Nothing but the rows of a month that may be repeated at its end is held in memory.
"""

from __future__ import annotations

import random
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

ORG_ID = 50_614
ZONE = "Asia/Kolkata"
TIERS = ("Seed", "Sprout", "Bloom", "Orchard")

_ZONE_SECONDS = 19_800
_WHO = "event_user.user_id,event_user.mobile"
_WHERE = "event_zone_till.till_id,event_zone_till.till,event_zone_till.store"
_BILL = f"Receipt_Key,bill_number,Sold_On,event_time.time,Receipt_Total,bill_discount,{_WHO},{_WHERE}"
_ITEM = "line_item_id,item_code,description,quantity,rate,line_item_discount,line_item_amount"
_PROGRAM = "event_program.program_id,event_program.program_name"
HEADERS = {
    "transactions": f"{_BILL},bill_type,{_ITEM},basket_mood",
    "returns": f"{_BILL},parent_bill_number,returned_type,{_ITEM}",
    "points": (
        f"event_date.date,event_time.time,Shopper,event_user.mobile,{_PROGRAM},event_id,points_event_type,deduction_type,category,"
        "Earned,Burned,awarded_ref_id,deducted_ref_id,deduction_summary_id,deduction_currency_value,"
        "points_promotion.promotion_identifier,awarded_expiry_date.date,bill_id,bill_number"
    ),
    "redemptions": f"redemption_id,points_redemption_time,{_WHO},{_PROGRAM},points_redeemed,deduction_currency_value",
    "tiers": (
        f"id,At,{_WHO},{_PROGRAM},What_Happened,customer_slab.slab_name,customer_slab.slab_no,previous_slab.slab_name,"
        "previous_slab.slab_no,slab_expiry_date"
    ),
    "merges": "merge_event_id,event_date.date,event_time.time,event_user.user_id,victim_user.user_id,merge_reason",
    "members": (
        "event_user.user_id,event_user.first_name,event_user.last_name,event_user.mobile,event_user.email,"
        f"{_PROGRAM},loyalty_points,lifetime_points,slab_name,slab_number,joined_date.date"
    ),
    "profiles": "user_id,source,id_unique,id_mobile",
}
TITLES = {
    "transactions": "Transactions",
    "returns": "Return_Transactions",
    "points": "Points",
    "redemptions": "Points_Redemption_Summary",
    "tiers": "Slab_Change_Log",
    "merges": "Customer_Merge_Event_Log",
    "members": "Members",
    "profiles": "Profiles",
}
_OF_CUSTOMERS = ("members", "profiles")
_PROGRAM_CELLS = "2649,Marigold & Vine Circle"
_AWARDED, _REDEEMED, _EXPIRED = "Points Awarded,Not applicable", "Points Deducted,Redeemed", "Points Deducted,Expired"
_RULES = """live_from: {live_from}
columns:
  transactions: {{Receipt_Key: bill_id, Receipt_Total: bill_amount, Sold_On: event_date}}
  returns: {{Receipt_Key: bill_id, Receipt_Total: bill_amount, Sold_On: event_date}}
  points: {{Earned: allocated_points, Burned: deducted_points, Shopper: customer_id}}
  tiers: {{What_Happened: change_action, At: event_moment}}
custom_fields: {{transactions: [basket_mood]}}
"""


@dataclass
class Figures:
    """What a reader must come to. Days are the organisation's; sums are whole hundredths."""

    events: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Distinct events by day and type."""
    sums: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Amounts and points of these events, by day and type."""
    rows: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Spoiled rows by template."""
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Distinct events."""
        return sum(by_type.total() for by_type in self.events.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Size:
    """How large the export is."""

    events: int
    customers: int
    days: int
    first: date = date(2024, 10, 1)
    inflated: float = 0.1
    broken: float = 0.001
    seed: int = 1

    @property
    def after(self) -> date:
        """The day after the last one."""
        return self.first + timedelta(days=self.days)


def write_exports(folder: Path, size: Size) -> Figures:
    """Write the zip files under `folder/exports` and the rules file beside; the numbers."""
    started = time.perf_counter()
    exports = folder / "exports"
    exports.mkdir(parents=True)
    (folder / "insights.yaml").write_text(_RULES.format(live_from=size.after.isoformat()), "utf-8")
    figures, making = Figures(), _Making(size)
    days = [size.first + timedelta(days=place) for place in range(size.days)]
    for year, of_year in groupby(days, key=lambda day: (day - size.first).days // 365):
        _write_year(exports, year, list(of_year), making, figures)
    _write_customers(exports, size, figures)
    figures.files = sum(1 for _ in exports.iterdir())
    figures.bytes = sum(path.stat().st_size for path in exports.iterdir())
    figures.seconds = time.perf_counter() - started
    return figures


def _write_year(exports: Path, year: int, days: list[date], making: _Making, figures: Figures) -> None:
    made_on = datetime.combine(days[-1] + timedelta(days=1), datetime.min.time(), UTC)
    zipped = {
        template: zipfile.ZipFile(exports / _name(template, made_on), "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        for template in HEADERS
        if template not in _OF_CUSTOMERS
    }
    for month, of_month in groupby(days, key=lambda day: day.replace(day=1)):
        rows = making.month(list(of_month), figures)
        for template, archive in zipped.items():
            lines = [HEADERS[template], *rows[template], ""]
            archive.writestr(f"{TITLES[template]}/{month:%Y-%m}-{year}.csv", "\n".join(lines))
            figures.rows[template] += len(rows[template])
    for archive in zipped.values():
        archive.close()


def _write_customers(exports: Path, size: Size, figures: Figures) -> None:
    made_on = datetime.combine(size.after, datetime.min.time(), UTC)
    for template in _OF_CUSTOMERS:
        path = exports / _name(template, made_on)
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(f"{TITLES[template]}.csv", "w") as file,
        ):
            file.write(f"{HEADERS[template]}\n".encode())
            for number in range(size.customers):
                file.write(_CUSTOMER_ROWS[template](number, size).encode())
        figures.rows[template] += size.customers


def _name(template: str, made_on: datetime) -> str:
    return f"Yearly_{TITLES[template]}_{made_on:%Y-%m-%d-%H-%M-%S}_{int(made_on.timestamp() * 1000)}.zip"


def _customer_id(number: int) -> int:
    return 7_000_000 + number


def _mobile(number: int) -> str:
    return f"9990{number:010d}"


def _who(number: int) -> str:
    return f"{_customer_id(number)},{_mobile(number)}"


def _member(number: int, size: Size) -> str:
    tier = number % 4
    joined = size.first - timedelta(days=number % 900)
    return (
        f"{_customer_id(number)},Asha,Rao {number},{_mobile(number)},asha.{number}@example.com,{_PROGRAM_CELLS},{number % 900},"
        f"{number % 9000 + 900},{TIERS[tier]},{tier + 1},{joined}\n"
    )


def _profile(number: int, _size: Size) -> str:
    return f"{_customer_id(number)},WEB_ENGAGE,cuid-{number},{_mobile(number)}\n"


_CUSTOMER_ROWS = {"members": _member, "profiles": _profile}


class _Making:
    """Makes the rows of one month after the other; every number is drawn once."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._rng = random.Random(size.seed)  # noqa: S311 - an export that can be repeated
        self._number = 1_000_000
        self._made = 0

    def month(self, days: list[date], figures: Figures) -> dict[str, list[str]]:
        """The rows of some days by template, in the order of time, repeated and spoiled ones behind."""
        rows: dict[str, list[str]] = {template: [] for template in HEADERS}
        before = {"points": 0, "tiers": 0}
        for day in days:
            place = (day - self._size.first).days + 1
            due = self._size.events * place // self._size.days - self._made
            self._made += due
            before = {template: len(rows[template]) for template in before}
            for happening in self._happenings(due):
                happening(self, day, rows, figures)
        for template, end in before.items():
            again = [row for row in rows[template][:end] if self._rng.random() < self._size.inflated]
            rows[template] += again
            figures.repeated[template] += len(again)
        self._spoil(rows, figures)
        return rows

    def _happenings(self, due: int) -> Iterator[Any]:
        draw = self._rng.random
        for _ in range(due):
            roll = draw()
            yield next(happening for bound, happening in _MIX if roll < bound)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _customer(self) -> int:
        return int(self._rng.random() * self._size.customers)

    def _clock(self) -> tuple[str, int]:
        second = int(self._rng.random() * 86_400)
        return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}", second

    def bill(self, day: date, rows: dict[str, list[str]], figures: Figures, *, back: bool = False) -> None:
        number, customer, store = self._next(), self._customer(), int(self._rng.random() * 400)
        cents, discount, items = (
            int(self._rng.random() * 500_000) + 100,
            int(self._rng.random() * 900),
            int(self._rng.random() * 3) + 1,
        )
        head = (
            f"{number},B-{number},{day},{self._clock()[0]},{_money(cents)},{_money(discount)},{_who(customer)},"
            f"{75_000_000 + store},till.{store}.1,store.{store}"
        )
        kind = f"B-{number - 1},FULL" if back else "REGULAR"
        tail = "" if back else ",picnic"
        share = cents // items
        mine = rows["returns" if back else "transactions"]
        for place in range(items):
            amount = cents - share * (items - 1) if place == 0 else share
            what = (number + place) % 5000
            mine.append(
                f'{head},{kind},{number * 10 + place},MV-{what},"Bowl, no. {what}",1,{_money(amount)},0,{_money(amount)}{tail}'
            )
        _count(figures, day, "transactionAdded", cents)

    def back(self, day: date, rows: dict[str, list[str]], figures: Figures) -> None:
        self.bill(day, rows, figures, back=True)

    def award(self, day: date, rows: dict[str, list[str]], figures: Figures) -> None:
        event, customer, clock = self._next(), self._customer(), self._clock()[0]
        promoted = self._rng.random() < 0.25
        expiry = day + timedelta(days=365)
        common = f"{day},{clock},{_who(customer)},{_PROGRAM_CELLS},{event},{_AWARDED}"
        total = 0
        for place in range(1 + promoted):
            points = int(self._rng.random() * 50_000) + 1
            total += points
            promotion = "11-bloom" if place else ""
            rows["points"].append(
                f"{common},redeemable,{_money(points)},,{self._next()},,,,{promotion},{expiry},{event + 7},B-{event + 7}"
            )
        _count(figures, day, "pointsIssued", total)

    def redemption(self, day: date, rows: dict[str, list[str]], figures: Figures) -> None:
        number, customer, points = self._next(), self._customer(), int(self._rng.random() * 30_000) + 100
        clock, second = self._clock()
        worth = _money(points // 4)
        rows["points"].append(
            f"{day},{clock},{_who(customer)},{_PROGRAM_CELLS},{number},{_REDEEMED},redeemable,"
            f",{_money(points)},,{self._next()},{number},{worth},,,,"
        )
        rows["redemptions"].append(
            f"{number},{_epoch(day, second)},{_who(customer)},{_PROGRAM_CELLS},{_money(points)},{worth}"
        )
        _count(figures, day, "pointsRedeemed", points)

    def expiry(self, day: date, rows: dict[str, list[str]], figures: Figures) -> None:
        number, customer, points = self._next(), self._customer(), int(self._rng.random() * 20_000) + 1
        rows["points"].append(
            f"{day},01:00:00,{_who(customer)},{_PROGRAM_CELLS},{number},{_EXPIRED},redeemable,"
            f",{_money(points)},{number + 3},{number},,,,,,"
        )
        _count(figures, day, "pointsExpired", points)

    def tier(self, day: date, rows: dict[str, list[str]], figures: Figures) -> None:
        number, customer, before = self._next(), self._customer(), int(self._rng.random() * 3)
        moment = _epoch(day, self._clock()[1]) * 1000
        roll = self._rng.random()
        action, event, one, other = (
            ("UPGRADE", "tierUpgraded", before + 1, before)
            if roll < 0.6
            else ("DOWNGRADE", "tierDowngraded", before, before + 1)
            if roll < 0.8
            else ("RENEWAL", "tierRenewed", before, before)
        )
        rows["tiers"].append(
            f"{number},{moment},{_who(customer)},{_PROGRAM_CELLS},{action},{TIERS[one]},{one + 1},"
            f"{TIERS[other]},{other + 1},{day + timedelta(days=365)}"
        )
        _count(figures, day, event, 0)

    def merge(self, day: date, rows: dict[str, list[str]], figures: Figures) -> None:
        number = self._next()
        rows["merges"].append(
            f"{number},{day},{self._clock()[0]},{_customer_id(self._customer())},{900_000_000 + number},twin registration"
        )
        _count(figures, day, "loyaltyCustomerMerge", 0)

    def _spoil(self, rows: dict[str, list[str]], figures: Figures) -> None:
        """Bills without a readable total, and rows that end early."""
        mine = rows["transactions"]
        wanted = int(len(mine) * self._size.broken)
        for place in range(wanted):
            cells = self._rng.choice(mine).split(",")
            cells[0] = str(self._next())
            cells[4] = "12.x"
            mine.append(",".join(cells[:9] if place % 2 else cells))
        figures.refused["transactions"] += wanted


_MIX = (
    (0.44, _Making.bill),
    (0.46, _Making.back),
    (0.82, _Making.award),
    (0.90, _Making.redemption),
    (0.967, _Making.expiry),
    (0.998, _Making.tier),
    (1.0, _Making.merge),
)


def _count(figures: Figures, day: date, event: str, hundredths: int) -> None:
    name = day.isoformat()
    figures.events[name][event] += 1
    figures.sums[name][event] += hundredths


def _money(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _epoch(day: date, second: int) -> int:
    return (day.toordinal() - 719_163) * 86_400 + second - _ZONE_SECONDS
