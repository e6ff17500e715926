"""Profiles before AEP's own validation, the emulator's, over HTTP: what we render is taken, by either road."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.settings.customers import IdentitySettings, ProfileSettings
from capillary_adobe.xdm.profiles import ProfileStage
from capillary_adobe_tests.emulators.client import Client
from capillary_adobe_tests.emulators.platform_client import Platform
from capillary_adobe_tests.xdm.documents import FULL, document
from capillary_adobe_tests.xdm.judging import key_of, refused_in_batch, streamed

ODD: list[Any] = [
    *("", " ", "null", None, True, -1, 0.5, 2**62, 10**15, "é *", "n/a", "12/31/2026", "2026-02-30", "y", "X" * 300),
    *([], {}, [{"points": "1e3", "date": "x"}], {"series": "", "status": None}, "a@b", "jane@host-.com"),
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    behaviour = Behaviour(batch_seconds=0, validation_seconds=0.5)
    with RunningEmulator(tmp_path_factory.mktemp("profiles"), behaviour=behaviour) as started:
        yield started


def records(tenant_id: str) -> list[dict[str, Any]]:
    """A record for every field of a full document in every odd form, and of what becomes of customers."""
    stage = ProfileStage(
        TenantSettings(tenant_id=tenant_id), CapillarySettings(), IdentitySettings(card="plain"), ProfileSettings()
    )
    documents = [document(), document({"program.5.points": 1}), document({**FULL, "merged_into": 9, "merged.3": True})]
    documents.append(document(FULL | {f"merged.{n}": True for n in range(1, 40)}))
    documents += [document({**FULL, name: odd}) for name in FULL for odd in ODD]
    made = [stage.render(CustomerKey(100458, number), one) for number, one in enumerate(documents, start=1)]
    assert [one for one in made if one.violations] == []
    return [orjson.loads(one.text) for one in made]


def test_aep_takes_every_profile_by_either_road(emulator: RunningEmulator) -> None:
    every = records(emulator.environment["ADOBE_TENANT_ID"])
    with requests.Session() as session:
        platform = Platform(Client(emulator, session))
        reports = streamed(platform, (("profiles", one) for one in every))
        assert (reports.at_once, reports.later) == (set(), {})
        # A broken one beside them shows that the judge is awake.
        broken = every[0] | {"preferredLanguage": 7}
        assert len(streamed(platform, [("profiles", broken)]).later) == 1
        assert refused_in_batch(platform, "profiles", [*every, broken]) == {key_of("profiles", broken)}


def test_the_odd_forms_are_many() -> None:
    assert len(records("acme")) > 900
