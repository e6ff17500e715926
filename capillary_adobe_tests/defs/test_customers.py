"""The asset `customers` in real runs: documents, checks, replays, days out of order."""

from __future__ import annotations

import itertools
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.lake import Slice
from capillary_adobe.profiles.document import DELETED, CustomerKey, Register, Stamp, packed
from capillary_adobe.settings import SettingsError
from capillary_adobe.state import Customers, Erasures
from capillary_adobe.state.customer_table import customers as table
from capillary_adobe.tables import XDM_PROFILES
from capillary_adobe_tests.defs.installation import Installation, failure_of

DAY, EARLIER = "2026-11-19", "2026-11-18"
KEY = f"events/{DAY}/10/1.jsonl"
AT = 1_795_000_000_000
ANN, BOB = CustomerKey(7, 101), CustomerKey(7, 102)


def update(number: int, customer: int = 101, *, at: int | None = None, **data: Any) -> dict[str, Any]:
    """A customerUpdated of its own."""
    return {
        "eventName": "customerUpdated",
        "eventId": f"update-{number}",
        "orgId": 7,
        "createdAt": AT + number if at is None else at,
        "data": {"customerIdentifiers": {"customerId": customer, **data.pop("identifiers", {})}, **data},
    }


def documents(installation: Installation, *keys: CustomerKey) -> dict[CustomerKey, dict[str, Any]]:
    found = Customers(installation.state).documents(keys)
    return {key: {name: register.value for name, register in document.items()} for key, document in found.items()}


def learn(installation: Installation, day: str = DAY, **kwargs: Any) -> dg.ExecuteInProcessResult:
    return installation.run(day, until="customers", **kwargs)


