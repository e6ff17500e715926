"""What differs between AEP and what is needed: told, extended where that is an addition, refused where AEP would refuse it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from capillary_adobe.adobe.setup import Action, SetupError
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import State, TenantSchemas
from capillary_adobe_tests.adobe.setup.place import COUNT, Place, actions, mapping_with_shoe_size

REGISTRY = "foundation/schemaregistry/tenant"
FLOWS = "foundation/flowservice"


@pytest.fixture
def ready(place: Place) -> Place:
    """A sandbox that is set up."""
    place.apply()
    return place


def remove(place: Place, path: str) -> None:
    place.call("DELETE", path)


def test_nothing_differs_after_set_up(ready: Place) -> None:
    assert ready.setup().plan().differences == []


def test_a_connection_for_raw_data_is_not_used(tmp_path: Path, state: State) -> None:
    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        Place(emulator, state).apply()
    # Made for Data Prep, in the UI or by another tool: the emulator makes none.
    (file,) = (tmp_path / "aep").rglob("connections.json")
    file.write_text(file.read_text().replace('"dataType":"xdm"', '"dataType":"raw"', 1))

    with (
        RunningEmulator(tmp_path / "aep", empty=True) as emulator,
        pytest.raises(SetupError, match="takes raw data and must take XDM"),
    ):
        Place(emulator, state).apply()


def test_a_missing_dataflow_is_told_and_made_again(ready: Place) -> None:
    flow = ready.recorded()["events_flow_id"]
    remove(ready, f"{FLOWS}/flows/{flow}")

    assert ready.setup().plan().differences == ["dataflow Capillary events flow is missing."]
    ready.apply()

    assert ready.recorded()["events_flow_id"] != flow
    assert actions(ready.setup().plan()) == {"exists": COUNT}


def other_inlet(place: Place) -> str:
    """The address of another streaming connection."""
    (ours,) = place.objects()["streaming connection"]
    params = {"sourceId": "other", "name": "other", "dataType": "xdm", "authenticationRequired": True}
    body = {"name": "other", "connectionSpec": ours["connectionSpec"], "auth": {**ours["auth"], "params": params}}
    made = place.call("POST", f"{FLOWS}/connections", json=body).json()["id"]
    return place.call("GET", f"{FLOWS}/connections/{made}").json()["items"][0]["auth"]["params"]["inletUrl"]


def other_dataset(place: Place) -> str:
    """Another dataset of the events' schema."""
    (ours,) = [one for one in place.objects()["dataset"] if one["name"] == "Capillary events"]
    body = {"name": "other", "schemaRef": ours["schemaRef"]}
    return place.call("POST", "foundation/catalog/dataSets", json=body).json()[0].rpartition("/")[2]


def test_a_road_from_another_inlet_is_not_used(ready: Place) -> None:
    with pytest.raises(SetupError, match="belongs to another streaming connection"):
        ready.apply({"inlet_url": other_inlet(ready)})


def test_a_road_to_another_dataset_is_not_used(ready: Place) -> None:
    with pytest.raises(SetupError, match="It leads to another dataset"):
        ready.apply({"events_dataset_id": other_dataset(ready)})


def test_a_dataflow_of_other_connections_is_not_used(ready: Place) -> None:
    recorded = ready.recorded()
    ours = ready.call("GET", f"{FLOWS}/flows/{recorded['events_flow_id']}").json()["items"][0]
    remove(ready, f"{FLOWS}/flows/{ours['id']}")
    body = {"sourceConnectionIds": [recorded["profiles_source_connection_id"]]}
    kept = {key: ours[key] for key in ("name", "flowSpec", "targetConnectionIds")}
    ready.call("POST", f"{FLOWS}/flows", json=kept | body)

    with pytest.raises(SetupError, match="It has another source connection"):
        ready.apply()


def test_a_given_dataflow_that_leads_elsewhere_is_told(ready: Place) -> None:
    recorded = ready.recorded()
    of_profiles = {"events_flow_id": recorded["profiles_flow_id"]}
    of_another_inlet = {"events_flow_id": recorded["events_flow_id"], "inlet_url": other_inlet(ready)}

    told = [ready.setup(given).plan().differences[0] for given in (of_profiles, of_another_inlet)]

    assert told == [
        "dataflow Capillary events flow: does not lead to the dataset.",
        "dataflow Capillary events flow: does not come from the inlet.",
    ]


def test_a_missing_descriptor_is_told_and_made_again(ready: Place) -> None:
    (descriptor,) = ready.objects()["identity descriptor"]
    remove(ready, f"{REGISTRY}/descriptors/{descriptor['@id']}")

    assert ready.setup().plan().differences == [
        "identity descriptor /_demo/capillary/customerId as capillaryCustomerId is missing."
    ]
    ready.apply()

    assert len(ready.objects()["identity descriptor"]) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [("flows", "dataflow Capillary events flow"), ("connections", "streaming connection Capillary inlet")],
)
def test_what_is_disabled_is_told_and_left_to_a_person(tmp_path: Path, state: State, kind: str, name: str) -> None:
    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        Place(emulator, state).apply()
    # Disabled in the UI: the emulator offers no call for it.
    (file,) = (tmp_path / "aep").rglob(f"{kind}.json")
    file.write_text(file.read_text().replace('"state":"enabled"', '"state":"disabled"', 1))

    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        plan = Place(emulator, state).setup().plan()

    assert plan.differences == [f"{name}: is disabled. Enable it in the Sources workspace."]
    assert (plan.changes, plan.blocked) == ((), ())


