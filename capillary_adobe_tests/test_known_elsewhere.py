"""What an event may know from elsewhere: never what was said after its own time, but for the look-up that it set off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.names import Names
from capillary_adobe.known_elsewhere import SET_OFF_WITHIN_MS, Elsewhere, Rules
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.settings import CapillarySettings, IdentitySettings
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe.state.lookups import LIVE, LookupQueue, Wanted
from capillary_adobe.state.transaction_details import TransactionDetails
from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, ORG, event, raw_batch
from capillary_adobe_tests.examples import examples

KEY = CustomerKey(ORG, CUSTOMER)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS
OBJECT = "events/2026-03-01/10/1772359201000-1-000001.jsonl"
RULES = Rules(
    now_ms=CREATED_MS + 2_000,
    customers=True,
    transactions=False,
    holds=False,
    hold_ms=HOUR_MS,
    fresh_ms=DAY_MS,
    skew_ms=0,
    default_program=None,
)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def say(state: State, at_ms: int, key: CustomerKey = KEY, **fields: Any) -> None:
    told = {name.replace("__", "."): value for name, value in fields.items()}
    Customers(state).merge([Facts(key, Stamp(at_ms * 1000, 0, "said"), told)])


def tier(state: State, at_ms: int, name: str, key: CustomerKey = KEY, program: int = 973) -> None:
    say(state, at_ms, key, **{f"program__{program}__tier_name": name, f"program__{program}__points": at_ms % 1000})


def rows(
    state: State, *events: dict[str, Any], rules: Rules = RULES, names: Names | None = None, **columns: Any
) -> Any:
    """Enriched rows; `columns` replace those of the raw rows."""
    batch = raw_batch(events, OBJECT)
    for name, value in ({"landed_ms": CREATED_MS + 1_000} | columns).items():
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, batch.schema.field(name), [value] * batch.num_rows)
    elsewhere = Elsewhere(state, rules, IdentitySettings(), names or Names())
    wanted = elsewhere.want([batch])
    found = [
        one
        for part in enrich([batch], CapillarySettings(), elsewhere.names, elsewhere.known)
        for one in part.to_pylist()
    ]
    return found, elsewhere.waits, wanted


def told(row: dict[str, Any]) -> dict[str, Any]:
    return (orjson.loads(row["looked_up"]) if row["looked_up"] else {}).get("customer", {})


def test_the_state_is_that_of_the_events_own_time(state: State) -> None:
    tier(state, CREATED_MS - HOUR_MS, "Silver")
    tier(state, CREATED_MS + 1, "Gold")
    [[row], _, _] = rows(state, event())
    assert told(row)["tier"] == "Silver"
    assert told(row)["asOf"] == "2026-03-01T09:00:00.123Z"


def test_what_is_said_with_the_event_is_its_own_time(state: State) -> None:
    tier(state, CREATED_MS, "Gold")
    [[row], _, _] = rows(state, event())
    assert told(row)["tier"] == "Gold"


def test_history_backfilled_over_a_live_installation_never_gets_todays_tier(state: State) -> None:
    tier(state, CREATED_MS - 1_000, "Gold")
    Customers(state).note_looked_up([KEY], CREATED_MS)
    [[row], _, _] = rows(state, event(createdAt=CREATED_MS - YEAR_MS), lane="history")
    assert told(row) == {}
    assert "customer" not in row["missing"]
    tier(state, CREATED_MS - YEAR_MS - 1, "Bronze")
    [[row], _, _] = rows(state, event(createdAt=CREATED_MS - YEAR_MS), lane="history")
    assert told(row)["tier"] == "Bronze"


def test_an_old_event_in_the_live_lane_never_gets_todays_tier(state: State) -> None:
    tier(state, CREATED_MS - 1_000, "Gold")
    [[row], _, _] = rows(state, event(createdAt=CREATED_MS - 2 * DAY_MS))
    assert told(row) == {}


def test_a_live_event_takes_the_answer_of_the_look_up_that_it_set_off(state: State) -> None:
    tier(state, CREATED_MS + 2_000, "Gold")
    [[row], _, _] = rows(state, event())
    assert told(row)["tier"] == "Gold"
    assert told(row)["asOf"] == "2026-03-01T10:00:02.123Z"


@pytest.mark.parametrize("later_ms", [SET_OFF_WITHIN_MS + 1_001, 30 * DAY_MS])
def test_a_live_day_that_is_made_again_a_month_later_learns_nothing_new(state: State, later_ms: int) -> None:
    tier(state, CREATED_MS + later_ms, "Platinum")
    again = replace(RULES, now_ms=CREATED_MS + 30 * DAY_MS)
    [[row], waits, _] = rows(state, event(), rules=again)
    assert told(row) == {}
    assert row["missing"] == ["program_name", "customer"]
    assert waits == {}


def test_a_state_that_is_no_longer_fresh_gives_way_to_the_look_up(state: State) -> None:
    tier(state, CREATED_MS - 2 * DAY_MS, "Silver")
    tier(state, CREATED_MS + 2_000, "Gold")
    [[row], _, _] = rows(state, event())
    assert told(row)["tier"] == "Gold"
    [[row], _, _] = rows(state, event(), rules=replace(RULES, fresh_ms=3 * DAY_MS))
    assert told(row)["tier"] == "Silver"


def test_a_state_that_is_no_longer_fresh_is_told_all_the_same_with_its_time(state: State) -> None:
    tier(state, CREATED_MS - 9 * DAY_MS, "Silver")
    [[row], _, _] = rows(state, event())
    assert (told(row)["tier"], told(row)["asOf"]) == ("Silver", "2026-02-20T10:00:00.123Z")
    assert "customer" in row["missing"]


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    said=st.lists(st.integers(-3 * DAY_MS, 3 * DAY_MS), unique=True, max_size=6),
    lane=st.sampled_from(["live", "history"]),
    landed_after=st.integers(0, 3 * DAY_MS),
    now_after=st.integers(0, 40 * DAY_MS),
    holds=st.booleans(),
)
def test_whatever_was_said_nothing_later_is_ever_told(
    tmp_path_factory: pytest.TempPathFactory, said: list[int], lane: str, landed_after: int, now_after: int, holds: bool
) -> None:
    state = State(f"sqlite:///{tmp_path_factory.mktemp('known')}/state.db")
    for offset in said:
        say(state, CREATED_MS + offset, status=str(offset))
    rules = replace(RULES, now_ms=CREATED_MS + landed_after + now_after, holds=holds)
    [[row], _, _] = rows(state, event(), rules=rules, lane=lane, landed_ms=CREATED_MS + landed_after)
    own = max((offset for offset in said if offset <= 0), default=None)
    found = int(told(row)["status"]) if told(row) else None
    current = lane == "live" and landed_after <= DAY_MS
    if not current or (own is not None and own >= -DAY_MS):
        assert found == own
    else:
        end = landed_after + (HOUR_MS if holds else SET_OFF_WITHIN_MS)
        assert found == max((offset for offset in said if offset <= end), default=None)


def test_only_the_events_own_program_is_told(state: State) -> None:
    tier(state, CREATED_MS - 1, "Other's", program=5)
    say(state, CREATED_MS - 1, status="Active")
    [[row], _, _] = rows(state, event("pointsIssued", {"loyaltyProgramId": 973}))
    assert told(row) == {"status": "Active", "asOf": "2026-03-01T10:00:00.122Z"}


def test_an_event_without_a_program_is_told_of_the_default_one(state: State) -> None:
    tier(state, CREATED_MS - 1, "Fifth", program=5)
    [[row], _, _] = rows(state, event())
    assert (told(row)["program"], told(row)["tier"]) == ("5", "Fifth")
    tier(state, CREATED_MS - 2, "Sixth", program=6)
    [[row], _, _] = rows(state, event())
    assert told(row) == {}
    say(state, CREATED_MS - 3, program__6__is_default=True)
    [[row], _, _] = rows(state, event())
    assert told(row)["tier"] == "Sixth"
    [[row], _, _] = rows(state, event(), rules=replace(RULES, default_program="5"))
    assert told(row)["tier"] == "Fifth"


def test_a_tier_that_has_only_a_number_is_named_by_its_program(state: State) -> None:
    say(state, CREATED_MS - 1, program__973__tier_number=2)
    [[row], _, _] = rows(state, event(), names=Names(tiers=[(973, 2, "Gold")]))
    assert (told(row)["tier"], told(row)["tierNumber"]) == ("Gold", 2)


def test_after_a_merge_the_event_is_the_survivors_and_before_it_is_not(state: State) -> None:
    second, third = CustomerKey(ORG, 2), CustomerKey(ORG, 3)
    say(state, CREATED_MS - 100, merged_into=2)
    say(state, CREATED_MS + 100, second, merged_into=3)
    tier(state, CREATED_MS - 50, "Hers", second)
    tier(state, CREATED_MS - 50, "The third's", third)
    moments = [CREATED_MS - 101, CREATED_MS - 100, CREATED_MS, CREATED_MS + 100]
    found, _, _ = rows(state, *(event(createdAt=moment) for moment in moments), landed_ms=CREATED_MS + 1_000)
    assert [row["person_id"] for row in found] == [str(CUSTOMER), "2", "2", "3"]
    assert {row["customer_id"] for row in found} == {str(CUSTOMER)}
    assert [told(row).get("tier") for row in found[2:]] == ["Hers", "The third's"]


def test_merges_that_lead_in_a_circle_come_to_an_end(state: State) -> None:
    say(state, CREATED_MS - 100, merged_into=2)
    say(state, CREATED_MS - 50, CustomerKey(ORG, 2), merged_into=CUSTOMER)
    found, _, _ = rows(state, event(), event(data={"customerIdentifiers": {"customerId": 2}}))
    assert [row["person_id"] for row in found] == [str(CUSTOMER), str(CUSTOMER)]


def test_a_look_up_is_wanted_once_for_each_customer_that_is_not_fresh(state: State) -> None:
    other = event(data={"customerIdentifiers": {"customerId": 2}})
    Customers(state).note_looked_up([CustomerKey(ORG, 2)], CREATED_MS - HOUR_MS)
    [[row, _, fresh], _, wanted] = rows(state, event(), event(), other)
    assert wanted == [Wanted.of_customer(KEY)]
    assert LookupQueue(state).counts(RULES.now_ms).waiting == 1
    assert (row["missing"][-1], fresh["missing"]) == ("customer", ["program_name"])
    [_, _, wanted] = rows(state, other, rules=replace(RULES, now_ms=CREATED_MS + DAY_MS), landed_ms=CREATED_MS + DAY_MS)
    assert [one.customer_id for one in wanted] == [2]


def test_history_is_looked_up_behind_live_and_never_in_line(state: State) -> None:
    [_, waits, wanted] = rows(state, event(), lane="history", rules=replace(RULES, holds=True))
    assert (wanted, waits) == ([], {})
    assert LookupQueue(state).take(9, RULES.now_ms, 1, urgency=LIVE) == []
    assert len(LookupQueue(state).take(9, RULES.now_ms, 1)) == 1


def test_a_day_that_is_made_again_does_not_go_before_live_events(state: State) -> None:
    [_, _, wanted] = rows(state, event(), rules=replace(RULES, now_ms=CREATED_MS + 30 * DAY_MS))
    assert wanted == []
    assert LookupQueue(state).take(9, CREATED_MS + 30 * DAY_MS, 1, urgency=LIVE) == []
    assert len(LookupQueue(state).take(9, CREATED_MS + 30 * DAY_MS, 1)) == 1


def test_without_the_api_nothing_is_wanted_and_nothing_missed(state: State) -> None:
    [[row], waits, wanted] = rows(state, event(), rules=replace(RULES, customers=False, holds=True))
    assert (row["missing"], row["waits_for"], waits, wanted) == (["program_name"], None, {}, [])


def test_what_is_held_waits_no_longer_than_it_may(state: State) -> None:
    held = replace(RULES, holds=True)
    until_ms = CREATED_MS + 1_000 + HOUR_MS
    [[row], waits, _] = rows(state, event(), rules=held)
    assert (row["waits_for"], waits) == ("customer", {Wanted.of_customer(KEY): until_ms})
    [[row], waits, _] = rows(state, event(), rules=replace(held, now_ms=until_ms - 30_001))
    assert row["waits_for"] == "customer"
    [[row], waits, _] = rows(state, event(), rules=replace(held, now_ms=until_ms - 30_000))
    assert (row["waits_for"], waits, row["missing"][-1]) == (None, {}, "customer")
    [[row], waits, _] = rows(state, event(), rules=held, landed_ms=CREATED_MS + DAY_MS)
    assert (row["waits_for"], waits) == (None, {}), "landed by a clock that is a day ahead"


def test_who_was_looked_up_waits_for_nothing_even_if_capillary_knows_nothing(state: State) -> None:
    Customers(state).note_looked_up([KEY], CREATED_MS + 1_500)
    [[row], waits, _] = rows(state, event(), rules=replace(RULES, holds=True))
    assert (row["waits_for"], waits) == (None, {})


def test_the_details_of_a_bill_are_awaited_and_told(state: State) -> None:
    rules = replace(RULES, customers=False, transactions=True, holds=True)
    sale = event("transactionAdded", {"transactionId": 55, "billType": "MIXED", "enteredBy": {"store": {"code": "s"}}})
    returned = event("transactionAdded", {"transactionId": 55, "billType": "RETURN"})
    other = event("transactionUpdated", {"transactionId": 55})
    [found, waits, wanted] = rows(state, sale, returned, other, event(), rules=rules)
    assert [one.key for one in wanted] == ["REGULAR:55", "RETURN:55"]
    assert [row["waits_for"] for row in found] == ["transaction", "transaction", None, None]
    TransactionDetails(state).keep([(wanted[0], {"tax": 7}), (wanted[1], {})], CREATED_MS)
    [found, waits, wanted] = rows(state, sale, returned, rules=rules)
    assert [row["looked_up"] for row in found] == ['{"transaction":{"tax":7}}', None]
    assert (waits, wanted, [row["waits_for"] for row in found]) == ({}, [], [None, None])


def test_nobody_asks_for_the_bill_of_a_deleted_customer(state: State) -> None:
    say(state, CREATED_MS, deleted=True)
    bill = event("transactionAdded", {"transactionId": 55})
    holding = replace(RULES, transactions=True, holds=True)
    [[row], waits, wanted] = rows(state, bill, rules=holding)
    assert (row["looked_up"], row["waits_for"], waits, wanted) == (None, None, {}, [])
    assert LookupQueue(state).counts(2**50).transactions == 0


def test_an_identity_that_two_customers_share_is_held(state: State) -> None:
    contacts = {"customerIdentifiers": {"customerId": CUSTOMER, "instore": {"email": "a@example.com"}}}
    say(state, CREATED_MS, email="a@example.com")
    [[row], _, _] = rows(state, event(data=contacts))
    assert row["held_identities"] is None
    say(state, CREATED_MS, CustomerKey(ORG, 2), email="a@example.com")
    [[row], _, _] = rows(state, event(data=contacts))
    assert len(row["held_identities"]) == 1
    assert "a@example.com" not in str(row["held_identities"])
