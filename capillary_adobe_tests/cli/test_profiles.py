"""`capillary-adobe profiles resend`: whose profiles go again, and what it says to a mistake."""

from __future__ import annotations

from pathlib import Path

from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe_tests.cli.conftest import Call, storage


def known(place: Path) -> Customers:
    customers = Customers(State(storage(place)["STATE_URL"]))
    customers.merge([Facts(CustomerKey(7, number), Stamp(1), {"first_name": "Jane"}) for number in (1, 2, 3)])
    customers.settle([(CustomerKey(7, number), 1) for number in (1, 2, 3)], 0)
    return customers


def due(customers: Customers) -> list[int]:
    return sorted(one.key.customer_id for one in customers.due(None, 10, 1))


def test_named_customers_go_again(call: Call, place: Path) -> None:
    customers = known(place)

    answer = call("profiles", "resend", "--org", "7", "--customer", "1", "--customer", "3", **storage(place))

    assert (answer.exit_code, answer.stdout) == (0, "2 profiles will be made and sent again.\n")
    assert due(customers) == [1, 3]


def test_every_customer_goes_again(call: Call, place: Path) -> None:
    customers = known(place)

    assert call("profiles", "resend", "--all", **storage(place)).exit_code == 0
    assert due(customers) == [1, 2, 3]


def test_mistakes_are_told_with_the_cure(call: Call, place: Path) -> None:
    customers = known(place)

    for arguments, told in [
        ((), "Name customers with --org and --customer, or every one with --all."),
        (("--all", "--org", "7", "--customer", "1"), "or every one with --all"),
        (("--customer", "1"), "Give --org too"),
        (("--org", "8", "--customer", "1"), "Not known in organisation 8: 1."),
    ]:
        answer = call("profiles", "resend", *arguments, **storage(place))
        assert answer.exit_code != 0
        assert told in answer.stderr
    assert due(customers) == []