def test_a_field_that_the_mapping_adds_is_added_to_the_group(ready: Place) -> None:
    grown = replace(ready, mapping=mapping_with_shoe_size())

    plan = grown.setup().plan()
    assert plan.differences == ["field group Capillary events fields: adds /_demo/shoeSize"]
    grown.watch_changes()
    grown.apply()

    assert grown.changing_calls() == 1
    assert grown.setup().plan().differences == []
    (group,) = [one for one in grown.objects()["field group"] if one["title"] == "Capillary events fields"]
    added = [node["properties"]["_demo"]["properties"].get("shoeSize") for node in group["definitions"].values()]
    assert [one["type"] for one in added if one] == ["integer"]
    # The installation without the addition finds nothing wrong with a field more.
    assert ready.setup().plan().differences == []


def test_entities_are_judged_by_the_new_field_at_once(ready: Place) -> None:
    def judged_by() -> str:
        known = TenantSchemas(ready.state, ready.credential().sandbox_name).read(ready.recorded()["events_schema_id"])
        return str(known and known.content)

    assert "customerId" in judged_by()
    assert "shoeSize" not in judged_by()

    replace(ready, mapping=mapping_with_shoe_size()).apply()

    assert "shoeSize" in judged_by()


@pytest.mark.parametrize("kind", ["status", "reset_after"])
def test_an_extension_that_is_interrupted_is_done_once(ready: Place, kind: str) -> None:
    grown = replace(ready, mapping=mapping_with_shoe_size())
    grown.emulator.faults.add(kind=kind, status=500, path="/data/", method="PATCH")

    grown.apply(retry_budget_seconds=4.0)

    assert grown.setup().plan().differences == []


def test_another_type_for_a_field_that_is_there_is_refused_before_any_change(ready: Place) -> None:
    replace(ready, mapping=mapping_with_shoe_size("integer")).apply()
    changed = replace(ready, mapping=mapping_with_shoe_size("text"))
    changed.watch_changes()

    with pytest.raises(SetupError, match=re.escape("/_demo/shoeSize is long and would become string")) as found:
        changed.apply()

    assert "AEP lets nobody change or remove a field" in str(found.value)
    assert changed.changing_calls() == 0


def test_a_schema_made_by_hand_gets_the_field_groups_it_lacks(place: Place) -> None:
    class_id = "https://ns.adobe.com/xdm/context/experienceevent"
    body = {"type": "object", "title": "Capillary events", "allOf": [{"$ref": class_id}]}
    by_hand = place.call("POST", f"{REGISTRY}/schemas", json=body).json()["$id"]

    (step,) = [step for step in place.setup().plan().changes if step.action is Action.EXTEND]
    assert (step.kind, step.id) == ("schema", by_hand)
    assert "Commerce Details" in step.detail
    assert "Capillary events fields" in step.detail
    place.apply()

    assert place.recorded()["events_schema_id"] == by_hand
    assert place.setup().plan().differences == []


def test_a_given_schema_is_checked_and_not_changed(ready: Place) -> None:
    class_id = "https://ns.adobe.com/xdm/context/experienceevent"
    body = {"type": "object", "title": "By hand", "allOf": [{"$ref": class_id}]}
    by_hand = ready.call("POST", f"{REGISTRY}/schemas", json=body).json()["$id"]

    plan = ready.setup({"events_schema_id": by_hand}, name="Second brand").plan()

    (schema,) = [step for step in plan.steps if step.key == "events_schema_id"]
    assert schema.action is Action.GIVEN
    assert "lacks /" in schema.differences[0]
    (descriptor,) = [step for step in plan.steps if step.kind == "identity descriptor"]
    assert descriptor.differences == ("is missing, and ADOBE_EVENTS_SCHEMA_ID is left as it is.",)
    assert "events_field_group_id" not in [step.key for step in plan.steps]


def test_a_schema_of_another_class_is_not_taken(ready: Place) -> None:
    profiles = ready.recorded()["profiles_schema_id"]

    with pytest.raises(SetupError, match="ADOBE_EVENTS_SCHEMA_ID"):
        ready.apply({"events_schema_id": profiles})


def test_profile_is_enabled_with_the_flag_alone(ready: Place) -> None:
    ready.apply()
    assert ready.setup(enable_profile=True).plan().differences != []

    ready.apply(enable_profile=True)

    made = ready.objects()
    assert all("union" in one["meta:immutableTags"] for one in made["schema"])
    assert all(one["tags"]["unifiedProfile"] == ["enabled:true"] for one in made["dataset"])
    assert ready.setup(enable_profile=True).plan().differences == []
    assert actions(ready.setup().plan()) == {"exists": COUNT + 4}


def test_in_a_sandbox_that_was_reset_no_plan_without_the_flag_enables_for_profile(place: Place, tmp_path: Path) -> None:
    place.apply(enable_profile=True)

    with RunningEmulator(tmp_path / "reset", empty=True) as emulator:
        plan = replace(place, emulator=emulator).setup().plan()

    assert actions(plan) == {"create": COUNT, "exists": 4}
    assert len([one for one in plan.differences if one.startswith("Profile tag ")]) == 4


def test_a_dataset_out_of_profile_is_told_where_it_was_asked_for(place: Place) -> None:
    place.apply(enable_profile=True)
    assert all(one["tags"]["unifiedIdentity"] == ["enabled:true"] for one in place.objects()["dataset"])
    dataset = place.recorded()["events_dataset_id"]
    operations = [{"op": "replace", "path": "/tags/unifiedProfile", "value": ["enabled:false"]}]
    headers = {"Content-Type": "application/json-patch+json"}
    place.call("PATCH", f"foundation/catalog/dataSets/{dataset}", json=operations, headers=headers)

    plan = place.setup().plan()

    assert plan.differences == [
        "Profile tag dataset Capillary events: is not there, though it was asked for. Run set-up with --enable-profile."
    ]
    assert plan.changes == ()
