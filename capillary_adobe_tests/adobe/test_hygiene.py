"""Work orders: posted once, followed, and refused in plain words, against the emulator and a scripted Platform API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from capillary_adobe.adobe.errors import DeliveryError, TransientDeliveryError
from capillary_adobe.adobe.hygiene import Hygiene, OrderAtAep, is_over, work_order
from capillary_adobe.adobe.platform import Platform, Refused
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe_tests.adobe.platform_server import ScriptedPlatform, hang_up, says
from capillary_adobe_tests.adobe.sending import settings_for

ORDER = work_order("order 1 of today", "Two customers.", "capillaryCustomerId", ["1", "2"], "ALL", "delete_identity")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    behaviour = Behaviour(work_order_seconds=0.3)
    with RunningEmulator(tmp_path_factory.mktemp("aep") / "store", behaviour=behaviour) as running:
        yield running


@pytest.fixture
def hygiene(emulator: RunningEmulator) -> Hygiene:
    settings = settings_for(emulator.environment)
    return Hygiene(Platform(settings, AccessToken(settings)))


def test_an_order_is_taken_once_and_followed_to_its_end(hygiene: Hygiene) -> None:
    taken = hygiene.post(ORDER)
    assert taken.status == "received"
    assert not is_over(taken.status)
    assert hygiene.post(ORDER).aep_id == taken.aep_id
    assert hygiene.post({**ORDER, "displayName": "order 2 of today"}).aep_id != taken.aep_id
    while not is_over((found := hygiene.look(taken.aep_id)).status):
        pass
    assert found == OrderAtAep(taken.aep_id, "completed")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"action": "erase"}, "action"),
        ({"datasetId": "some"}, "datasetId"),
        ({"namespacesIdentities": []}, "namespacesIdentities"),
        ({"namespacesIdentities": [{"namespace": {"code": "nobody"}, "IDs": ["1"]}]}, "nobody"),
        ({"namespacesIdentities": [{"namespace": {"code": "Email"}, "IDs": [1]}]}, "IDs"),
        ({"namespacesIdentities": [{"namespace": {"code": "Email"}, "IDs": ["1"] * 100_001}]}, "100001"),
    ],
)
def test_aep_refuses_what_is_wrong(hygiene: Hygiene, change: dict[str, object], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        hygiene.post({**ORDER, "displayName": f"wrong {words}", **change})
    assert "Data Hygiene" in str(refused.value)


def test_an_order_that_aep_does_not_know_is_told(hygiene: Hygiene) -> None:
    with pytest.raises(DeliveryError, match="404"):
        hygiene.look("DI-none")


def test_where_the_answer_was_lost_the_order_is_found_and_not_posted_again() -> None:
    known = {"workorderId": "DI-7", "status": "validated", "displayName": ORDER["displayName"]}
    other = {"workorderId": "DI-6", "status": "validated", "displayName": f"{ORDER['displayName']}1"}
    with ScriptedPlatform() as platform:
        hygiene = Hygiene(platform.client())
        platform.follow(says({"results": []}), hang_up)
        with pytest.raises(TransientDeliveryError):
            hygiene.post(ORDER)
        platform.follow(says({"results": [other, known]}))
        assert hygiene.post(ORDER) == OrderAtAep("DI-7", "validated")
        assert platform.methods() == ["GET"]


def test_an_answer_of_another_form_is_told() -> None:
    with ScriptedPlatform() as platform:
        platform.follow(says({"unexpected": True}))
        with pytest.raises(TransientDeliveryError, match="without workorderId"):
            Hygiene(platform.client()).look("DI-7")
