"""The webhook at Capillary: from any state to the wanted one, never a second one, never an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from capillary_adobe.capillary.api.client import (
    CapillaryApi,
    PermanentCapillaryApiError,
    TransientCapillaryApiError,
)
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.capillary.api.webhooks import Webhooks, headers_of
from capillary_adobe.emulators.capillary.app import Behaviour, RunningCapillary
from capillary_adobe.settings import (
    CapillaryApiSettings,
    ReceiverSettings,
    SettingsError,
    WebhookSettings,
    load,
)
from capillary_adobe.subscribing import Action, Plan, Subscription, open_subscription
from capillary_adobe.wanted_webhook import Wanted, events_in_use, wanted_webhook
from capillary_adobe_tests.examples import examples

URL = "https://events.example.com/events"
ELSEWHERE = "https://old.example.com/events"
WANTED = Wanted(
    name="ours",
    url=URL,
    events=frozenset({"pointsIssued", "tierUpgraded"}),
    connections=10,
    till=True,
    store=True,
    identifiers=frozenset({"Instore"}),
    child_orgs=False,
    header="Authorization",
    secret="hush-hush-hush",
    receive_path="/events",
)
AS_WANTED = WANTED.onto({})


@pytest.fixture(scope="module")
def capillary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCapillary]:
    with RunningCapillary(tmp_path_factory.mktemp("capillary")) as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_there(capillary: RunningCapillary) -> None:
    empty(capillary)


def empty(capillary: RunningCapillary) -> None:
    capillary._emulation.webhooks._records.clear()
    capillary.faults.clear()


def webhooks(capillary: RunningCapillary, **more: Any) -> Webhooks:
    values: dict[str, Any] = {"retry_seconds": 3, "timeout_seconds": 5} | more
    credential: Any = {"key": capillary.organisation.key, "secret": capillary.organisation.secret}
    settings = CapillaryApiSettings(url=capillary.base_url, **credential, **values)
    return Webhooks(CapillaryApi(settings, AccessToken(settings)))


def subscription(capillary: RunningCapillary, wanted: Wanted = WANTED, **more: Any) -> Subscription:
    return Subscription(webhooks(capillary, **more), wanted, sleep=lambda _: None)


def names(capillary: RunningCapillary) -> list[str]:
    return [one["name"] for one in capillary.webhooks()]


def test_it_is_made_read_back_and_then_left_alone(capillary: RunningCapillary) -> None:
    plan = subscription(capillary).plan()
    assert (plan.action, plan.notes, capillary.webhooks()) == (Action.CREATE, (), [])

    done = subscription(capillary).apply()

    assert done.action is Action.CREATE
    [made] = capillary.webhooks()
    assert AS_WANTED.items() <= made.items()
    assert done.record == made
    again = subscription(capillary)
    assert again.plan().action is again.apply().action is Action.NOTHING
    assert capillary.webhooks() == [made]


def unordered(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its headers, which are looked at apart, and without the order of its lists."""
    rest = {name: value for name, value in record.items() if name != "webHookHeaders"}
    return {name: frozenset(value) if isinstance(value, list) else value for name, value in rest.items()}


TEXT = st.sampled_from(["a", "b", "text/plain", "application/json; charset=utf-8", WANTED.secret])
RECORDS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["ours", "theirs", "others"]),
        "webHookUrl": st.sampled_from([URL, ELSEWHERE]),
        "eventNames": st.lists(st.sampled_from(["pointsIssued", "tierUpgraded", "customerAdded"]), min_size=1),
        "maxAllowedConnections": st.integers(1, 20),
        "webHookHeaders": st.dictionaries(
            st.sampled_from(["Authorization", "authorization", "Content-Type", "content-type", "X-Gateway"]), TEXT
        ),
        "active": st.booleans(),
    },
    optional={
        "tillDetailsEnrichmentEnabled": st.booleans(),
        "storeDetailsEnrichmentEnabled": st.booleans(),
        "listenToChildEvents": st.booleans(),
        "customerIdentifiersToBeEnriched": st.lists(st.sampled_from(["Instore", "WeChat"])),
        "methodType": st.sampled_from(["POST", "PUT"]),
        "webHookType": st.sampled_from(["HTTP", "QUEUE_INT"]),
        "slaInSeconds": st.integers(1, 100),
        "neoEnrichment": st.just({"label": "l", "value": "v"}),
    },
)


