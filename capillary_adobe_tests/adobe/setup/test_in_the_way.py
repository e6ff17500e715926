"""What somebody made before and set-up cannot use, and identities that no descriptor can be made for: left to a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capillary_adobe.adobe.setup import SetupError
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe_tests.adobe.setup.place import EVERYTHING, Place

REGISTRY = "foundation/schemaregistry/tenant"
PROFILE = "https://ns.adobe.com/xdm/context/profile"
MARKED = """
pointsIssued:
  fields:
    _tenant.contact: {from: "customFields[key=contact].value", as: text, identity: %s}
"""


def test_a_field_group_of_another_class_stops_set_up(place: Place) -> None:
    fields = {"properties": {"_demo": {"type": "object", "properties": {"x": {"type": "string"}}}}}
    body = {
        "type": "object",
        "title": "Capillary events fields",
        "meta:intendedToExtend": [PROFILE],
        "definitions": {"own": fields},
        "allOf": [{"$ref": "#/definitions/own"}],
    }
    place.call("POST", f"{REGISTRY}/fieldgroups", json=body)

    with pytest.raises(SetupError, match=r"It extends .*context/profile and not .*context/experienceevent"):
        place.apply()

    assert place.counts() == {"field group": 1}


def test_a_schema_of_another_class_stops_set_up(place: Place) -> None:
    body = {"type": "object", "title": "Capillary events", "allOf": [{"$ref": PROFILE}]}
    place.call("POST", f"{REGISTRY}/schemas", json=body)

    with pytest.raises(SetupError, match="a schema's class cannot be changed"):
        place.apply()

    assert place.counts() == {"schema": 1}


def test_a_field_that_is_an_identity_of_another_namespace_stops_set_up(place: Place) -> None:
    place.apply()
    (ours,) = place.objects()["identity descriptor"]
    place.call("DELETE", f"{REGISTRY}/descriptors/{ours['@id']}")
    other = {key: value for key, value in ours.items() if key.startswith("xdm:") or key == "@type"}
    place.call("POST", f"{REGISTRY}/descriptors", json=other | {"xdm:namespace": "capillaryExternalId"})

    with pytest.raises(SetupError, match="The field is an identity of namespace capillaryExternalId already"):
        place.apply()


@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        ("Email", "Contact data becomes an identity in identityMap only"),
        ("brandCode", "There is no namespace brandCode"),
    ],
)
def test_an_identity_that_cannot_be_described_stops_set_up(place: Place, namespace: str, words: str) -> None:
    marked = replace(place, mapping=with_tenant({"points.yaml": MARKED % namespace}))

    with pytest.raises(SetupError, match=words):
        marked.apply()

    assert place.counts() == {}


def test_a_namespace_that_the_mapping_folder_declares_is_made_and_described(place: Place) -> None:
    files = {"points.yaml": MARKED % "brandCode", "events.yaml": "namespaces: [brandCode]\n"}
    marked = replace(place, mapping=with_tenant(files))

    marked.apply()

    assert marked.counts() == EVERYTHING | {"namespace": 3, "identity descriptor": 2}
    assert marked.setup().plan().differences == []


def test_a_namespace_that_is_declared_and_there_may_be_of_any_type(place: Place) -> None:
    place.call("POST", "core/idnamespace/identities", json={"name": "x", "code": "brandCode", "idType": "COOKIE"})
    declaring = replace(place, mapping=with_tenant({"events.yaml": "namespaces: [brandCode]\n"}))

    declaring.apply()

    assert declaring.counts() == EVERYTHING | {"namespace": 3}
