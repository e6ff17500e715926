"""`events.yaml` of a tenant's folder: what it declares, and what is told where a declaration means nothing."""

from __future__ import annotations

import pytest

from capillary_adobe.capillary.catalogue import EventType, shipped_catalogue
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe.xdm.language.rule_model import MappingError
from capillary_adobe_tests.xdm.language.brand import OWN, RULES


def told(events: str) -> str:
    with pytest.raises(MappingError) as error:
        with_tenant({"events.yaml": events})
    return str(error.value)


def test_an_event_of_the_tenant() -> None:
    mapping = with_tenant({"events.yaml": OWN, "own.yaml": RULES})
    assert mapping.touched == {"walletToppedUp"}
    assert mapping.catalogue.find("WALLETtoppedUP") == EventType(
        "walletToppedUp", "wallet", "customerIdentifiers", "topUpId"
    )
    assert mapping.catalogue.find("walletClosed") == EventType(
        "walletClosed", "wallet", "owners[].customerIdentifiers", None
    )
    assert mapping.declared == {
        "walletToppedUp": frozenset({"amount", "bonuses[].amount"}),
        "pointsIssued": frozenset({"colour"}),
    }
    assert mapping.namespaces == {"memberCard"}
    assert set(mapping.files) == {"events.yaml", "own.yaml"}
    assert shipped_catalogue().find("walletToppedUp") is None


@pytest.mark.parametrize(
    ("body", "person"),
    [
        ("", "customerIdentifiers"),
        ("{}", "customerIdentifiers"),
        ("{natural_key: none}", "customerIdentifiers"),
        ("{person: none}", "none"),
        ("{person: group}", "group"),
        ("{person: member.identifiers}", "member.identifiers"),
        ("{person: 'members[].identifiers'}", "members[].identifiers"),
    ],
)
def test_every_form_of_a_person(body: str, person: str) -> None:
    found = with_tenant({"events.yaml": f"wallet:\n  topUp: {body}\ncustom_sources:\nnamespaces:\n"}).catalogue.find(
        "topUp"
    )
    assert found is not None
    assert found.person == person


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ("- a", "events.yaml:1:1: must hold families of event types, custom_sources or namespaces."),
        ("wallet: topUp", "events.yaml:1:9: wallet: expected event types, each with `person`"),
        ("wallet: {PointsIssued: {}}", "events.yaml:1:10: PointsIssued is in the catalogue already, as pointsIssued."),
        ("a: {topUp: {}}\nb: {TopUp: {}}", "events.yaml:2:5: TopUp is declared twice. Keep one of them."),
        ("wallet: {top up: {}}", "events.yaml:1:10: top up is no name of an event type."),
        ("wallet: {topUp: 5}", "events.yaml:1:17: topUp: expected {person: …, natural_key: …}."),
        ("wallet: {topUp: {persn: a}}", "events.yaml:1:18: topUp: unknown option persn. Did you mean person?"),
        (
            "wallet: {topUp: {person: a b}}",
            "events.yaml:1:26: topUp: `person` is a field under data, such as customerI",
        ),
        (
            "wallet: {topUp: {natural_key: 'a[].b'}}",
            "events.yaml:1:31: topUp: `natural_key` is a field under data, such as",
        ),
        ("wallet: {topUp: {person: None}}", "events.yaml:1:26: topUp: None is the path of a field. Write none."),
        (
            "custom_source: {pointsIssued: [a]}",
            "events.yaml:1:17: pointsIssued is in the catalogue already, as pointsIssued. custom_source is read as a family "
            "of event types. Did you mean custom_sources?",
        ),
        (
            "namespace: [a]",
            "events.yaml:1:12: namespace: expected event types, each with `person` and perhaps `natural_key`. Did you mean "
            "namespaces?",
        ),
        ("custom_sources: [a]", "events.yaml:1:17: custom_sources: expected a list of paths for each event type."),
        (
            "custom_sources: {pointsIsued: [a]}",
            "events.yaml:1:18: pointsIsued is no event type of the catalogue. Did you",
        ),
        (
            "custom_sources: {pointsIssued: a}",
            "events.yaml:1:32: custom_sources: pointsIssued: expected a list of paths",
        ),
        ("custom_sources: {pointsIssued: ['a b']}", "events.yaml:1:33: custom_sources: pointsIssued: a b is no path"),
        ("namespaces: memberCard", "events.yaml:1:13: namespaces: expected a list of symbols of identity namespaces"),
        ("namespaces: [member card]", "events.yaml:1:13: namespaces: expected a list of symbols"),
    ],
)
def test_what_a_declaration_cannot_mean_is_told(events: str, words: str) -> None:
    assert told(events).startswith(words)
