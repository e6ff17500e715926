"""An export that is imported once more: the same, changed, under other rules, after a kill, by two at once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from capillary_adobe.history_importing import HistoryImportError
from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.landing.store import LandingError
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import Customers, HistoryDays
from capillary_adobe_tests.forked import Forked
from capillary_adobe_tests.history_imports import BILLS, MEMBERS, ORG, TIERS, Importer, bill, csv, tier, zipped


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def test_a_file_is_imported_once_whatever_it_is_called(importer: Importer) -> None:
    content = csv(BILLS, bill(1))
    first = importer.import_("bills.csv", content)
    before = importer.landed()
    again = importer.import_("copy.csv", content)
    assert (first.already, again.already) == (False, True)
    assert (again.events, again.file.name) == (1, "bills.csv")
    assert importer.landed() == before


def test_a_changed_file_is_a_version_of_its_own_and_says_which_it_follows(importer: Importer) -> None:
    first = importer.import_("bills.csv", csv(BILLS, bill(1)))
    second = importer.import_("bills.csv", csv(BILLS, bill(1), bill(2)))
    assert first.follows is None
    assert second.follows == first.file.version
    assert len(importer.landed()) == 2


def test_objects_of_an_import_under_other_rules_are_not_landed_beside(importer: Importer) -> None:
    rows = [bill(1, amount="1.500"), bill(2, "2026-09-02", amount="1.500")]
    content = csv(BILLS, *[row.replace("5.25", "5") for row in rows])
    done = importer.import_("bills.csv", content)
    importer.rules = "form: {decimal: ','}"
    with pytest.raises(HistoryImportError, match=r"such as history/2026-09-01/.*Move all objects history/\*/"):
        importer.import_("bills.csv", content, again=True)
    for key in importer.landed():
        (importer.root / "landing" / key).unlink()
    again = importer.import_("bills.csv", content, again=True)
    assert done.totals == {"transactionAdded.amount": Decimal("3.000")}
    assert again.totals == {"transactionAdded.amount": Decimal(3000)}
    assert importer.files.days(done.file.version) == again.days


def test_an_import_again_that_finds_its_own_objects_only_adds(importer: Importer) -> None:
    importer.start = date(2026, 9, 1)
    content = csv(BILLS, bill(1, "2026-08-31"), bill(2, "2026-09-01"))
    importer.import_("bills.csv", content)
    before = importer.landed()
    importer.start = date(2026, 1, 1)
    assert importer.import_("bills.csv", content, again=True).events == 2
    assert before.items() < importer.landed().items()


def test_an_import_again_that_stops_half_way_is_not_done(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    importer.start = date(2026, 9, 1)
    content = csv(BILLS, bill(1, "2026-08-31"), bill(2, "2026-09-01"))
    importer.import_("bills.csv", content)
    importer.start = date(2026, 1, 1)

    def stop(*_: object) -> None:
        raise LandingError("The landing store cannot be written.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalLandingStore, "write", stop)
        with pytest.raises(LandingError):
            importer.import_("bills.csv", content, again=True)
    repeated = importer.import_("bills.csv", content)
    assert not repeated.already
    assert len(importer.landed()) == 2


_A_PROCESS = """
import os, signal, sys
from pathlib import Path
from capillary_adobe import history_importing
from capillary_adobe_tests.forked import Forked
from capillary_adobe_tests.history_imports import Importer
root, name, deadly, times = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
history_importing._OBJECTS_A_WORD = 1
class Said(list):
    def append(self, words):
        super().append(words)
        if deadly and sum(deadly in one for one in self) == times:
            os.kill(os.getpid(), signal.SIGKILL)
importer = Importer(root)
importer.said = Said()
found = importer.put(name, (importer.arrived / name).read_bytes())
print("already" if importer.take(found).already else "imported")
"""


def start(importer: Importer, name: str, deadly: str = "", times: int = 1) -> Forked:
    return Forked(_A_PROCESS, str(importer.root), name, deadly, str(times))


def everything() -> bytes:
    """A file with all that an import does, over several days."""
    bills = [bill(number, f"2026-09-{number % 5 + 1:02}", item=item) for number in range(1, 30) for item in (1, 2)]
    tiers = [tier(number, f"2026-09-{number % 5 + 1:02}", customer=number) for number in range(1, 9)]
    return zipped(
        bills=csv(BILLS, *bills, bill(99, amount="x"), "torn"),
        tiers=csv(TIERS, *tiers),
        members=csv(MEMBERS, *[f"{number},Ada,5,9,3" for number in range(1, 9)]),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Importer:
    importer = Importer(tmp_path_factory.mktemp("undisturbed"))
    importer.import_("all.zip", everything())
    return importer


@pytest.mark.parametrize(
    ("deadly", "times"),
    [("sorting", 1), ("facts", 1), ("landed", 6), ("11 of 11 objects", 1)],
)
def test_whoever_is_killed_on_the_way_and_begins_anew_lands_the_same(
    importer: Importer, undisturbed: Importer, deadly: str, times: int
) -> None:
    importer.put("all.zip", everything())
    assert start(importer, "all.zip", deadly, times).wait() == -9
    assert all(file.done_ms is None for file in importer.files.all())
    assert any(importer.work.glob("import-*"))
    # On another day: the one on which it first began counts.
    importer.now += 3 * 86_400
    done = importer.import_("all.zip", everything())
    assert not done.already
    assert importer.landed() == undisturbed.landed()
    assert importer.files.days() == undisturbed.files.days()
    assert list(importer.work.glob("import-*")) == []
    keys = [CustomerKey(ORG, number) for number in range(1, 9)]
    assert Customers(importer.state).documents(keys) == Customers(undisturbed.state).documents(keys)
    days = [(day.day, day.events) for day in HistoryDays(importer.state).all()]
    assert days == [(day.day, day.events) for day in HistoryDays(undisturbed.state).all()]


def test_of_two_imports_of_a_file_at_once_one_waits_and_does_nothing(importer: Importer, undisturbed: Importer) -> None:
    importer.put("all.zip", everything())
    importer.put("copy.zip", everything())
    # The tables are there, so that both are at the same work at the same time.
    importer.files.all()
    both = [start(importer, "all.zip"), start(importer, "copy.zip")]
    told = sorted(process.end().strip() for process in both)
    assert told == ["already", "imported"]
    assert importer.landed().keys() == undisturbed.landed().keys()
    assert len(importer.files.all()) == 1
