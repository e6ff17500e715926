"""A batch from its creation to AEP's verdict, and the verdict on streamed entities, against the emulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from capillary_adobe.adobe.batch_api import BatchApi
from capillary_adobe.adobe.catalog import Batch, Catalog, Stage
from capillary_adobe.adobe.data_access import DataAccess
from capillary_adobe.adobe.errors import PermanentDeliveryError
from capillary_adobe.adobe.platform import Platform, Refused
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe_tests.adobe.sending import settings_for
from capillary_adobe_tests.emulators.client import Client, event
from capillary_adobe_tests.emulators.platform_client import eventually, good, lines

BATCHES = "/data/foundation/import/batches"


@dataclass
class Road:
    """The three clients of one emulator."""

    emulator: RunningEmulator
    settings: AdobeSettings

    def __post_init__(self) -> None:
        self.platform = Platform(self.settings, AccessToken(self.settings))
        self.api = BatchApi(self.platform, self.settings)
        self.catalog = Catalog(self.platform)
        self.access = DataAccess(self.platform)
        self.dataset = self.settings.events_dataset_id

    def created(self) -> list[Batch]:
        """Every batch that the emulator has under the external id of these tests."""
        body = self.platform.call("GET", "/data/foundation/catalog/batches").json()
        return [one for key in body if (one := self.catalog.batch(key)) is not None]

    def final(self, batch_id: str) -> Batch:
        """The batch once it has its verdict."""

        def look() -> Batch | None:
            batch = self.catalog.batch(batch_id)
            return batch if batch is not None and batch.stage not in {Stage.OPEN, Stage.PENDING} else None

        return eventually(look)


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    behaviour = Behaviour(batch_seconds=0.05, validation_seconds=0.05, records_per_file=2)
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator:
        more = {"retry_budget_seconds": 5, "batch_put_bytes": 2000, "batch_part_bytes": 700}
        yield Road(emulator, settings_for(emulator.environment, **more))


def test_a_batch_with_bad_rows_is_ingested_without_them(road: Road, tmp_path: Path) -> None:
    batch_id = road.api.create("ours-1", road.dataset)
    found = road.catalog.find(road.dataset, "ours-1")
    assert found is not None
    assert (found.batch_id, found.stage) == (batch_id, Stage.OPEN)
    file = tmp_path / "0.json"
    untimed = {key: value for key, value in good("e-bad").items() if key != "timestamp"}
    file.write_bytes(lines(*(good(f"e-{n}") for n in range(60)), untimed, b'{"_id":"e-cut","a":'))
    road.api.upload(batch_id, road.dataset, "0.json", file)
    road.api.complete(batch_id)
    road.api.complete(batch_id)
    batch = road.final(batch_id)
    assert (batch.stage, batch.failed_records) == (Stage.GOOD, 2)
    assert {code for code, _, _ in batch.errors} >= {"INGEST-1212-400"}
    records = {record.entity_id: record for record in road.access.row_errors(batch_id)}
    assert records.keys() == {"e-bad", "e-cut"}
    assert records["e-bad"].causes[0].code == "1555"
    assert records["e-bad"].entity is not None
    assert records["e-cut"].causes[0].code == "1401"


def test_a_batch_without_faults_has_no_diagnostics(road: Road, tmp_path: Path) -> None:
    batch_id = road.api.create("ours-1", road.dataset)
    file = tmp_path / "0.json"
    file.write_bytes(lines(good()))
    road.api.upload(batch_id, road.dataset, "0.json", file)
    road.api.complete(batch_id)
    assert road.final(batch_id).stage is Stage.GOOD
    assert list(road.access.row_errors(batch_id)) == []


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "html"])
def test_a_lost_answer_to_a_creation_leaves_one_batch(road: Road, kind: str) -> None:
    road.emulator.faults.add(kind=kind, path=BATCHES, method="POST")
    batch_id = road.api.create("ours-1", road.dataset)
    assert [one.batch_id for one in road.created()] == [batch_id]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "status", "html"])
@pytest.mark.parametrize("size", [1, 40])
def test_no_fault_of_an_upload_loses_or_repeats_a_row(road: Road, tmp_path: Path, kind: str, size: int) -> None:
    batch_id = road.api.create("ours-1", road.dataset)
    file = tmp_path / "0.json"
    file.write_bytes(lines(*(good(f"e-{n}") for n in range(size))))
    for skip in (0, 2, 4):
        road.emulator.faults.add(
            kind=kind, path=f"{BATCHES}/{batch_id}/datasets", skip=skip, headers={"Retry-After": "0"}
        )
    road.api.upload(batch_id, road.dataset, "0.json", file)
    road.api.complete(batch_id)
    batch = road.final(batch_id)
    assert (batch.stage, batch.failed_records) == (Stage.GOOD, 0)
    arrived = requests.get(f"{road.emulator.base_url}/summary.json", timeout=10).json()
    assert (arrived["distinct"], arrived["duplicates"]) == (size, 0)


def test_a_batch_is_given_up_once_and_for_all(road: Road) -> None:
    batch_id = road.api.create("ours-1", road.dataset)
    road.api.abort(batch_id)
    road.api.abort(batch_id)
    assert road.final(batch_id).stage is Stage.GONE
    with pytest.raises(Refused):
        road.api.complete(batch_id)


def test_a_token_that_ends_midway_is_replaced(road: Road) -> None:
    road.emulator.faults.add(kind="revoke_token", path=BATCHES)
    road.api.abort(road.api.create("ours-1", road.dataset))


def test_batches_that_are_not_there(road: Road) -> None:
    assert road.catalog.batch("01NOTTHERE") is None
    assert list(road.access.row_errors("01NOTTHERE")) == []
    with pytest.raises(PermanentDeliveryError):
        road.api.create("ours-1", "5c8c3c555033b814b69f947f")


@pytest.mark.parametrize("validation_errors_key", [False, True])
def test_the_verdict_on_streamed_entities_is_read(tmp_path: Path, validation_errors_key: bool) -> None:
    behaviour = Behaviour(
        validation_seconds=0.05, records_per_file=2, validation_errors_key=validation_errors_key, synonyms=True
    )
    began = time.time_ns() // 1_000_000 - 1
    with RunningEmulator(tmp_path / "aep", behaviour=behaviour) as emulator, requests.Session() as session:
        road = Road(emulator, settings_for(emulator.environment))
        client = Client(emulator, session)
        # Without an identity, which the schema of the demo demands.
        client.send_many(*(event(emulator.tenant, f"e-{n}") for n in range(5)))
        eventually(lambda: sum(one.failed_records or 0 for one in road.catalog.failed(road.dataset, began)) == 5)
        batches = list(road.catalog.failed(road.dataset, began))
        assert {one.stage for one in batches} == {Stage.BAD}
        records = [record for one in batches for record in road.access.failed_records(one.batch_id)]
    assert sorted(str(record.entity_id) for record in records) == [f"e-{n}" for n in range(5)]
    assert all(record.causes and record.entity for record in records)
    assert {cause.code for record in records for cause in record.causes} == {"required"}
