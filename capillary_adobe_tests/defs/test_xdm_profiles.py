"""Asset `xdm_profiles` in real runs: what an operator sees, with and without a dataset for profiles, and sending again."""

from __future__ import annotations

from typing import Any

import dagster as dg
import orjson
import pytest

from capillary_adobe.defs.assets.xdm_profiles import NOT_SET_UP
from capillary_adobe.defs.build import JOB
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resend_job import RESEND_JOB, RESEND_OP, ResendConfig
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.state.customers import Customers
from capillary_adobe.tables import XDM_PROFILES
from capillary_adobe.xdm.profiles import MAX_BYTES
from capillary_adobe_tests.capillary.events import ORG, event
from capillary_adobe_tests.defs.installation import Installation

DAY = "2026-11-19"
STEPS = ("raw_events", "xdm_profiles")


def run(installation: Installation, *steps: str, batch: str = "") -> dg.ExecuteInProcessResult:
    config = MicroBatchConfig(batch_id=batch, after_key="", up_to_key="events/~")
    return installation.definitions.resolve_job_def(JOB).execute_in_process(
        instance=installation.instance,
        partition_key=DAY,
        run_config=dg.RunConfig(ops=dict.fromkeys(steps, config)) if batch else None,
        asset_selection=[dg.AssetKey(one) for one in steps],
        raise_on_error=False,
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [found] = list(result.asset_materializations_for_node("xdm_profiles"))
    return {name: value.value for name, value in found.metadata.items()}


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    found = [one for one in result.get_asset_check_evaluations() if one.asset_key.to_user_string() == "xdm_profiles"]
    return {one.check_name: one.passed for one in found if one.check_name != "no_identity_joins_customers"}


def tell(installation: Installation, customer: int, **fields: Any) -> Customers:
    customers = Customers(installation.state, 1)
    customers.merge([Facts(CustomerKey(ORG, customer), Stamp(1_795_000_000_000_000), fields)])
    return customers


def land(installation: Installation, *customers: int) -> None:
    events = [event(data={"customerIdentifiers": {"customerId": one}}, eventId=f"e-{one}") for one in customers]
    installation.land(f"events/{DAY}/10/{customers[0]}.jsonl", *events)


def test_customers_with_events_get_their_profiles(installation: Installation) -> None:
    land(installation, 1, 2)
    tell(installation, 1, first_name="Jane", email="jane@acme-family.com")
    tell(installation, 2, first_name="Ann")

    result = run(installation, *STEPS)

    assert result.success
    assert verdicts(result) == {
        "stored_profiles_conform": True,
        "profile_coverage": True,
        "fresh_customers_are_known": True,
        "few_profiles_quarantined": True,
    }
    told = shown(result)
    assert (told["made"], told["rows"], told["quarantined"]) == (2, 2, 0)
    rows = installation.rows(XDM_PROFILES, DAY)
    assert {row["customer_id"] for row in rows} == {1, 2}
    # What an operator sees of the run names no person.
    assert not {"Jane", "jane@acme-family.com"} & set(str(told).replace('"', " ").split())
    # A second run has nothing else to say, as long as nothing was sent.
    again = run(installation, *STEPS)
    assert again.success
    assert installation.rows(XDM_PROFILES, DAY) == rows


def test_what_is_wrong_is_told(installation: Installation) -> None:
    land(installation, 1, 2, 3)
    tell(installation, 1, first_name="x" * MAX_BYTES)
    tell(installation, 2, birth_date="never")

    result = run(installation, *STEPS)

    assert verdicts(result) == {
        "stored_profiles_conform": True,
        "profile_coverage": False,
        "fresh_customers_are_known": False,
        "few_profiles_quarantined": False,
    }
    told = shown(result)
    assert "entity_too_large" in told["quarantined_by_code"]
    assert "customer.birthDate" in told["unreadable_fields"]


def test_without_a_dataset_for_profiles_it_says_how_to_set_up(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(installation, 1)
    tell(installation, 1, first_name="Jane")
    assert run(installation, *STEPS).success
    assert len(installation.rows(XDM_PROFILES, DAY)) == 1
    for name in ("SCHEMA", "DATASET", "FLOW"):
        monkeypatch.delenv(f"ADOBE_PROFILES_{name}_ID")

    result = run(installation, "xdm_profiles")

    assert result.success
    assert shown(result)["why"] == NOT_SET_UP
    assert all(verdicts(result).values())
    assert installation.rows(XDM_PROFILES, DAY) == []


def test_every_profile_goes_again_when_an_operator_asks(installation: Installation) -> None:
    customers = tell(installation, 1, first_name="Jane")
    tell(installation, 2, first_name="Ann")
    customers.settle([(CustomerKey(ORG, number), 1) for number in (1, 2)], 0)
    job = installation.definitions.resolve_job_def(RESEND_JOB)

    job.execute_in_process(instance=installation.instance)
    assert run(installation, "xdm_profiles", batch="lookups-1").success
    assert installation.rows(XDM_PROFILES, DAY) == []

    config = dg.RunConfig(ops={RESEND_OP: ResendConfig(apply=True)})
    job.execute_in_process(instance=installation.instance, run_config=config)
    assert run(installation, "xdm_profiles", batch="lookups-2").success
    rows = installation.rows(XDM_PROFILES, DAY)
    assert sorted((row["customer_id"], row["revision"], row["batch_id"]) for row in rows) == [
        (1, 2, "lookups-2"),
        (2, 2, "lookups-2"),
    ]
    assert {orjson.loads(row["entity"])["person"]["name"]["firstName"] for row in rows} == {"Jane", "Ann"}
