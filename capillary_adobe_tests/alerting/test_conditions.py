"""Conditions: each is told when it holds no longer and is well when it does, by real stores, databases and connections."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from capillary_adobe.alerting.conditions import FailingTicks, lag
from capillary_adobe.alerting.watching import Watching
from capillary_adobe.landing import open_landing_store
from capillary_adobe.landing.store import LandedObject, landed_key
from capillary_adobe.pacing import CAPILLARY_API
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.settings import AlertSettings, load
from capillary_adobe.state import CallsInFlight, LandedObjects, MicroBatch, MicroBatches, SentBatch, SentBatches, State
from capillary_adobe.state.alerts import Alert, Alerts, Problem, Well
from capillary_adobe.state.lookups import LIVE, LookupQueue, Wanted
from capillary_adobe_tests.alerting.conftest import NOON

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass
class Place:
    """A landing folder and a state database under a clock of the test's own, and the looks at them."""

    root: Path
    now_ms: int = int(NOON * 1000)
    delivered_ms: int | None = None
    count: int = 0
    failing: list[FailingTicks] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = State(f"sqlite:///{self.root / 'state.db'}")
        self.landing_url = str(self.root / "landing")
        self.store = open_landing_store(self.landing_url)

    def land(self, at_ms: int, *, read: bool = True) -> None:
        """An object that was stored at a moment, and a run that has read it or not."""
        self.count += 1
        key = landed_key("events", at_ms, f"{at_ms}-{self.count}.jsonl")
        self.store.write(key, b"{}\n")
        os.utime(self.root / "landing" / key, (at_ms / 1000, at_ms / 1000))
        if read:
            ledger, day = LandedObjects(self.state), key.split("/")[1]
            taken = ledger.take(day, f"batch-{self.count}", [LandedObject(key, 3, at_ms)])
            ledger.record_lines(f"batch-{self.count}", {one.object_id: 1 for one in taken})

    def look(self) -> str:
        settings = load(AlertSettings, **self.settings)
        owners = {"landing": frozenset({"team:data"})}
        watching = Watching(
            self.state,
            settings,
            lambda: open_landing_store(self.landing_url),
            lambda asset: owners.get(asset, frozenset()),
            self.delivered_ms,
            lambda: self.now_ms / 1000,
            self.failing,
        )
        return watching.look()

    def standing(self) -> dict[str, Alert]:
        """Alerts that stand, by condition."""
        latest = Alerts(self.state).latest(50, standing=True)
        return {one.key.removeprefix("condition:"): one for one in latest}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in os.environ:
        if name.startswith(("ALERT_", "ADOBE_", "CAPILLARY_", "LANDING_", "STATE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)


def weeks(place: Place, *hours: int) -> None:
    """Four weeks with an event at each full hour of the day that is named."""
    midnight = place.now_ms - 12 * HOUR_MS
    for back in range(28, 0, -1):
        for hour in hours:
            place.land(midnight - back * DAY_MS + hour * HOUR_MS)


def test_silence_at_a_busy_hour_is_told_and_ends(place: Place) -> None:
    weeks(place, 8, 9, 10, 11)
    place.land(place.now_ms - 3 * HOUR_MS)
    assert place.look() == "Nothing lands"
    told = place.standing()["silence"]
    assert "180 minutes ago; in 4 of 4 weeks before, events landed in these hours" in told.cause
    assert told.owned_by == {"team:data"}
    place.now_ms += MINUTE_MS
    place.land(place.now_ms, read=False)
    assert place.look() == "all is as it should be"
    assert place.standing() == {}


def test_a_quiet_hour_is_no_silence(place: Place) -> None:
    weeks(place, 6, 7, 20)
    place.land(place.now_ms - 5 * HOUR_MS + MINUTE_MS)
    assert place.look() == "all is as it should be"
    place.now_ms += 9 * HOUR_MS
    assert place.look() == "Nothing lands"


def test_the_first_days_compare_with_the_days_before(place: Place) -> None:
    assert place.look() == "all is as it should be"
    for back in (2, 1):
        place.land(place.now_ms - back * DAY_MS)
        place.land(place.now_ms - back * DAY_MS - 4 * HOUR_MS)
    place.land(place.now_ms - 5 * HOUR_MS)
    assert place.look() == "Nothing lands"
    assert "in 2 of 2 days before" in place.standing()["silence"].cause


def test_a_short_silence_is_none(place: Place) -> None:
    weeks(place, 11)
    place.land(place.now_ms - 61 * MINUTE_MS)
    place.now_ms -= 2 * MINUTE_MS
    assert place.look() == "all is as it should be"
    place.settings["silence_minutes"] = 30
    assert place.look() == "Nothing lands"


def test_events_that_wait_while_no_delivery_ends_are_told(place: Place) -> None:
    place.land(place.now_ms, read=False)
    place.delivered_ms = place.now_ms - HOUR_MS
    assert place.look() == "all is as it should be"
    place.now_ms += 20 * MINUTE_MS
    place.land(place.now_ms, read=False)
    assert place.look() == "all is as it should be"
    place.now_ms += 20 * MINUTE_MS
    place.land(place.now_ms, read=False)
    assert place.look() == "Landed events are not delivered"
    assert "waited for 40 minutes" in place.standing()["waiting events"].cause
    # Deliveries end again, though events always wait.
    place.delivered_ms = place.now_ms
    place.now_ms += MINUTE_MS
    assert place.look() == "all is as it should be"
    assert place.standing() == {}


def test_a_micro_batch_that_never_ends_is_told_unless_a_failed_step_already_is(place: Place) -> None:
    place.land(place.now_ms)
    MicroBatches(place.state).ask(MicroBatch("b", "2026-11-26", "live", "", "events/x", 1, 1))
    place.look()
    place.now_ms += 31 * MINUTE_MS
    failed = Problem("step:xdm_events:d:E", "step:xdm_events:d", "s", "error", "t", "c", "c", place.now_ms)
    failed = replace(failed, asset="xdm_events")
    Alerts(place.state).note([failed], 0, "runs")
    assert place.look() == "all is as it should be"
    Alerts(place.state).note([Well("step:xdm_events:d", place.now_ms + 1)], 0, "runs")
    assert place.look() == "Landed events are not delivered"


def test_a_failed_step_that_events_do_not_wait_for_hides_nothing(place: Place) -> None:
    long_ago = place.now_ms - DAY_MS
    Alerts(place.state).note(
        [
            Problem("step:stores::E", "step:stores:", "s", "error", "t", "c", "c", place.now_ms, asset="stores"),
            Problem(
                "step:raw_events:d:E", "step:raw_events:d", "s", "error", "t", "c", "c", long_ago, asset="raw_events"
            ),
        ],
        0,
        "runs",
    )
    place.land(place.now_ms, read=False)
    place.look()
    place.now_ms += 31 * MINUTE_MS
    assert place.look() == "Landed events are not delivered"


def test_a_landing_store_that_cannot_be_read_is_told_and_hides_no_other_look(place: Place) -> None:
    place.landing_url = "ftp://nowhere"
    place.settings["credentials"] = "KEY=2026-11-27"
    assert place.look() == "The landing store cannot be read; The credential KEY expires soon"


def test_quotas(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CLIENT_ID", "CLIENT_SECRET", "EVENTS_SCHEMA_ID", "EVENTS_DATASET_ID", "EVENTS_FLOW_ID", "TENANT_ID")
    for name in names:
        monkeypatch.setenv(f"ADOBE_{name}", "x")
    monkeypatch.setenv("ADOBE_ORG_ID", "1@AdobeOrg")
    monkeypatch.setenv("ADOBE_INLET_URL", "https://dcs.example.com/collection/abc")
    monkeypatch.setenv("ADOBE_BATCHES_PER_DAY", "10")
    register = SentBatches(place.state)
    for number in range(10):
        register.begin(SentBatch(f"b{number}", "2026-11-01", "t", place.now_ms))
        if number == 6:
            assert place.look() == "all is as it should be"
    assert place.look() == "The batches of the day are used up"
    assert "10 of 10 batches" in place.standing()["batches of the day"].cause
    place.now_ms += 12 * HOUR_MS
    assert place.look() == "all is as it should be"


def test_calls_at_capillary_are_told_when_live_look_ups_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPILLARY_LOOKUP_CALLS_PER_MINUTE", "10")
    calls = CallsInFlight(CAPILLARY_API)
    with place.state.begin() as connection:
        for _ in range(8):
            calls.begin(connection, place.now_ms / 1000)
    assert place.look() == "all is as it should be"
    wanted = [Wanted.of_customer(CustomerKey(7, 1))]
    LookupQueue(place.state).want(wanted, LIVE, place.now_ms - 6 * MINUTE_MS)
    assert place.look() == "Look-ups at Capillary wait for its quota"
    assert "8 of 10 calls" in place.standing()["calls at Capillary"].cause
    place.now_ms += 4 * MINUTE_MS
    assert place.look() == "all is as it should be"


def test_credentials_that_expire(place: Place) -> None:
    place.settings["credentials"] = "ADOBE_CLIENT_SECRET=2026-12-20 CAPILLARY_API_SECRET=2026-11-20 LATER=2027-03-01"
    place.look()
    standing = place.standing()
    assert {name: one.severity for name, one in standing.items()} == {
        "credential ADOBE_CLIENT_SECRET": "warning",
        "credential CAPILLARY_API_SECRET": "error",
    }
    assert "it expires on 2026-12-20, in 24 days" in standing["credential ADOBE_CLIENT_SECRET"].cause
    assert "expired on 2026-11-20" in standing["credential CAPILLARY_API_SECRET"].cause


def test_the_webhooks_certificate(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with tls_server(tmp_path, datetime.fromtimestamp(NOON, UTC) + timedelta(days=5, hours=1)) as port:
        monkeypatch.setenv("CAPILLARY_WEBHOOK_URL", f"https://127.0.0.1:{port}/events")
        assert place.look() == "The certificate of the webhook's address 127.0.0.1 expires soon"
        [told] = place.standing().values()
        assert told.severity == "error"
        assert "in 5 days" in told.cause
    # Nobody answers: that tells nothing about the certificate.
    place.now_ms += 2 * HOUR_MS
    assert place.look() == "all is as it should be"
    assert len(place.standing()) == 1
    # Capillary is given another address.
    monkeypatch.setenv("CAPILLARY_WEBHOOK_URL", "http://127.0.0.1/events")
    place.now_ms += MINUTE_MS
    place.look()
    assert place.standing() == {}


def test_what_is_looked_at_no_longer_ends(place: Place) -> None:
    place.settings["credentials"] = "OLD=2026-11-27"
    place.failing = [FailingTicks("history_sensor", True, 3, place.now_ms - HOUR_MS, "Gone. Mend it.")]
    place.look()
    assert set(place.standing()) == {"credential OLD", "ticks of history_sensor"}
    # It waits for its patience only: that is no end.
    place.failing = [FailingTicks("history_sensor", True, 1, place.now_ms, "Gone. Mend it.")]
    place.settings["credentials"] = "NEW=2028-01-01"
    place.now_ms += MINUTE_MS
    place.look()
    assert set(place.standing()) == {"ticks of history_sensor"}
    # Stopped by hand.
    place.failing = []
    place.now_ms += MINUTE_MS
    place.look()
    assert place.standing() == {}


def test_a_sensor_of_alerts_that_falls_behind_is_told_by_the_other(place: Place) -> None:
    settings, alerts = load(AlertSettings), Alerts(place.state, lambda: place.now_ms / 1000)
    alerts.expect("runs")
    assert isinstance(lag(alerts, "runs", "alert_sensor", settings, place.now_ms), Well)
    place.now_ms += 16 * MINUTE_MS
    told = lag(alerts, "runs", "alert_sensor", settings, place.now_ms)
    assert isinstance(told, Problem)
    assert told.title == "alert_sensor is behind"
    # Seeing a part is not enough.
    alerts.note([], 0, "runs", "{}", through=False)
    assert isinstance(lag(alerts, "runs", "alert_sensor", settings, place.now_ms), Problem)
    alerts.note([], 0, "runs", "{}")
    assert isinstance(lag(alerts, "runs", "alert_sensor", settings, place.now_ms), Well)


def test_ticks_that_fail_are_told_a_schedules_at_once(place: Place) -> None:
    words = "INSIGHTS_URL cannot be listed (timeout). Check the network."
    place.failing = [
        FailingTicks("history_sensor", True, 3, place.now_ms - 2 * MINUTE_MS, words),
        FailingTicks("close_day", False, 1, place.now_ms, ""),
        FailingTicks("landing_sensor", True),
    ]
    assert place.look() == "The schedule close_day fails"
    told = place.standing()["ticks of close_day"]
    assert (told.severity, told.cause) == (
        "error",
        "its last tick has failed, and its job was not asked for: an unexpected error",
    )
    assert "launch its job" in told.cure
    place.now_ms += 14 * MINUTE_MS
    place.look()
    told = place.standing()["ticks of history_sensor"]
    assert told.cause.endswith("INSIGHTS_URL cannot be listed (timeout).")
    assert told.cure == "Check the network."
    place.failing = [FailingTicks("history_sensor", True), FailingTicks("close_day", False)]
    place.now_ms += MINUTE_MS
    assert place.look() == "all is as it should be"


@contextmanager
def tls_server(folder: Path, ends: datetime) -> Iterator[int]:
    """A server with a certificate of its own that ends then."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
