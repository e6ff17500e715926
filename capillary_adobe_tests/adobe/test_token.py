"""Access tokens: shared, renewed in time, and plain words where there is none."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from starlette.responses import Response

from capillary_adobe.adobe import Delivery, PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.adobe.catalog import Catalog
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.token import AccessToken, shared_token
from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.sending import entities, settings_for, work

SECRET = "a-secret-that-must-stay-one"


def test_twenty_threads_share_one_token(tmp_path: Path) -> None:
    with RunningEmulator(tmp_path, behaviour=Behaviour(latency_seconds=0.05)) as emulator:
        token = AccessToken(settings_for(emulator.environment))
        with ThreadPoolExecutor(20) as pool:
            values = list(pool.map(lambda _: token.value(), range(20)))
        assert len(set(values)) == 1
        assert requests.get(f"{emulator.base_url}/summary.json", timeout=5).json()["tokens"] == {"200": 1}


def test_twenty_threads_that_find_it_stale_replace_it_once(scripted: StartInlet) -> None:
    inlet = scripted()
    token = AccessToken(settings_for(inlet.environment))
    stale = token.value()
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: token.value(stale=stale), range(20))) == {"token-2"}
    assert inlet.token_requests == 2


def test_all_clients_of_one_credential_share_a_token(tmp_path: Path, state: State) -> None:
    with RunningEmulator(tmp_path, behaviour=Behaviour(latency_seconds=0.05)) as emulator:

        def settings() -> AdobeSettings:
            return settings_for(emulator.environment)

        with ThreadPoolExecutor(20) as pool:
            clients = list(pool.map(lambda _: shared_token(settings()), range(20)))
        assert len({id(client) for client in clients}) == 1
        # What a client does not prove itself with makes no difference.
        assert shared_token(settings_for(emulator.environment, connections=1)) is clients[0]
        assert Catalog(Platform(settings(), shared_token(settings()))).batch("another") is None
        for start in range(0, 30, 10):
            counts = Delivery(settings(), state, shared_token(settings())).deliver(
                work(entities(10, start)), lambda _: None
            )
            assert counts.outcomes == {"accepted": 10}
        seen = requests.get(f"{emulator.base_url}/summary.json", timeout=5).json()
    assert seen["tokens"] == {"200": 1}


@pytest.mark.parametrize("changed", ["ims_url", "client_id", "client_secret", "scopes"])
def test_a_changed_credential_gets_a_token_of_its_own(scripted: StartInlet, changed: str) -> None:
    environment = scripted().environment
    before = shared_token(settings_for(environment))
    after = shared_token(settings_for(environment, **{changed: "https://other.example"}))
    assert after is not before
    assert shared_token(settings_for(environment)) is before


def test_a_rotated_secret_works_at_once_beside_the_old_one(tmp_path: Path) -> None:
    with RunningEmulator(tmp_path) as emulator:
        old = shared_token(settings_for(emulator.environment, client_secret=SECRET))
        with pytest.raises(PermanentDeliveryError, match="ADOBE_CLIENT_SECRET"):
            old.value()
        assert shared_token(settings_for(emulator.environment)).value()


def test_a_token_is_renewed_ahead_of_its_expiry(scripted: StartInlet) -> None:
    inlet = scripted()
    inlet.expires_in = 0.8  # a quarter of it is the margin
    token = AccessToken(settings_for(inlet.environment))
    began = time.monotonic()
    assert token.value() == "token-1"
    while token.value() == "token-1":
        assert time.monotonic() - began < 0.8, "the token has expired and is still given out"
    assert time.monotonic() - began > 0.5


@pytest.mark.parametrize(("expires_in", "renewed"), [(86399, False), (86399992, False), (0, True), (1_000_001, True)])
def test_life_is_read_in_seconds_and_in_milliseconds(scripted: StartInlet, expires_in: int, renewed: bool) -> None:
    inlet = scripted()
    inlet.expires_in = expires_in
    # 1,000,001 ms are 17 minutes, 1,000,001 s would be 11 days: a clock 20 minutes on tells them apart.
    now = [0.0]
    token = AccessToken(settings_for(inlet.environment), clock=lambda: now[0])
    token.value()
    now[0] = 1200.0
    token.value()
    assert (inlet.token_requests == 2) is renewed


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"client_secret": SECRET}, "ADOBE_CLIENT_SECRET"),
        ({"client_id": "unknown"}, "ADOBE_CLIENT_ID"),
        ({"scopes": "everything"}, "ADOBE_SCOPES"),
    ],
)
def test_a_refused_credential_names_the_cure_and_no_secret(tmp_path: Path, wrong: dict[str, str], cure: str) -> None:
    with RunningEmulator(tmp_path) as emulator:
        settings = settings_for({**emulator.environment, "ADOBE_CLIENT_SECRET": emulator.tenant.client_secret}, **wrong)
        with pytest.raises(PermanentDeliveryError, match=cure) as refused:
            AccessToken(settings).value()
    assert SECRET not in str(refused.value)
    assert emulator.tenant.client_secret not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_identity_service_out_of_reach_is_a_passing_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    settings = settings_for(RunningEmulator(Path()).tenant.environment(url), client_secret=SECRET)
    with pytest.raises(TransientDeliveryError, match="ADOBE_IMS_URL") as failed:
        AccessToken(settings).value()
    assert SECRET not in str(failed.value)
    assert failed.value.__suppress_context__


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Response("<html>sign in to the network</html>"), id="a-page"),
        pytest.param(Response("[]"), id="no-object"),
        pytest.param(Response('{"access_token": "t"}'), id="no-life"),
        pytest.param(Response('{"access_token": "t", "expires_in": null}'), id="null-life"),
    ],
)
def test_an_answer_without_a_token_is_a_passing_fault(scripted: StartInlet, answer: Response) -> None:
    inlet = scripted()
    inlet.tokens.append(answer)
    token = AccessToken(settings_for(inlet.environment))
    with pytest.raises(TransientDeliveryError, match="ADOBE_IMS_URL"):
        token.value()
    assert token.value() == "token-2"


def test_a_busy_identity_service_is_asked_again(scripted: StartInlet) -> None:
    inlet = scripted()
    inlet.tokens.append(Response(status_code=429, headers={"Retry-After": "3600"}))
    assert AccessToken(settings_for(inlet.environment)).value() == "token-2"


def test_a_refusal_without_a_readable_reason_still_has_a_cure(scripted: StartInlet) -> None:
    inlet = scripted()
    inlet.tokens.append(Response('["no"]', status_code=400))
    with pytest.raises(PermanentDeliveryError, match=r"400 without a reason.*ADOBE_CLIENT_"):
        AccessToken(settings_for(inlet.environment)).value()
