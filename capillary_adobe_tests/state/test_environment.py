"""The environment record: a set of names and ids for each sandbox, written whole or not at all."""

from __future__ import annotations

from capillary_adobe.state import EnvironmentRecord, State

ORG = "0A@AdobeOrg"
MADE = {"tenant_id": "acme", "events_dataset_id": "d", "events_identity/_acme/id": "x"}


def test_an_unknown_sandbox_has_an_empty_record(state: State) -> None:
    assert EnvironmentRecord(state, ORG, "prod").read() == {}


def test_writing_again_replaces_and_keeps_the_rest(state: State) -> None:
    record = EnvironmentRecord(state, ORG, "prod")
    record.write(MADE)
    record.write({"events_dataset_id": "newer"})
    record.write({})

    assert record.read() == {**MADE, "events_dataset_id": "newer"}


def test_a_record_begun_afresh_forgets_its_own_sandbox_alone(state: State) -> None:
    records = [
        EnvironmentRecord(state, org, name) for org, name in ((ORG, "prod"), (ORG, "dev"), ("1B@AdobeOrg", "prod"))
    ]
    for record in records:
        record.write(MADE)

    records[0].write({"tenant_id": "other"}, afresh=True)

    assert [record.read() for record in records] == [{"tenant_id": "other"}, MADE, MADE]
