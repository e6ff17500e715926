"""Set-up on an empty sandbox: everything once, nothing twice, each sandbox for itself, the settings before the record."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from capillary_adobe.adobe.errors import PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.adobe.setup import Action, SetupError
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.settings import RECORDED, IdentitySettings, load
from capillary_adobe.state import EnvironmentRecord, State
from capillary_adobe.xdm.building_blocks import CLASSES, FIELD_GROUPS
from capillary_adobe.xdm.identities import namespaces_in_use
from capillary_adobe_tests.adobe.setup.place import COUNT, EVERYTHING, Place, actions

JSON_PATCH = "application/json-patch+json"
REGISTRY = "foundation/schemaregistry/tenant"
PATHS = {
    "field group": (f"{REGISTRY}/fieldgroups", "title", "$id"),
    "schema": (f"{REGISTRY}/schemas", "title", "$id"),
    "dataset": ("foundation/catalog/dataSets", "name", "id"),
    "dataflow": ("foundation/flowservice/flows", "name", "id"),
}
MADE_OF = (
    *("type", "title", "definitions", "allOf", "meta:intendedToExtend"),
    *("name", "schemaRef", "flowSpec", "sourceConnectionIds", "targetConnectionIds"),
)
REST = ("field_group_id", "source_connection_id", "target_connection_id")


def test_a_plan_changes_nothing(place: Place) -> None:
    place.watch_changes()

    plan = place.setup().plan()

    assert actions(plan) == {"create": COUNT}
    assert len(plan.changes) == len(plan.differences) == COUNT
    assert (place.changing_calls(), place.counts(), place.recorded()) == (0, {}, {})


def test_everything_is_made_once_and_a_second_run_changes_nothing(place: Place) -> None:
    first = place.apply()

    assert actions(first) == {"create": COUNT}
    assert all(step.id for step in first.steps)
    assert place.counts() == EVERYTHING
    assert len(place.told) == COUNT
    before, recorded = place.objects(), place.recorded()
    place.watch_changes()

    second = place.apply()

    assert actions(second) == {"exists": COUNT}
    assert (place.changing_calls(), second.differences) == (0, [])
    assert (place.objects(), place.recorded()) == (before, recorded)
    assert len(place.told) == COUNT


def test_what_is_made_is_what_delivery_needs(place: Place) -> None:
    place.apply()
    made, recorded = place.objects(), place.recorded()

    schemas = {one["title"]: one for one in made["schema"]}
    for kind in ("events", "profiles"):
        schema = schemas[f"Capillary {kind}"]
        references = [one["$ref"] for one in schema["allOf"]]
        assert references[0] == CLASSES[kind].id
        assert set(references[1:]) == {
            *(group.id for group in FIELD_GROUPS[kind]),
            recorded[f"{kind}_field_group_id"],
        }
        assert "union" not in schema.get("meta:immutableTags", [])
    datasets = {one["name"]: one for one in made["dataset"]}
    assert {name: one["schemaRef"]["id"] for name, one in datasets.items()} == {
        title: schema["$id"] for title, schema in schemas.items()
    }
    assert all("unifiedProfile" not in one.get("tags", {}) for one in datasets.values())
    (descriptor,) = made["identity descriptor"]
    assert descriptor["xdm:sourceProperty"] == "/_demo/capillary/customerId"
    assert descriptor["xdm:isPrimary"] is False
    (connection,) = made["streaming connection"]
    parameters = connection["auth"]["params"]
    assert (parameters["authenticationRequired"], parameters["dataType"]) == (True, "xdm")
    assert recorded["inlet_url"] == parameters["inletUrl"]
    assert {one["idType"] for one in made["namespace"]} == {"CROSS_DEVICE"}


def test_the_card_namespace_is_made_when_asked_for_and_looked_at_from_then_on(place: Place) -> None:
    place.apply(card=True)

    assert {one["code"] for one in place.objects()["namespace"]} == {
        "capillaryCustomerId",
        "capillaryExternalId",
        "capillaryCardNumber",
    }
    assert "capillaryCardNumber" in [step.name for step in place.setup().plan().steps]


def test_namespaces_of_identities_in_use_are_made_or_demanded(place: Place) -> None:
    policy = load(IdentitySettings, email="sha256", phone="sha256", external_id="sha256", card="sha256")
    place.apply(namespaces=namespaces_in_use(policy))

    # Adobe's own for hashed contacts are there in every organisation.
    own = {"capillaryCustomerId", "capillaryExternalId", "capillaryExternalIdSHA256", "capillaryCardNumberSHA256"}
    made = place.objects()["namespace"]
    assert {one["code"] for one in made} == own
    assert "Capillary card number (SHA256)" in {one["name"] for one in made}
    names = [step.name for step in place.setup(namespaces=namespaces_in_use(policy)).plan().steps]
    assert {"Email_LC_SHA256", "Phone_SHA256_E.164"} < set(names)
    place.apply(namespaces=namespaces_in_use(load(IdentitySettings, card="plain")))
    assert {one["code"] for one in place.objects()["namespace"]} == own | {"capillaryCardNumber"}


def test_a_namespace_of_hashed_contacts_that_adobe_calls_otherwise_needs_a_person(place: Place) -> None:
    policy = load(IdentitySettings, email="sha256", email_sha256_namespace="Email_Hash")
    (blocked,) = place.setup(namespaces=namespaces_in_use(policy)).plan().blocked
    assert blocked.name == "Email_Hash"
    assert "IDENTITY_EMAIL_SHA256_NAMESPACE" in blocked.detail
    of_ours = load(IdentitySettings, email="sha256", email_sha256_namespace="emailHash")
    assert not place.setup(namespaces=namespaces_in_use(of_ours)).plan().blocked


def test_two_sandboxes_share_nothing(place: Place) -> None:
    place.apply()
    other = replace(place, sandbox="prod")

    assert other.counts() == {}
    other.apply()

    assert other.counts() == place.counts() == EVERYTHING
    assert other.recorded()["events_dataset_id"] != place.recorded()["events_dataset_id"]
    assert actions(place.setup().plan()) == actions(other.setup().plan()) == {"exists": COUNT}


def test_another_name_makes_objects_of_its_own(place: Place) -> None:
    place.apply()
    place.apply(name="Second brand")

    twice = {kind: 2 * count for kind, count in EVERYTHING.items()}
    assert place.counts() == twice | {"namespace": 2}


def test_an_object_that_was_given_another_name_is_still_ours(place: Place) -> None:
    place.apply()
    dataset = place.recorded()["events_dataset_id"]
    operation = [{"op": "replace", "path": "/name", "value": "Renamed by hand"}]
    place.call(
        "PATCH",
        f"foundation/catalog/dataSets/{dataset}",
        json=operation,
        headers={"Content-Type": JSON_PATCH},
    )

    assert actions(place.setup().plan()) == {"exists": COUNT}


@pytest.mark.parametrize("kind", ["field group", "schema", "dataset", "dataflow"])
def test_a_namesake_does_not_take_the_place_of_what_was_given_another_name(place: Place, kind: str) -> None:
    place.apply()
    recorded = place.recorded()
    path, name, id_ = PATHS[kind]
    ours = place.objects()[kind][0]
    operation = {"op": "replace", "path": f"/{name}", "value": "Renamed by hand"}
    headers = {
        "If-Match": ours.get("etag", ""),
        "Content-Type": JSON_PATCH if kind == "dataset" else "application/json",
    }
    place.call("PATCH", f"{path}/{quote(ours[id_], safe='')}", json=[operation], headers=headers)
    place.call("POST", path, json={key: ours[key] for key in MADE_OF if key in ours})

    done = place.apply()

    assert (actions(done), place.recorded()) == ({"exists": COUNT}, recorded)


def test_enabling_for_profile_means_what_is_given_too(place: Place) -> None:
    place.apply()
    ids = ("events_schema_id", "events_dataset_id")
    given = {name: place.recorded()[name] for name in ids}

    place.apply(given, enable_profile=True)

    made = place.objects()
    assert all("union" in one["meta:immutableTags"] for one in made["schema"])
    assert all(one["tags"]["unifiedProfile"] == ["enabled:true"] for one in made["dataset"])


def test_what_a_setting_names_is_taken_as_given_and_the_rest_is_made(place: Place) -> None:
    place.apply()
    ours = place.recorded()
    ids = ("events_schema_id", "events_dataset_id", "events_flow_id", "inlet_url")

    done = place.apply({name: ours[name] for name in ids}, name="Second brand")

    assert {step.key: step.id for step in done.steps if step.action is Action.GIVEN} == {
        "events_schema_id": ours["events_schema_id"],
        "events_dataset_id": ours["events_dataset_id"],
        "base_connection_id": ours["base_connection_id"],
        "events_flow_id": ours["events_flow_id"],
    }
    made = {step.key for step in done.steps if step.action is Action.CREATE}
    assert made == {f"profiles_{key}" for key in (*REST, "schema_id", "dataset_id", "flow_id")}
    assert done.differences == []
    # What is given stands in the environment; the record keeps what set-up made.
    assert not set(ids) & set(place.recorded())
    assert place.recorded()["profiles_dataset_id"] != ours["profiles_dataset_id"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"events_schema_id": "https://ns.adobe.com/demo/schemas/none"}, "ADOBE_EVENTS_SCHEMA_ID names no schema"),
        ({"events_dataset_id": "5c8c3c555033b814b69f947f"}, "ADOBE_EVENTS_DATASET_ID names no dataset"),
        ({"profiles_flow_id": "de30f106-0000-4000-8000-00000000000f"}, "ADOBE_PROFILES_FLOW_ID names no dataflow"),
        ({"inlet_url": "https://dcs.adobedc.net/collection/abc"}, "the inlet of ADOBE_INLET_URL"),
        ({"tenant_id": "acme"}, "ADOBE_TENANT_ID is not the tenant id of ADOBE_ORG_ID, which is demo"),
    ],
)
def test_a_setting_that_names_nothing_stops_set_up(place: Place, given: dict[str, str], words: str) -> None:
    with pytest.raises(SetupError, match=re.escape(words)):
        place.apply(given)

    assert place.counts() == {}


def test_a_dataset_of_another_schema_is_given_together_with_it(place: Place) -> None:
    place.apply()
    profiles = place.recorded()["profiles_dataset_id"]

    with pytest.raises(SetupError, match="Set ADOBE_EVENTS_SCHEMA_ID to that one"):
        place.apply({"events_dataset_id": profiles})


def test_two_datasets_of_one_name_are_for_a_person_to_choose_from(place: Place) -> None:
    place.apply()
    first = place.recorded()["events_dataset_id"]
    body = {
        "name": "Capillary events",
        "schemaRef": {
            "id": place.recorded()["events_schema_id"],
            "contentType": "application/vnd.adobe.xed-full+json;version=1",
        },
    }
    second = place.call("POST", "foundation/catalog/dataSets", json=body).json()[0].rpartition("/")[2]
    # The record knows which one is ours; another installation does not.
    assert actions(place.setup().plan()) == {"exists": COUNT}
    EnvironmentRecord(place.state, place.credential().org_id, "demo").write({"setup_name": "forgotten"})

    with pytest.raises(SetupError, match="2 datasets have this name") as found:
        place.apply()

    assert first in str(found.value)
    assert second in str(found.value)
    assert "ADOBE_EVENTS_DATASET_ID" in str(found.value)
    assert place.apply({"events_dataset_id": first}).blocked == ()


def test_a_connection_that_lets_anybody_send_is_not_used(place: Place) -> None:
    params = {"sourceId": "open", "dataType": "xdm", "name": "open", "authenticationRequired": False}
    body = {
        "name": "Capillary inlet",
        "connectionSpec": {"id": "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", "version": "1.0"},
        "auth": {"specName": "Streaming Connection", "params": params},
    }
    place.call("POST", "foundation/flowservice/connections", json=body)

    with pytest.raises(SetupError, match="takes messages without a token"):
        place.apply()

    assert place.counts() == {"streaming connection": 1}


def test_a_namespace_of_another_type_stops_set_up(place: Place) -> None:
    body = {"name": "taken", "code": "capillaryCustomerId", "idType": "COOKIE"}
    place.call("POST", "core/idnamespace/identities", json=body)

    with pytest.raises(SetupError, match="of type COOKIE and must be a cross-device id"):
        place.apply()


def test_a_namespace_that_differs_in_case_stops_set_up(place: Place) -> None:
    body = {"name": "taken", "code": "capillarycustomerid", "idType": "CROSS_DEVICE"}
    place.call("POST", "core/idnamespace/identities", json=body)

    with pytest.raises(SetupError, match="a namespace capillarycustomerid, which differs in letter case only"):
        place.apply()


def test_a_wrong_secret_is_told_in_one_sentence(place: Place) -> None:
    with pytest.raises(PermanentDeliveryError, match="Check ADOBE_CLIENT_ID and ADOBE_CLIENT_SECRET") as found:
        place.apply(client_secret="hush-hush")

    assert "hush-hush" not in str(found.value)


def test_an_identity_service_that_does_not_answer_is_told_without_a_word_of_entities(place: Place) -> None:
    with pytest.raises(TransientDeliveryError, match=r"ADOBE_IMS_URL=http://127\.0\.0\.1:9 cannot be reached") as found:
        place.setup(ims_url="http://127.0.0.1:9").plan()

    assert "entities" not in str(found.value)
    assert str(found.value).endswith("Run `capillary-adobe setup` again when it answers: it goes on where it stopped.")


def test_an_unknown_sandbox_is_told_in_one_sentence(place: Place) -> None:
    with pytest.raises(SetupError, match="the sandbox ADOBE_SANDBOX_NAME=nowhere does not exist"):
        place.apply(sandbox_name="nowhere")


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/data/core/idnamespace", "Manage Identity Namespaces"),
        ("/data/foundation/schemaregistry/tenant/fieldgroups", "Manage Schemas"),
        ("/data/foundation/catalog", "Manage Datasets"),
        ("/data/foundation/flowservice", "Manage Sources"),
    ],
)
def test_a_missing_permission_is_named(place: Place, path: str, right: str) -> None:
    place.emulator.faults.add(kind="status", status=403, path=path, method="POST", times=None, body={"message": "No"})

    with pytest.raises(SetupError, match=f"a permission is missing.*{right}"):
        place.apply()


@pytest.mark.parametrize(
    ("code", "cure"), [("403025", "product profile"), ("403027", "product profile"), ("403003", "ADOBE_CLIENT_ID")]
)
def test_a_credential_that_is_not_let_in_is_told_apart(place: Place, code: str, cure: str) -> None:
    body = {"error_code": code, "message": "Not valid"}
    place.emulator.faults.add(kind="status", status=403, path="/data/", times=None, body=body)

    with pytest.raises(SetupError, match=cure):
        place.setup().plan()


def test_where_everything_is_given_there_is_nothing_to_do(tmp_path: Path, state: State) -> None:
    with RunningEmulator(tmp_path / "aep") as emulator:
        place = Place(emulator, state)
        named = {name.removeprefix("ADOBE_").lower(): value for name, value in emulator.environment.items()}
        place.watch_changes()

        plan = place.apply({name: value for name, value in named.items() if name in RECORDED})

        assert (plan.changes, plan.blocked, place.changing_calls()) == ((), (), 0)
        # A descriptor is no field: what is given may do without.
        assert [one for one in plan.differences if not one.startswith("identity descriptor")] == []


def test_another_address_of_the_inlet_is_recorded_by_the_next_run(tmp_path: Path, state: State) -> None:
    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        Place(emulator, state).apply()
    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        place = Place(emulator, state)
        assert not place.recorded()["inlet_url"].startswith(emulator.base_url)

        assert place.apply().changes == ()

        assert place.recorded()["inlet_url"].startswith(f"{emulator.base_url}/collection/")