@limits(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(existing=st.lists(RECORDS, max_size=3, unique_by=lambda one: one["name"]))
def test_any_state_becomes_the_wanted_one_and_a_second_plan_is_empty(
    capillary: RunningCapillary, existing: list[dict[str, Any]]
) -> None:
    empty(capillary)
    before = [capillary.subscribe(**one) for one in existing]
    work = subscription(capillary)
    plan = work.plan()

    if plan.action is Action.BLOCKED:
        with pytest.raises(PermanentCapillaryApiError):
            work.apply()
        assert capillary.webhooks() == before
        assert plan.why
        return
    work.apply()

    after = capillary.webhooks()
    assert work.plan().action is Action.NOTHING
    [ours] = [one for one in after if one["name"] == "ours"]
    assert unordered(ours).items() >= unordered(AS_WANTED).items()
    headers = ours["webHookHeaders"]
    assert [value for name, value in headers.items() if name.lower() == "authorization"] == [WANTED.secret]
    # All else is as it was: other webhooks, other headers, fields that nobody here knows.
    assert [one for one in after if one["name"] != "ours"] == [one for one in before if one["name"] != "ours"]
    for old in [one for one in before if one["name"] == "ours"]:
        assert old["webHookId"] == ours["webHookId"]
        assert {name: ours.get(name) for name in ("neoEnrichment", "slaInSeconds", "consumerGroupId")} == {
            name: old.get(name) for name in ("neoEnrichment", "slaInSeconds", "consumerGroupId")
        }
        assert headers.get("X-Gateway") == old["webHookHeaders"].get("X-Gateway")
    # What is active stays so, and no address gets what it gets twice for a webhook that was made here.
    assert {one["name"] for one in before if one["active"]} <= {one["name"] for one in after if one["active"]}
    mine = plan.action is Action.CREATE
    assert not mine or [one["name"] for one in after if one["active"] and one["webHookUrl"] == URL] == ["ours"]


def test_a_new_secret_is_moved_and_never_told(capillary: RunningCapillary) -> None:
    capillary.subscribe(**AS_WANTED | {"webHookHeaders": {"authorization": "the-old-secret", "X-Key": "k-e-y"}})

    plan = subscription(capillary).plan()

    assert {(one.field, one.now, one.then) for one in plan.changes} == {
        ("header Authorization", "*** (differs)", "***"),
        ("header Content-Type", "missing", "application/json"),
    }
    assert "X-Key" in plan.notes[0]
    told = f"{plan} {plan.as_dict()} {plan.changes}"
    assert not [one for one in ("the-old-secret", "hush", "k-e-y") if one in told]
    for address, shown in (
        ("https://old.example.com/f?code=k-e-y", "https://old.example.com/f?***"),
        ("https://user:k-e-y@old.example.com/f", "https://old.example.com/f"),
    ):
        moved = WANTED.changes(AS_WANTED | {"webHookUrl": address})
        assert [(one.field, one.now) for one in moved] == [("webHookUrl", shown)]
    subscription(capillary).apply()
    assert capillary.webhooks()[0]["webHookHeaders"] == {
        "Authorization": WANTED.secret,
        "Content-Type": "application/json",
        "X-Key": "k-e-y",
    }


@pytest.mark.parametrize("unique_names", [True, False])
def test_a_lost_answer_never_makes_a_second_webhook(tmp_path: Path, unique_names: bool) -> None:
    with RunningCapillary(tmp_path, Behaviour(unique_names=unique_names)) as capillary:
        for fault in ({"kind": "reset_after"}, {"kind": "delay", "seconds": 0.5}):
            empty(capillary)
            capillary.faults.add(**fault, method="POST", path="/v3/webHooks")
            assert subscription(capillary, timeout_seconds=0.3).apply().action is Action.CREATE
            assert names(capillary) == ["ours"]


def test_a_creation_that_did_not_happen_is_made_again(capillary: RunningCapillary) -> None:
    capillary.faults.add(kind="reset_before", method="POST", path="/v3/webHooks", times=2)
    assert subscription(capillary).apply().action is Action.CREATE
    assert names(capillary) == ["ours"]

    empty(capillary)
    capillary.faults.add(kind="reset_before", method="POST", path="/v3/webHooks", times=None)
    with pytest.raises(TransientCapillaryApiError, match="unknown"):
        subscription(capillary).apply()


def test_a_creation_that_takes_effect_late_is_found(capillary: RunningCapillary) -> None:
    """The answer does not come in time, and the webhook appears only after it was looked for."""
    looks = iter(range(10))

    def meanwhile(_seconds: float) -> None:
        if next(looks) == 1:
            capillary.subscribe(**AS_WANTED)

    capillary.faults.add(kind="reset_before", method="POST", path="/v3/webHooks")
    Subscription(webhooks(capillary), WANTED, sleep=meanwhile).apply()
    assert names(capillary) == ["ours"]


def test_a_process_that_ended_in_between_leaves_nothing_to_mend(capillary: RunningCapillary) -> None:
    """As after a kill: the creation was sent and nobody read the answer."""
    capillary.faults.add(kind="reset_after", method="POST", path="/v3/webHooks")
    with pytest.raises(TransientCapillaryApiError):
        webhooks(capillary).create(AS_WANTED)
    assert subscription(capillary).apply().action is Action.NOTHING
    assert names(capillary) == ["ours"]


def test_two_at_the_same_time_make_one_webhook(capillary: RunningCapillary) -> None:
    together = threading.Barrier(4)

    def apply(_: int) -> Plan:
        work = subscription(capillary)
        together.wait()
        return work.apply()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(apply, range(4)))
    assert names(capillary) == ["ours"]
    assert {one.record["webHookId"] for one in done if one.record} == {capillary.webhooks()[0]["webHookId"]}


