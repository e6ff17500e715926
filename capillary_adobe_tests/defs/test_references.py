"""The assets `stores` and `programs` over the emulator, their schedule, and the names that events and profiles get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capillary_adobe.capillary.api.entities import Till
from capillary_adobe.defs.references import JOB
from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.known_names import known_names
from capillary_adobe.program_names import program_names
from capillary_adobe.state import References
from capillary_adobe_tests.capillary.api.people import store, till
from capillary_adobe_tests.defs.installation import Installation, failure_of

CREDENTIAL = ("CAPILLARY_API_URL", "CAPILLARY_API_KEY", "CAPILLARY_API_SECRET")
DAY = "2026-11-25"
CREATED_MS = 1_795_600_000_000
PROGRAM = {
    "id": 7,
    "name": "Circle",
    "tiers": [{"tierNumber": 1, "tierName": "Seed"}, {"tierNumber": 2, "tierName": "Bloom"}],
}

Start = Callable[..., RunningCapillary]


@pytest.fixture
def place(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name in CREDENTIAL:
        monkeypatch.delenv(name, raising=False)
    return installation


@pytest.fixture
def capillary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(**behaviour: Any) -> RunningCapillary:
            running = stack.enter_context(RunningCapillary(tmp_path / "capillary", Behaviour(**behaviour)))
            for name, value in running.environment.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("CAPILLARY_API_RETRY_SECONDS", "1")
            monkeypatch.setenv("CAPILLARY_LOOKUP_CALLS_PER_MINUTE", "6000")
            return running

        yield started


def event(number: int, **data: Any) -> dict[str, Any]:
    return {
        "eventName": "tierUpgraded",
        "eventId": f"e{number}",
        "orgId": 4,
        "createdAt": CREATED_MS + number,
        "data": {"customerIdentifiers": {"customerId": 11}, **data},
    }


def told_by_events(place: Installation) -> None:
    place.land(
        f"events/{DAY}/10/a.jsonl",
        event(1, loyaltyProgramDetails=PROGRAM, upgradedTierNumber=2, previousTierNumber=1, enteredBy={"id": 5}),
        event(2, loyaltyProgramDetails=PROGRAM | {"name": "Circle of old"}, createdBy={"id": "6"})
        | {"createdAt": CREATED_MS},
    )
    place.run(DAY, until="enriched_events")


def read(place: Installation) -> dg.ExecuteInProcessResult:
    job = place.definitions.resolve_job_def(JOB)
    return job.execute_in_process(instance=place.instance, raise_on_error=False)


def shown(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    [found] = result.asset_materializations_for_node(name)
    return {name: value.value for name, value in found.metadata.items()}


def test_stores_tills_programs_and_tiers_are_read_and_name_things(place: Installation, capillary: Start) -> None:
    running = capillary()
    running.put("stores", store(1), store(2, is_active=False))
    running.put("tills", till(5, 2))
    running.put("programs", {"id": 8, "name": "Second", "isDefault": True})
    told_by_events(place)
    result = read(place)
    assert result.success
    assert (
        shown(result, "stores").items()
        >= {"stores_read": 2, "tills_read": 1, "tills_listed_by_capillary": True}.items()
    )
    assert shown(result, "programs")["programs_read"] == 1
    names = known_names(place.state)
    assert list(names.tills) == [(5, "t5", "Till 5", "s2")]
    assert list(names.stores) == [("s1", "Store 1", "X1"), ("s2", "Store 2", "X2")]
    assert list(names.programs) == [(7, "Circle"), (8, "Second")]
    assert names.tier_names == {(7, 1): "Seed", (7, 2): "Bloom"}
    of_profiles = program_names(place.state)
    assert of_profiles.programs == {"7": "Circle", "8": "Second"}
    assert of_profiles.tiers == {("7", 1): "Seed", ("7", 2): "Bloom"}


def test_where_tills_are_not_listed_those_of_the_events_are_asked_for(place: Installation, capillary: Start) -> None:
    running = capillary(lists_tills=False)
    running.put("tills", till(5, 2), till(9))
    told_by_events(place)
    assert shown(read(place), "stores").items() >= {"tills_read": 2, "tills_left_for_the_next_run": 0}.items()
    known = {one.id: one for one in References(place.state).tills()}
    assert known == {5: Till(5, "t5", "Till 5", 2), 6: Till(6, None, None, active=False)}
    # Nobody asks for them again.
    assert shown(read(place), "stores")["tills_read"] == 0


def test_without_an_api_the_events_alone_are_read_and_the_assets_say_so(place: Installation) -> None:
    told_by_events(place)
    result = read(place)
    assert result.success
    for name in ("stores", "programs"):
        assert "CAPILLARY_API_URL" in shown(result, name)["problem"]
    assert References(place.state).programs()[0].name == "Circle"


def test_a_client_without_the_right_fails_with_the_cure_and_keeps_what_was_known(
    place: Installation, capillary: Start
) -> None:
    running = capillary(denied=frozenset({"Organization"}))
    assert running.base_url
    result = read(place)
    assert not result.success
    assert "read on Customer, Transaction and Organization" in failure_of(result)


def test_the_schedule_asks_each_night_where_there_is_an_api(place: Installation, capillary: Start) -> None:
    schedule = place.definitions.resolve_schedule_def("refresh_references")
    with dg.build_schedule_context(instance=place.instance) as context:
        off = schedule.evaluate_tick(context)
        assert off.run_requests == []
        assert off.skip_message is not None
        assert "CAPILLARY_API_URL" in off.skip_message
        assert capillary().base_url
        assert len(schedule.evaluate_tick(context).run_requests or []) == 1
