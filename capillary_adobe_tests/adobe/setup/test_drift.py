"""What differs between AEP and what is needed: told, extended where that is an addition, refused where AEP would refuse it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capillary_adobe.adobe.setup import Action, SetupError
from capillary_adobe.adobe.setup.fields import compare, lacking
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.state import State
from capillary_adobe.xdm.additions import tenant_field_group
from capillary_adobe.xdm.mapping_files import load_mapping
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


def test_a_missing_dataflow_is_told_and_made_again(ready: Place) -> None:
    flow = ready.recorded()["events_flow_id"]
    remove(ready, f"{FLOWS}/flows/{flow}")

    assert ready.setup().plan().differences == ["dataflow Capillary events flow is missing."]
    ready.apply()

    assert ready.recorded()["events_flow_id"] != flow
    assert actions(ready.setup().plan()) == {"exists": COUNT}


def test_a_missing_descriptor_is_told_and_made_again(ready: Place) -> None:
    (descriptor,) = ready.objects()["identity descriptor"]
    remove(ready, f"{REGISTRY}/descriptors/{descriptor['@id']}")

    assert ready.setup().plan().differences == [
        "identity descriptor /_demo/capillary/customerId as capillaryCustomerId is missing."
    ]
    ready.apply()

    assert len(ready.objects()["identity descriptor"]) == 1


def test_a_disabled_dataflow_is_told_and_left_to_a_person(tmp_path: Path, state: State) -> None:
    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        Place(emulator, state).apply()
    # Disabled in the UI: the emulator offers no call for it.
    (file,) = (tmp_path / "aep").rglob("flows.json")
    file.write_text(file.read_text().replace('"state":"enabled"', '"state":"disabled"', 1))

    with RunningEmulator(tmp_path / "aep", empty=True) as emulator:
        plan = Place(emulator, state).setup().plan()

    assert plan.differences == ["dataflow Capillary events flow: is disabled. Enable it in the Sources workspace."]
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


def group(**fields: Any) -> dict[str, Any]:
    return {"definitions": {"own": {"properties": {"_acme": {"type": "object", "properties": fields}}}}}


def needed(**fields: Any) -> dict[str, Any]:
    return {"_acme": {"type": "object", "properties": fields}}


TEXT: dict[str, Any] = {"type": "string"}


def test_additions_name_the_topmost_field_that_is_missing() -> None:
    tree = {"type": "object", "properties": {"a": TEXT, "b": {"type": "array", "items": TEXT}}}

    found = compare(needed(known=TEXT, tree=tree), group(known=TEXT, other=TEXT))

    assert found.added == ["/_acme/tree"]
    assert found.operations == [
        {"op": "add", "path": "/definitions/own/properties/_acme/properties/tree", "value": tree}
    ]
    assert found.refused == []


def test_additions_within_lists_and_beside_the_tenants_object() -> None:
    items = {"type": "array", "items": {"type": "object", "properties": {"a": TEXT, "b": TEXT}}}
    there = {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}

    found = compare({**needed(items=items), "productListItems": items}, group(items=there))

    assert found.added == ["/_acme/items[*]/b", "/productListItems"]
    assert [one["path"] for one in found.operations] == [
        "/definitions/own/properties/_acme/properties/items/items/properties/b",
        "/definitions/own/properties/productListItems",
    ]


LONG = {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}
NESTED = {"type": "object", "properties": {"x": TEXT, "y": TEXT}}


@pytest.mark.parametrize(
    ("there", "wanted", "words"),
    [
        (TEXT, LONG, "is string and would become long"),
        ({"type": "integer"}, LONG, "is int and would become long"),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, "is date-time"),
        ({"type": "number"}, LONG, "is number and would become long"),
        (TEXT, {"type": "array", "items": TEXT}, "is string and would become array"),
        (NESTED, TEXT, "/_acme/f/x, /_acme/f/y would have to go"),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": LONG}, "/_acme/f[*] is string"),
    ],
)
def test_what_is_no_addition_is_refused(there: dict[str, Any], wanted: dict[str, Any], words: str) -> None:
    found = compare(needed(f=wanted), group(f=there))

    (sentence,) = found.refused
    assert words in sentence
    assert found.operations == []


def test_the_shipped_group_compared_with_itself_differs_in_nothing() -> None:
    for kind in ("events", "profiles"):
        properties = tenant_field_group(kind, "acme", load_mapping(None).rules)
        found = compare(properties, {"definitions": {"capillary": {"properties": properties}}})
        assert (found.added, found.refused) == ([], [])


def test_a_whole_schema_is_judged_by_path_and_type() -> None:
    schema = {
        "allOf": [
            {"properties": {"a": {"type": "object", "properties": {"n": {"type": "number"}}}}},
            {"properties": {"a": {"type": "object", "properties": {"t": {"type": "string", "format": "date-time"}}}}},
        ],
        "properties": {"list": {"type": "array", "items": {"type": "object", "properties": {"s": TEXT}}}},
    }
    required = {
        "/a/n": "integer",
        "/a/t": "date-time",
        "/list[*]/s": "string",
        "/list[*]/none": "string",
        "/a/n/deeper": "string",
        "/list[*]": "object",
    }

    assert lacking(schema, required) == (["/list[*]/none", "/a/n/deeper"], [])
    assert lacking(schema, {"/a/t": "string", "/a/n": "boolean"}) == (
        [],
        ["/a/t is date-time and must be string", "/a/n is number and must be boolean"],
    )
