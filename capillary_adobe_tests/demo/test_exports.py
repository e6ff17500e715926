"""Exports of made-up traffic: the twins of its webhooks, and what the import makes of them."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
import pyzipper

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe.capillary.insights.places import open_place
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.demo.exports import (
    TITLES,
    ExportsWritten,
    Pack,
    Plan,
    month_of_lines,
    rules_of,
    write_exports,
    zipped,
)
from capillary_adobe.demo.mix import Mix
from capillary_adobe.demo.past import write_past
from capillary_adobe.demo.surroundings import Surroundings
from capillary_adobe.history_importing import Imported
from capillary_adobe.history_place import import_place
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.landing import open_landing_store
from capillary_adobe.state import State

FIRST, DAYS, EVENTS = date(2026, 9, 1), 30, 1_500
PLAN = Plan(datetime(2026, 10, 1, 2, tzinfo=UTC), ZoneInfo("Asia/Kolkata"))
LIVE_FROM = datetime(2026, 10, 1, tzinfo=UTC)
PASSWORD = "made up for this test"
SHARED = {
    "transactionAdded": "transactionId",
    "pointsRedeemed": "redemptionSummaryId",
    "loyaltyCustomerMerge": "victimCustomerIdentifiers",
}


def with_password(path: Path, files: Mapping[str, bytes], _at: datetime) -> None:
    with pyzipper.AESZipFile(path, "w", pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PASSWORD.encode())
        for name, data in files.items():
            archive.writestr(name, data)


def lines(mix: Mix | None = None) -> Iterator[bytes]:
    return month_of_lines(FIRST, DAYS, EVENTS) if mix is None else month_of_lines(FIRST, DAYS, EVENTS, mix=mix)


class World:
    """A folder with exports, their rules, and what an import of it landed."""

    def __init__(self, folder: Path, plan: Plan, pack: Pack = zipped) -> None:
        self.exports, rules = folder / "exports", folder / "rules.yaml"
        self.written = write_exports(self.exports, lines(), plan, pack)
        rules.write_text(rules_of(plan, LIVE_FROM), "utf-8")
        self.landing_folder = folder / "landing"
        environment = {
            "INSIGHTS_ORG_ID": str(ORG_ID),
            "INSIGHTS_RULES": str(rules),
            "INSIGHTS_WORK_FOLDER": str(folder / "work"),
            "INSIGHTS_ZIP_PASSWORD": PASSWORD,
            "CAPILLARY_ORG_TIMEZONE": str(plan.zone),
            "HISTORY_START": "2026-08-01",
        }
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            setup = ImportSetup.read(
                open_landing_store(str(self.landing_folder)), State(f"sqlite:///{folder / 'state.db'}")
            )
            place = open_place(str(self.exports), setup.insights)
            self.outcomes = list(import_place(place, setup, lambda _: None))

    @property
    def imported(self) -> list[Imported]:
        """What became of each file, all of which were imported."""
        found = [outcome for outcome in self.outcomes if isinstance(outcome, Imported)]
        assert found == self.outcomes
        return found

    def landed(self) -> Iterator[dict[str, Any]]:
        """Every line of history."""
        for path in sorted(self.landing_folder.glob("history/*/*.jsonl.gz")):
            yield from map(orjson.loads, gzip.decompress(path.read_bytes()).splitlines())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> World:
    plan = replace(PLAN, renamed=True, broken=0.01, delimiter=";", parts=3, inflated=0.3)
    return World(tmp_path_factory.mktemp("usual"), plan, with_password)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write_exports(tmp_path / name, lines(), replace(PLAN, broken=0.01)) for name in ("one", "other"))
    assert [path.read_bytes() for path in one.files] == [path.read_bytes() for path in other.files]
    assert len(one.files) == 8
    another = write_exports(tmp_path / "another", lines(), replace(PLAN, broken=0.01, seed=2))
    assert [path.read_bytes() for path in one.files] != [path.read_bytes() for path in another.files]


def test_every_event_is_imported_on_its_day_and_nothing_else(usual: World) -> None:
    redeemed_twice = 2
    expected = Counter(usual.written.events)
    found: Counter[tuple[str, str]] = Counter()
    for imported in usual.imported:
        for day in imported.days:
            for event, count in day.by_event_type.items():
                found[day.day, event] += count
    for (day, event), count in expected.items():
        # A redemption stands in two templates, and is found to be one on the road.
        assert found[day, event] == count * (redeemed_twice if event == "pointsRedeemed" else 1), (day, event)
    assert sum(found.values()) == sum(expected.values()) + sum(
        count for (_, event), count in expected.items() if event == "pointsRedeemed"
    )
    assert {event for _, event in expected} == {
        "transactionAdded", "pointsIssued", "pointsRedeemed", "pointsExpired", "tierUpgraded", "tierDowngraded", "tierRenewed",
        "loyaltyCustomerMerge",
    }  # fmt: skip


def test_the_sums_are_those_of_the_webhooks(usual: World) -> None:
    written = sums(usual.written)
    imported: Counter[str] = Counter()
    for file in usual.imported:
        for name, total in file.totals.items():
            imported[name] += total  # type: ignore[assignment]
    assert imported["transactionAdded.amount"] == written["transactionAdded"]
    assert imported["pointsIssued.points"] == written["pointsIssued"]
    assert imported["pointsRedeemed.points"] == written["pointsRedeemed"] * 2
    assert imported["pointsExpired.points"] == written["pointsExpired"]
    assert written["pointsIssued"] == sum(
        Decimal(str(event["data"]["totalPointsIssued"])) for event in webhooks() if event["eventName"] == "pointsIssued"
    )


def test_repeated_rows_add_no_event_and_spoiled_ones_land_as_refused(usual: World) -> None:
    assert usual.written.repeated["points"] > 100
    assert usual.written.broken.total() > 10
    refused = Counter(code for file in usual.imported for code, count in file.quarantined.items() for _ in range(count))
    assert refused.total() == usual.written.broken.total()
    assert set(refused) == {"bad_number", "bad_moment", "customer_masked", "row_ragged"}
    assert sum(1 for line in usual.landed() if "refused" in line["export"]) == refused.total()
    assert sum(file.file.rows for file in usual.imported) == usual.written.rows.total()


def test_twins_have_one_name_and_say_the_same(usual: World) -> None:
    sent = {event["eventName"]: {} for event in webhooks()}
    for event in webhooks():
        if event["eventName"] in SHARED:
            sent[event["eventName"]][named(event)] = event["data"]
    exported = {name: set() for name in SHARED}
    for line in usual.landed():
        if line.get("eventName") in SHARED:
            exported[line["eventName"]].add(named(line))
            twin = sent[line["eventName"]][named(line)]
            for field in ("amount", "discount", "billNumber", "lineItemCount", "totalPointsRedeemed", "billType"):
                assert same(line["data"].get(field), twin.get(field)), field
    assert exported == {name: set(sent[name]) for name in SHARED}


def test_customers_stand_in_members_and_profiles(usual: World) -> None:
    customers = {event["data"]["customerIdentifiers"]["customerId"] for event in webhooks(with_person=True)}
    assert usual.written.rows["members"] == len(customers)
    balances = {
        event["data"]["customerIdentifiers"]["customerId"]: Decimal(str(event["data"]["programCurrentPoints"]))
        for event in webhooks()
        if event["eventName"] == "pointsIssued"
    }
    [path] = [path for path in usual.written.files if path.parent.name == "Members"]
    told = {int(row["event_user.user_id"]): row["loyalty_points"] for row in rows(path)}
    spenders = {
        event["data"]["customerIdentifiers"]["customerId"]
        for event in webhooks()
        if event["eventName"] == "pointsRedeemed"
    }
    assert {number: Decimal(told[number]) for number in balances if number not in spenders} == {
        number: points for number, points in balances.items() if number not in spenders
    }
    assert len(balances) > len(spenders)


def test_without_a_share_of_either_there_are_no_repeated_and_no_spoiled_rows(tmp_path: Path) -> None:
    written = write_exports(tmp_path, lines(), replace(PLAN, inflated=0.0))
    assert written.repeated.total() == written.broken.total() == 0
    assert list(rows(written.files[0]))


def sums(written: ExportsWritten) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for (_, event), total in written.sums.items():
        found[event] = found.get(event, Decimal(0)) + total
    return found


def webhooks(*, with_person: bool = False) -> Iterator[dict[str, Any]]:
    """The distinct sound events about one customer that exports can hold, or any about a customer."""
    seen = set()
    told = {"pointsIssued", "pointsExpired", "tierUpgraded", "tierDowngraded", "tierRenewed", *SHARED}
    for line in lines():
        try:
            envelope = unwrap(orjson.loads(line))
        except (orjson.JSONDecodeError, NotAnEvent):
            continue
        kind = shipped_catalogue().find(envelope.event_name)
        person = envelope.data.get("customerIdentifiers") or envelope.data.get("survivorCustomerIdentifiers")
        identity = (kind and kind.name, envelope.created_ms, orjson.dumps(person, option=orjson.OPT_SORT_KEYS))
        if kind is None or not person or type(person.get("customerId")) is not int or identity in seen:
            continue
        seen.add(identity)
        if (with_person and "customerIdentifiers" in envelope.data) or (not with_person and kind.name in told):
            yield {"eventName": kind.name, "data": envelope.data, "createdAt": envelope.created_ms}


def named(event: dict[str, Any]) -> str:
    name = event["data"][SHARED[event["eventName"]]]
    return str(name["customerId"] if isinstance(name, dict) else name)


def same(one: Any, other: Any) -> bool:
    blank = (None, "", [])
    if one in blank or other in blank:
        return (one in blank) and (other in blank)
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except ArithmeticError:
        return str(one) == str(other)


def rows(path: Path) -> Iterator[dict[str, str]]:
    with pyzipper.AESZipFile(path) as zipped:
        zipped.setpassword(PASSWORD.encode())
        for name in zipped.namelist():
            text = zipped.read(name).decode()
            yield from csv.DictReader(io.StringIO(text), delimiter=";" if ";" in text.split("\n", 1)[0] else ",")


def test_the_demos_past_is_made_once_and_ends_where_its_feed_begins(tmp_path: Path) -> None:
    around, today = Surroundings(tmp_path), date(2026, 11, 20)
    around.prepare()
    assert write_past(around, today)
    files = {path: path.read_bytes() for path in around.insights.rglob("*.zip")}
    assert {path.parent.name for path in files} == set(TITLES.values())
    assert around.settings["INSIGHTS_URL"] == str(around.insights)
    rules = InsightsRules.read(Path(around.settings["INSIGHTS_RULES"]), PLAN.zone)
    yesterday_ms = int(datetime(2026, 11, 19, tzinfo=UTC).timestamp() * 1000)
    assert rules.watermark("tierUpgraded") == yesterday_ms
    [tiers] = [path for path in files if path.parent.name == "Slab Change Log"]
    moments = [int(row["At"]) for row in rows(tiers)]
    assert max(moments) < yesterday_ms
    assert min(moments) >= yesterday_ms - 31 * 86_400_000
    assert not write_past(around, date(2026, 11, 21))
    assert {path: path.read_bytes() for path in around.insights.rglob("*.zip")} == files


def test_without_a_past_the_demo_looks_for_no_exports(tmp_path: Path) -> None:
    settings = Surroundings(tmp_path, past=False).settings
    assert not [name for name in settings if name.startswith("INSIGHTS_")]