def test_two_at_the_same_time_over_one_state_database_make_one_webhook_whatever_capillary_holds_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RunningCapillary(tmp_path / "capillary", Behaviour(unique_names=False)) as capillary:
        given = {**capillary.environment, "CAPILLARY_WEBHOOK_URL": URL, "RECEIVE_SECRET": WANTED.secret}
        for name, value in {**given, "STATE_URL": f"sqlite:///{tmp_path / 'state.db'}"}.items():
            monkeypatch.setenv(name, value)
        both = [open_subscription(), open_subscription()]
        # Whoever is first is held up between its look and its creation.
        capillary.faults.add(kind="delay", seconds=0.3, method="POST", path="/v3/webHooks")
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda one: one.apply().action, both))
        assert sorted(done) == [Action.CREATE, Action.NOTHING]
        assert len(capillary.webhooks()) == 1

        # Another installation, at the same moment.
        capillary.subscribe(**capillary.webhooks()[0])
        with pytest.raises(PermanentCapillaryApiError, match="Several active webhooks"):
            both[0].apply()


def test_a_second_one_that_appears_while_ours_is_made_is_told_as_such(tmp_path: Path) -> None:
    with RunningCapillary(tmp_path, Behaviour(unique_names=False)) as capillary:
        calls = webhooks(capillary)
        make = calls.create

        def both(record: dict[str, Any]) -> None:
            capillary.subscribe(**AS_WANTED)
            make(record)

        calls.create = both
        with pytest.raises(PermanentCapillaryApiError, match="Several active webhooks"):
            Subscription(calls, WANTED, sleep=lambda _: None).apply()


def test_a_webhook_that_was_deactivated_is_not_taken_up_again(capillary: RunningCapillary) -> None:
    capillary.subscribe(**AS_WANTED | {"active": False})
    plan = subscription(capillary).plan()
    assert (plan.action, "CAPILLARY_WEBHOOK_NAME" in plan.why) == (Action.BLOCKED, True)


def test_the_same_address_under_another_name_is_told_and_not_doubled(capillary: RunningCapillary) -> None:
    capillary.subscribe(**AS_WANTED | {"name": "theirs"})
    plan = subscription(capillary).plan()
    assert (plan.action, "theirs" in plan.why) == (Action.BLOCKED, True)
    for written in ("https://EVENTS.example.com:443/events", f"{URL}/", f"{URL}?key=1"):
        empty(capillary)
        capillary.subscribe(**AS_WANTED | {"name": "theirs", "webHookUrl": written})
        assert subscription(capillary).plan().action is Action.BLOCKED

    capillary.subscribe(**AS_WANTED)
    plan = subscription(capillary).plan()
    assert plan.action is Action.NOTHING
    assert plan.notes == ("Another webhook posts to the same address: theirs. What both send arrives twice.",)


def test_events_that_capillary_does_not_name_are_told(capillary: RunningCapillary) -> None:
    wanted = replace(WANTED, events=frozenset({"pointsIssued", "pointIssued", "zzz"}))
    [note] = subscription(capillary, wanted).plan().notes
    assert note.startswith(
        "Capillary names no active event type pointIssued (did you mean pointsIssued?), zzz. It names:"
    )

    # The call is documented in the oldest pages only, so it may be missing or fail.
    for status in (404, 500):
        capillary.faults.clear()
        capillary.faults.add(kind="status", status=status, path="/v3/webHooks/eventMetaData", times=None)
        assert subscription(capillary, wanted, retry_seconds=0).plan().notes == ()


