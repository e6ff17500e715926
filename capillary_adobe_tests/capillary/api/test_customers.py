"""Customers and transactions asked for at the emulator: who is found, unknown, merged, deleted, masked, and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from capillary_adobe.capillary.api.client import (
    CapillaryApi,
    PermanentCapillaryApiError,
    TransientCapillaryApiError,
)
from capillary_adobe.capillary.api.customers import CustomerApi
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.capillary.api.transactions import TransactionApi
from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.settings import CapillaryApiSettings
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe_tests.capillary.api.people import customer, transaction
from capillary_adobe_tests.capillary.api.server import ScriptedApi

Start = Callable[..., tuple[RunningCapillary, CapillaryApi]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(**behaviour: Any) -> tuple[RunningCapillary, CapillaryApi]:
            running = stack.enter_context(RunningCapillary(tmp_path / "capillary", Behaviour(**behaviour)))
            settings = CapillaryApiSettings(
                url=running.base_url,
                key=running.organisation.key,
                secret=running.organisation.secret,  # pyright: ignore[reportArgumentType] - pydantic wraps it
                retry_seconds=3,
            )
            return running, CapillaryApi(settings, AccessToken(settings))

        yield started


@pytest.fixture
def scripted() -> Iterator[ScriptedApi]:
    with ScriptedApi() as one:
        yield one


def everybody(running: RunningCapillary) -> None:
    running.put(
        "customers",
        customer(11),
        customer(12),
        {"id": 13, "mergedInto": 12},
        {"id": 14, "mergedInto": 13},
        {"id": 15, "deleted": True},
        {"id": 16, "mergedInto": 0},
    )


def test_one_customer_of_each_kind(start: Start) -> None:
    running, api = start()
    everybody(running)
    customers = CustomerApi(api, LookupSettings())
    before_us = time.time_ns() // 1000
    found = customers.one(11)
    assert (found.kind, found.survivor, found.bulk, found.masked) == ("found", None, False, False)
    assert before_us <= found.asked_us <= time.time_ns() // 1000
    assert {name: found.body[name] for name in customer(11)} == customer(11)
    assert customers.one(99)[:2] == ("unknown", None)
    assert customers.one(15)[:2] == ("deleted", None)
    for victim in (13, 14):
        merged = customers.one(victim)
        assert (merged.kind, merged.survivor, merged.body["id"]) == ("merged", 12, 12)
    untold = customers.one(16)
    assert (untold.kind, untold.survivor, untold.body) == ("merged", None, None)


def test_a_merge_that_is_refused_is_a_merge_all_the_same(start: Start) -> None:
    running, api = start(tells_survivor=False, errors_with_200=True)
    everybody(running)
    customers = CustomerApi(api, LookupSettings())
    assert [customers.one(one).kind for one in (11, 13, 15, 99)] == ["found", "merged", "deleted", "unknown"]


def test_several_customers_are_asked_for_at_once(start: Start) -> None:
    running, api = start()
    everybody(running)
    answers = CustomerApi(api, LookupSettings()).several([11, 99, 13, 15, 12])
    assert {one: answer.kind for one, answer in answers.items()} == {
        11: "found",
        99: "unknown",
        13: "merged",
        15: "deleted",
        12: "found",
    }
    assert all(answer.bulk for answer in answers.values())
    assert answers[13].survivor == 12
    body = answers[11].body
    assert (body["firstname"], body["email"]) == ("Asha", "asha.11@example.com")
    assert body["points_summaries"]["points_summary"][0]["programTitle"] == "Circle"
    assert body["subscriptions"]["subscription"][0]["status"] == "OPTIN"
    # One call and the token's.
    assert running.rates().calls == 2
    shuffled = CustomerApi(api, LookupSettings()).several([12, 13, 11])
    assert [(shuffled[one].kind, shuffled[one].body is None) for one in (12, 13, 11)] == [
        ("found", False),
        ("merged", False),
        ("found", False),
    ]


def test_several_of_whom_nobody_is_known_is_no_failure(start: Start) -> None:
    _, api = start()
    answers = CustomerApi(api, LookupSettings()).several([1, 2])
    assert [answers[one].kind for one in (1, 2)] == ["unknown", "unknown"]
    assert CustomerApi(api, LookupSettings()).several([]) == {}


def test_a_batch_that_is_too_large_is_refused_with_the_cure(start: Start) -> None:
    _, api = start(customers_per_call=2)
    with pytest.raises(PermanentCapillaryApiError, match=r"code 1060.*CAPILLARY_LOOKUP_CUSTOMERS_PER_CALL to less"):
        CustomerApi(api, LookupSettings()).several([1, 2, 3])


def test_masked_answers_are_told(start: Start) -> None:
    running, api = start(sees_personal_data=False)
    running.put("customers", customer(11))
    customers = CustomerApi(api, LookupSettings())
    assert customers.one(11).masked
    assert customers.several([11])[11].masked
    assert customers.one(11).body["profiles"][0]["firstName"] == "As***"


def test_only_the_parts_of_the_settings_are_asked_for(start: Start) -> None:
    running, api = start()
    running.put("customers", customer(11))
    body = CustomerApi(api, LookupSettings(embed="mlp")).one(11).body
    assert "loyaltyProgramDetails" in body
    assert "pointsSummary" not in body


def test_another_source_needs_its_account(start: Start) -> None:
    running, api = start()
    running.put("customers", customer(11))
    with pytest.raises(PermanentCapillaryApiError, match=r"code 8045.*CAPILLARY_LOOKUP_ACCOUNT_ID"):
        CustomerApi(api, LookupSettings(source="WECHAT")).one(11)
    assert CustomerApi(api, LookupSettings(source="WECHAT", account_id="wx1")).one(11).kind == "found"


@pytest.mark.parametrize(("status", "code"), [(429, 429), (461, 461), (521, 521), (503, 4001), (500, 500)])
def test_what_passes_is_waited_for(start: Start, status: int, code: int) -> None:
    running, api = start()
    everybody(running)
    body = {"data": None, "errors": [{"code": code, "message": "busy"}]}
    for path in ("/v2/customers/", "/v1.1/customer/"):
        running.faults.add(kind="status", path=path, status=status, body=body)
    customers = CustomerApi(api, LookupSettings())
    assert customers.one(11).kind == "found"
    assert customers.several([11])[11].kind == "found"


@pytest.mark.parametrize("code", ["429", "461", "521", "500"])
def test_the_older_api_fails_with_a_status_of_its_own(scripted: ScriptedApi, code: str) -> None:
    status = {"success": "false", "code": code, "message": "busy"}
    scripted.script.append(JSONResponse({"response": {"status": status}}))
    item = {"user_id": "11", "item_status": {"success": True, "code": 1000}}
    scripted.script.append(JSONResponse({"response": {"status": {"success": True}, "customers": {"customer": item}}}))
    found = CustomerApi(scripted.client(), LookupSettings()).several([11])
    assert found[11].kind == "found"
    assert len(scripted.asked) == 2


def test_the_older_api_renews_a_token_that_its_envelope_refuses(scripted: ScriptedApi) -> None:
    refused = {"success": False, "code": 401, "message": "expired"}
    scripted.script.append(JSONResponse({"response": {"status": refused}}))
    item = {"id": 11, "item_status": {"success": True, "code": 1000}}
    scripted.script.append(JSONResponse({"response": {"status": {"success": True}, "customers": {"customer": [item]}}}))
    assert CustomerApi(scripted.client(), LookupSettings()).several([11])[11].kind == "found"
    assert scripted.presented == ["t1", "t2"]


def test_items_without_an_id_go_by_their_places_and_are_never_guessed(scripted: ScriptedApi) -> None:
    unknown = {"item_status": {"success": "false", "code": "1012", "message": "not found"}}
    other = {"id": "77", "item_status": {"success": "true", "code": "1000"}}
    mine = {"id": "12", "item_status": {"success": "true", "code": "1000"}}
    for items in ([unknown, other], [unknown], [{}, other, unknown], [mine, unknown]):
        listed = {"status": {"success": "true"}, "customers": {"customer": items}}
        scripted.script.append(JSONResponse({"response": listed}))
    customers = CustomerApi(scripted.client(), LookupSettings())
    both = customers.several([11, 12])
    assert {one: answer.kind for one, answer in both.items()} == {11: "unknown"}, "another's account is nobody's"
    assert customers.several([11, 12]) == {}, "one item for two ids tells nothing of either"
    assert customers.several([11, 12]) == {}
    swapped = customers.several([11, 12])
    assert {one: answer.kind for one, answer in swapped.items()} == {12: "found"}, (
        "in another order places tell nothing"
    )
    scripted.script.append(JSONResponse({"response": {"status": {"success": "true"}}}))
    with pytest.raises(TransientCapillaryApiError, match="has none in it"):
        customers.several([11])


def test_somebody_elses_account_is_no_merge(scripted: ScriptedApi) -> None:
    other = {"id": 77, "profiles": [{"firstName": "Other"}]}
    scripted.script.append(JSONResponse(other))
    customers = CustomerApi(scripted.client(), LookupSettings())
    with pytest.raises(TransientCapillaryApiError, match="is about another one"):
        customers.one(11)
    scripted.script.append(JSONResponse(other | {"warnings": [{"code": 91009, "message": "survivor"}]}))
    assert customers.one(11)[:2] == ("merged", other | {"warnings": [{"code": 91009, "message": "survivor"}]})


def test_points_that_could_not_be_read_are_not_taken(scripted: ScriptedApi) -> None:
    told = {
        "id": 11,
        "profiles": [],
        "loyaltyInfo": {"loyaltyType": "loyalty", "lifetimePurchases": 0},
        "pointsSummary": {"loyaltyPoints": 0},
        "loyaltyProgramDetails": [{"programId": 973, "loyaltyPoints": 0}],
        "expirySchedules": [],
        "warnings": [{"code": 91002, "message": "Points could not be fetched"}],
    }
    scripted.script += [JSONResponse(told), JSONResponse(told | {"warnings": [{"code": 91010, "message": "other"}]})]
    customers = CustomerApi(scripted.client(), LookupSettings())
    partial = customers.one(11)
    assert (partial.kind, partial.partial, partial.body["loyaltyInfo"]) == ("found", True, {"loyaltyType": "loyalty"})
    assert partial.body.keys() == {"id", "profiles", "loyaltyInfo", "warnings"}
    assert customers.one(11).body["pointsSummary"] == {"loyaltyPoints": 0}
    status = {"success": "true", "code": "91002", "message": "Points could not be fetched"}
    item = {"user_id": 11, "firstname": "Asha", "loyalty_points": "0", "points_summaries": {}, "item_status": status}
    listed = {"status": {"success": "true"}, "customers": {"customer": [item]}}
    scripted.script.append(JSONResponse({"response": listed}))
    assert customers.several([11])[11].body.keys() == {"user_id", "firstname", "item_status"}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("A deleted coupon of the customer is left out", "found"),
        ("Customer is deleted", "deleted"),
        ("customer 11 has been deleted", "deleted"),
        ("Customer is deleted, as a PII delete request demanded", "deleted"),
    ],
)
def test_only_a_customer_who_is_called_deleted_is(scripted: ScriptedApi, words: str, kind: str) -> None:
    scripted.script.append(JSONResponse({"id": 11, "warnings": [{"code": 1, "message": words}]}))
    assert CustomerApi(scripted.client(), LookupSettings()).one(11).kind == kind


def test_a_refusal_of_the_client_is_raised_and_names_the_right(start: Start) -> None:
    _, api = start(denied=frozenset({"Customer", "Transaction"}))
    for asking in (
        lambda: CustomerApi(api, LookupSettings()).one(11),
        lambda: CustomerApi(api, LookupSettings()).several([11]),
        lambda: TransactionApi(api).one("5"),
    ):
        with pytest.raises(
            PermanentCapillaryApiError, match="read on Customer, Transaction and Organization"
        ) as caught:
            asking()
        assert (caught.value.status, "11" in str(caught.value)) == (403, False)


def test_a_transaction_is_found_by_id_and_type(start: Start) -> None:
    running, api = start()
    running.put("transactions", transaction(5), transaction(6, type="RETURN"))
    bills = TransactionApi(api)
    found = bills.one("5")
    assert found.kind == "found"
    assert found.body["paymentModes"] == transaction(5)["paymentModes"]
    assert bills.one("6").kind == "unknown"
    assert bills.one("6", "RETURN").body["id"] == 6
    assert bills.one("no/number")[:2] == ("unknown", None)


class OtherClock(BaseHTTPRequestHandler):
    """Dates its answers by a clock of its own."""

    ahead_seconds = 0.0

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate((timestamp or time.time()) + self.ahead_seconds, usegmt=True)

    def _answer(self) -> None:
        body = b'{"id": 11, "data": {"id": 11, "accessToken": "t", "ttlSeconds": 300}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is that of the base class
        pass


@pytest.mark.parametrize(("ahead", "lowest", "highest"), [(0, -1, 0), (3600, -1, 0), (-3600, -3602, -3599)])
def test_the_moment_of_asking_is_capillarys_where_our_clock_is_ahead(
    ahead: float, lowest: float, highest: float
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Shifted", (OtherClock,), {"ahead_seconds": ahead})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = CapillaryApiSettings(
            url=f"http://127.0.0.1:{server.server_port}",
            key="client",
            secret="right-secret",  # pyright: ignore[reportArgumentType] - pydantic wraps it
        )
        asked_us = CustomerApi(CapillaryApi(settings, AccessToken(settings)), LookupSettings()).one(11).asked_us
        server.shutdown()
    assert lowest < asked_us / 1e6 - time.time() <= highest


def test_the_moment_is_that_of_asking_and_not_of_the_answer(scripted: ScriptedApi) -> None:
    scripted.seconds = 0.5
    before = time.time_ns() // 1000
    found = CustomerApi(scripted.client(), LookupSettings()).one(1)
    assert found.asked_us - before < 400_000


def test_a_deadline_ends_a_call(scripted: ScriptedApi) -> None:
    customers = CustomerApi(scripted.client(retry_seconds=30), LookupSettings())
    customers.one(1)
    scripted.seconds = 1.5
    began = time.monotonic()
    with pytest.raises(TransientCapillaryApiError):
        customers.one(1, time.monotonic() + 0.5)
    assert time.monotonic() - began < 1.4
    with pytest.raises(TransientCapillaryApiError, match="no time left"):
        customers.one(1, time.monotonic())