def evaluation(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [e for e in result.get_asset_check_evaluations() if e.check_name == name]
    return found


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (found,) = result.asset_materializations_for_node("customers")
    return {name: getattr(value, "value", None) for name, value in found.metadata.items()}


def test_events_become_documents_and_a_second_run_changes_nothing(installation: Installation) -> None:
    contacts = {"Instore": {"email": "ann@example.com"}}
    installation.land(
        KEY, update(2, firstName="Ann", identifiers=contacts), update(1, firstName="Anna", lastName="Roe")
    )
    installation.land(f"events/{DAY}/11/1.jsonl", update(3, customer=102, firstName="B***"))
    first = learn(installation)
    known = {"known": True, "first_name": "Ann", "last_name": "Roe", "email": "ann@example.com"}
    assert documents(installation, ANN, BOB) == {ANN: known, BOB: {"known": True}}
    metadata = shown(first)
    assert (metadata["events"], metadata["documents_changed"], metadata["masked"]) == (3, 2, 1)
    masked = evaluation(first, "masked_data_seen")
    assert (masked.passed, masked.severity) == (False, dg.AssetCheckSeverity.WARN)
    holds = evaluation(first, "newest_wins_holds")
    assert holds.passed
    assert holds.metadata["facts_looked_at"].value == 3
    second = learn(installation)
    assert shown(second)["documents_changed"] == 0
    assert evaluation(second, "newest_wins_holds").passed


def test_a_day_of_the_past_changes_nothing_that_is_newer(installation: Installation) -> None:
    installation.land(KEY, update(1, firstName="Ann", lastName="Roe"))
    learn(installation)
    old = update(2, at=AT - 400 * 86_400_000, firstName="Anna", loyaltyType="loyalty")
    installation.land(f"history/{EARLIER}/1.jsonl", old)
    result = learn(installation, EARLIER)
    assert documents(installation, ANN)[ANN] == {
        "known": True,
        "first_name": "Ann",
        "last_name": "Roe",
        "loyalty_type": "loyalty",
    }
    assert evaluation(result, "newest_wins_holds").passed


def test_micro_batches_in_any_order_make_the_same_documents(installation: Installation) -> None:
    events = [
        update(1, firstName="a"),
        update(2, firstName="b", lastName="x"),
        update(3, lastName="y"),
        update(3, at=AT + 3),
    ]
    keys = [installation.land(f"events/{DAY}/{10 + n}/1.jsonl", one) for n, one in enumerate(events)]
    bounds = ["", *keys]
    learn(installation)
    wanted = Customers(installation.state).documents([ANN])[ANN]
    # Another installation reads the same day by parts, the last part first.
    other = Installation(installation.root / "other", installation.landing_root)
    for before, key in reversed(list(itertools.pairwise(bounds))):
        learn(other, batch=MicroBatchConfig(batch_id=f"part-{key[-10:-8]}", after_key=before, up_to_key=key))
    assert packed(Customers(other.state).documents([ANN])[ANN]) == packed(wanted)


def test_a_deleted_customer_is_noted_and_stays_deleted(installation: Installation) -> None:
    gone = {"currentLabel": "Deleted", "reason": "asked for"}
    installation.land(KEY, update(1, firstName="Ann"), update(2, firstName="Ann", customerStatus=gone))
    installation.land(f"events/{DAY}/11/1.jsonl", update(3, firstName="Ann"))
    result = learn(installation)
    assert shown(result)["deleted"] == 1
    assert documents(installation, ANN) == {ANN: {DELETED: True}}
    assert Erasures(installation.state).among([ANN]) == {ANN}
    assert evaluation(learn(installation), "newest_wins_holds").passed


def test_the_label_of_a_deletion_is_the_settings(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERASURE_LABEL", "Forgotten")
    installation.land(KEY, update(1, customerStatus={"currentLabel": "Deleted"}))
    installation.land(f"events/{DAY}/11/1.jsonl", update(2, customer=102, customerStatus={"currentLabel": "forgotten"}))
    learn(installation)
    assert documents(installation, ANN, BOB) == {
        ANN: {"known": True, "status": "Deleted", "status_reason": None},
        BOB: {DELETED: True},
    }


def test_an_older_value_put_in_place_of_a_newer_is_seen(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.land(KEY, update(1, firstName="Ann"))
    learn(installation)
    # As a program that writes to the table would, after the merge of the next run.
    stale = packed({"first_name": Register(Stamp(1), "Old")})
    merge = Customers.merge

    def spoilt(self: Customers, facts: Any) -> Any:
        done = merge(self, facts)
        with installation.state.begin() as connection:
            connection.execute(table.update().values(document=stale))
        return done

    monkeypatch.setattr(Customers, "merge", spoilt)
    check = evaluation(learn(installation, begin="customers"), "newest_wins_holds")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["facts_lost"].value == 1


def test_a_document_behind_a_profile_made_of_it_is_seen(installation: Installation) -> None:
    installation.land(KEY, update(1, firstName="Ann"))
    learn(installation)
    row = {
        "day": DAY, "batch_id": "day", "lane": "live", "id": "a" * 64, "org_id": 7, "customer_id": 101, "revision": 9,
        "newest_ms": AT + 2, "size": 2, "unreadable": [], "entity": "{}",
    }  # fmt: skip
    installation.lake.replace(XDM_PROFILES, Slice(DAY), [pa.RecordBatch.from_pylist([row], schema=XDM_PROFILES.schema)])
    check = evaluation(learn(installation, begin="customers"), "newest_wins_holds")
    assert not check.passed
    assert check.metadata["documents_older_than_a_profile"].value == 1
    # Once the event that the profile was made of has been merged again, all is well.
    installation.land(f"events/{DAY}/11/1.jsonl", update(2, firstName="Ann"))
    assert evaluation(learn(installation), "newest_wins_holds").passed
    # Nobody is behind who was deleted, whenever that was.
    gone = update(3, at=AT, customerStatus={"currentLabel": "Deleted"})
    installation.land(f"events/{DAY}/12/1.jsonl", gone)
    assert evaluation(learn(installation), "newest_wins_holds").passed


def test_a_wrong_list_of_fields_is_told_with_the_cure(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE_FIELDS", "gendre=gender")
    installation.land(KEY, update(1))
    words = failure_of(learn(installation, raise_on_error=False))
    assert "PROFILE_FIELDS" in words
    assert "address.country" in words
    assert SettingsError.__name__ not in words
