"""The import of a place: gone through to its end, past files that fail, wait or are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from capillary_adobe.capillary.insights.places import PlaceUnavailable, open_place
from capillary_adobe.history_importing import Imported
from capillary_adobe.history_place import NotImported, import_place
from capillary_adobe_tests.history_imports import BILLS, NOW, Importer, bill, csv


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def test_a_file_that_has_grown_since_it_was_found_waits(importer: Importer) -> None:
    found = importer.put("bills.csv", csv(BILLS, bill(1)))
    importer.put("bills.csv", csv(BILLS, bill(1), bill(2)))
    with pytest.raises(PlaceUnavailable, match=r"bills\.csv .* is still being written"):
        importer.take(found)
    assert importer.files.all() == []


def test_a_file_that_is_named_is_taken_though_its_clock_goes_ahead(importer: Importer) -> None:
    importer.put("bills.csv", csv(BILLS, bill(1)), changed=NOW + 3600)
    setup = importer.setup
    (told,) = import_place(open_place(str(importer.arrived), setup.insights), setup, importer.said.append)
    assert isinstance(told, Imported)


def test_a_place_goes_on_after_a_file_that_fails(importer: Importer) -> None:
    importer.put("a.csv", b"what,is,this\n1,2,3\n")
    importer.put("b.zip", b"PK\x03\x04 cut short")
    importer.put("c/bills.csv", csv(BILLS, bill(1)))
    importer.put("d footfall.csv", b"store,people\n1,2\n")
    importer.put("new.csv", csv(BILLS, bill(2)), changed=NOW)
    importer.rules = 'ignore: ["*footfall*"]'
    importer.settings = {}
    setup = importer.setup
    waits = setup.insights.model_copy(update={"settle_seconds": 60.0})
    setup = type(setup)(**{**vars(setup), "insights": waits})
    place = open_place(str(importer.arrived), setup.insights)

    def told() -> list[str]:
        return [
            f"{one.file.name} {one.events}" if isinstance(one, Imported) else f"{one.name} {one.error or one.reason}"
            for one in import_place(place, setup, importer.said.append)
        ]

    first, second, third, fourth, fifth = told()
    assert first.startswith("a.csv The template of a.csv cannot be told")
    assert second.startswith("b.zip ")
    assert third == "c/bills.csv 1"
    assert fourth == "d footfall.csv ignored by the rules file"
    assert fifth.startswith("new.csv changed within")
    assert told()[2] == "c/bills.csv imported before"


def test_a_failing_file_is_told_apart_from_one_that_is_left(importer: Importer) -> None:
    assert NotImported("a", error="why").as_dict() == {"file": "a", "error": "why"}
    assert NotImported("a", reason="old").as_dict() == {"file": "a", "left_alone": "old"}