def test_an_address_beside_the_receivers_path_is_told(capillary: RunningCapillary) -> None:
    """Before the webhook is made: what the receiver answers with 404 may be lost."""
    for url, right in ((f"{URL}/", False), ("https://events.example.com", False), (f"{ELSEWHERE[:-7]}/a/events", True)):
        notes = subscription(capillary, replace(WANTED, url=url)).plan().notes
        assert [note.startswith("CAPILLARY_WEBHOOK_URL does not end with RECEIVE_PATH=/events") for note in notes] == (
            [] if right else [True]
        )


def test_values_that_capillary_does_not_keep_are_told(capillary: RunningCapillary) -> None:
    wanted = replace(WANTED, connections=cast("int", 2.5))
    with pytest.raises(PermanentCapillaryApiError, match="keeps another value of: maxAllowedConnections"):
        subscription(capillary, wanted).apply()
    assert names(capillary) == ["ours"]


def test_what_capillary_refuses_is_told_with_its_code_and_without_the_secret(tmp_path: Path) -> None:
    for behaviour in (Behaviour(), Behaviour(errors_with_200=True)):
        with RunningCapillary(tmp_path, behaviour) as capillary:
            wanted = replace(WANTED, connections=0)
            with pytest.raises(PermanentCapillaryApiError, match="51007: maxAllowedConnections must be") as refused:
                subscription(capillary, wanted).apply()
            assert "Set CAPILLARY_WEBHOOK_CONNECTIONS" in str(refused.value)
    body = {"kind": "status", "status": 400, "body": {"errors": [{"code": 1, "message": f"bad {WANTED.secret}"}]}}
    with RunningCapillary(tmp_path) as capillary:
        capillary.faults.add(**body, method="POST", path="/v3/webHooks")
        with pytest.raises(PermanentCapillaryApiError, match=r"bad \*\*\*\."):
            subscription(capillary).apply()


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ({"A": "x"}, {"A": "x"}),
        ([{"key": "A", "value": "x"}, {"name": "B", "value": 1}, "odd", {}], {"A": "x", "B": "1"}),
        (None, {}),
        ("odd", {}),
    ],
)
def test_headers_are_read_in_both_forms(headers: Any, read: dict[str, str]) -> None:
    assert headers_of({"webHookHeaders": headers}) == read


@pytest.mark.parametrize(
    "url", ["http://events.example.com/x", "ftp://x/y", "events.example.com", "https://u:p@x/y", "https://x/?k=s"]
)
def test_an_address_that_is_not_safe_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CAPILLARY_WEBHOOK_URL", url)
    with pytest.raises(SettingsError, match="CAPILLARY_WEBHOOK_URL is malformed"):
        load(WebhookSettings)


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:8790/events", "http://localhost/x", "http://[::1]:1/x"])
def test_an_address_that_is_safe_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CAPILLARY_WEBHOOK_URL", url)
    assert load(WebhookSettings).url == url


def test_the_events_are_those_of_the_mapping_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_URL", f"sqlite:///{tmp_path / 'state.db'}")
    receiver = ReceiverSettings(secret="hush")  # pyright: ignore[reportArgumentType]
    all_of_them = wanted_webhook(WebhookSettings(url=URL), receiver).events
    assert {"pointsIssued", "tierUpgraded", "customerAdded", "transactionAdded"} <= all_of_them
    assert all_of_them == set(events_in_use())
    monkeypatch.setenv("CAPILLARY_DELIVER_OTHER_EVENTS", "true")
    more = set(events_in_use())
    assert all_of_them < more
    assert "promotionCreated" not in more

    some = wanted_webhook(WebhookSettings(url=URL, events="pointsIssued, ownEvent,"), receiver)
    assert some.events == {"pointsIssued", "ownEvent"}
    with pytest.raises(SettingsError, match="names no event"):
        wanted_webhook(WebhookSettings(url=URL, events=","), receiver)
    with pytest.raises(SettingsError, match=r"(?s)CAPILLARY_WEBHOOK_URL is missing.*RECEIVE_SECRET is missing"):
        wanted_webhook(WebhookSettings(), ReceiverSettings())
