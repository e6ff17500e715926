"""Nothing secret or personal is told: the whole road at DEBUG, with failures at every stage, and then a search for the values.

Looked through are what the programs print, the log of each run with its events, checks, tags and metadata, captured output,
ticks, and alerts as their receivers read them. The tables, the landing store and the state database hold data and are left out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
import yaml
from click.testing import CliRunner

from capillary_adobe.cli import main
from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.defs.customer_sensor import LOOKUP_JOB
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.emulators.capillary.app import RunningCapillary
from capillary_adobe.emulators.capillary.organisation import Organisation
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.settings import every_class, variable
from capillary_adobe_tests.alerting.receivers import Receiver, webhook
from capillary_adobe_tests.defs.installation import Installation, failure_of
from capillary_adobe_tests.defs.leaks import CARD, CUSTOMER_ID, EMAIL, MOBILE, PERSON, SECRETS, event, files, found_in
from capillary_adobe_tests.landing.receiver.receiving import receiving, wait_until

BROKEN = "pointsIssued:\n  fields:\n    loyalty.made.up: {from: x}\n"


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Road:
    """An installation that tells everything it can, and all that it has told."""

    folder: Path
    installation: Installation
    aep: RunningEmulator
    capillary: RunningCapillary
    hook: Receiver
    told: dict[str, str] = field(default_factory=dict)

    def places(self) -> Iterator[tuple[str, bytes]]:
        """Everything that was told, by where."""
        yield from ((f"home/{name}", data) for name, data in files(self.folder / "home"))
        yield "python.log", (self.folder / "python.log").read_bytes()
        yield from ((name, text.encode()) for name, text in self.told.items())
        yield from (
            (f"alert {place}", f"{one.title}\n{one.body}".encode()) for place, one in enumerate(self.hook.taken)
        )

    def run(self, job: str = JOB, *, day: str | None = None, **more: Any) -> dg.ExecuteInProcessResult:
        loud = dg.RunConfig(loggers={"console": {"config": {"log_level": "DEBUG"}}})
        resolved = self.installation.definitions.resolve_job_def(job)
        instance = self.installation.instance
        return resolved.execute_in_process(
            instance=instance, partition_key=day, run_config=loud, raise_on_error=False, **more
        )

    def tick(self, sensor: str) -> None:
        definitions = self.installation.definitions
        with dg.build_sensor_context(
            instance=self.installation.instance,
            resources=self.installation.resources,
            repository_def=definitions.get_repository_def(),
        ) as context:
            try:
                told: object = definitions.resolve_sensor_def(sensor).evaluate_tick(context)
            except Exception as error:  # noqa: BLE001 - what an operator reads of the tick
                told = f"{error!r} {error.__cause__!r}"
        self.told[f"tick of {sensor} {len(self.told)}"] = str(told)

    def call(self, *arguments: str, **settings: str) -> None:
        answer = CliRunner().invoke(main, arguments, env=settings)
        self.told[f"capillary-adobe {' '.join(arguments)} {len(self.told)}"] = f"{answer.output}\n{answer.exception!r}"


@pytest.fixture
def road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Road]:
    (home := tmp_path / "home").mkdir()
    # Whatever any library logs goes into the log of the run.
    everything = {"managed_python_loggers": ["root"], "python_log_level": "DEBUG"}
    (home / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, "python_logs": everything}))
    organisation = Organisation("an-api-client", SECRETS["CAPILLARY_API_SECRET"])
    tenant = replace(Tenant.demo(), client_secret=SECRETS["ADOBE_CLIENT_SECRET"])
    root, kept = logging.getLogger(), logging.getLogger().level
    handler = logging.FileHandler(tmp_path / "python.log")
    monkeypatch.chdir(tmp_path)
    with (
        RunningEmulator(tmp_path / "aep", tenant) as aep,
        RunningCapillary(tmp_path / "capillary", organisation=organisation) as capillary,
        webhook() as hook,
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        settings = {
            **{name: value for name, value in SECRETS.items() if name not in ("STATE_URL", "RECEIVE_HMAC_SECRET")},
            **aep.environment,
            **capillary.environment,
            "ALERT_CHANNELS": f"hook={hook.url}",
            "ALERT_SETTLE_SECONDS": "0",
            "ADOBE_MAX_RECORDS_PER_SECOND": "0",
            "ADOBE_RETRY_BUDGET_SECONDS": "0",
            "CAPILLARY_CURRENCY": "INR",
            "CAPILLARY_API_RETRY_SECONDS": "0",
            "CAPILLARY_LOOKUP_CALLS_PER_MINUTE": "6000",
            "CAPILLARY_LOOKUP_TRANSACTIONS": "true",
            "IDENTITY_CARD": "plain",
            "LANDING_SETTLE_SECONDS": "0",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        installation = Installation(tmp_path / "installation", tmp_path / "landing", instance=instance)
        for name in ("landing", "lake", "state"):
            monkeypatch.setenv(f"{name.upper()}_URL", getattr(installation, f"{name}_url"))
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield Road(tmp_path, installation, aep, capillary, hook)
        finally:
            root.removeHandler(handler)
            root.setLevel(kept)
            handler.close()


def receive(road: Road, *events: dict[str, Any]) -> None:
    """What the receiver lands, and all that it refuses."""
    settings = {name: value for name, value in SECRETS.items() if name.startswith("RECEIVE_")}
    settings |= {"RECEIVE_HMAC_HEADER": "X-Signature", "LANDING_URL": str(road.installation.landing_root)}
    unsigned = {name: value for name, value in settings.items() if "HMAC" not in name}
    broken = json.dumps(events[0]).encode()[:-20]
    with receiving(road.folder / "receiver", unsigned) as receiver:
        secret = SECRETS["RECEIVE_SECRET"]
        for body in [*(json.dumps(one).encode() for one in events), broken]:
            assert receiver.post(body, Authorization=secret).status_code == 200
        assert receiver.post(broken, Authorization=f"{secret}x").status_code == 429
        assert receiver.post(broken, f"/events/{MOBILE}?email={EMAIL}", Authorization=secret).status_code != 200
        with receiver.connect() as connection:
            connection.sendall(f"NO HTTP {EMAIL} {secret}\r\n\r\n".encode())
            connection.recv(1000)
        wait_until(lambda: len(receiver.records()) == len(events) + 1)
        receiver.stop()
        road.told["receiver"] = receiver.log()
    with receiving(road.folder / "signing", settings) as receiver:
        assert receiver.post(broken, Authorization=secret, X_Signature=EMAIL).status_code == 429
        receiver.stop()
        road.told["receiver that wants signatures"] = receiver.log()


def test_every_secret_setting_has_a_value_here() -> None:
    named = {
        variable(one, name)
        for one in every_class()
        for name, given in one.model_fields.items()
        if "SecretStr" in str(given.annotation)
    }
    assert named <= set(SECRETS)


@pytest.mark.parametrize(
    ("resource", "field"), [("state", "url"), ("landing", "url"), ("landing", "aws_secret_access_key")]
)
def test_no_secret_gets_into_a_runs_config_through_a_resource(resource: str, field: str) -> None:
    given = {"resources": {resource: {"config": {field: "Hushed"}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match=f'unexpected config entry "{field}"'):
        dg.validate_run_config(build_defs().resolve_job_def(JOB), given)


def test_what_is_looked_for_is_found_in_every_form_and_place(tmp_path: Path) -> None:
    value = SECRETS["CAPILLARY_API_SECRET"]
    asked = requests.Request("GET", "http://h/", params={"a": value}, auth=("a-client", value)).prepare()
    assert value not in f"{asked.url} {asked.headers}"
    for text in (value, value.upper(), json.dumps({"a": value}), str(asked.url), str(asked.headers)):
        assert found_in([("x", text.encode())], SECRETS) == {("x", "CAPILLARY_API_SECRET")}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        @dg.op
        def tells() -> None:
            dg.get_dagster_logger().info("of %s", EMAIL)
            raise ValueError(CARD)

        @dg.job
        def telling() -> None:
            tells()

        telling.execute_in_process(instance=instance, raise_on_error=False, tags={"note": PERSON["note"]})
    seen = {what for _, what in found_in(files(tmp_path), PERSON)}
    assert seen >= {"email", "card number", "note"}


def test_the_whole_road_tells_nothing_secret_or_personal(
    road: Road, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    person = {"id": CUSTOMER_ID, "profiles": [{"firstName": PERSON["first name"], "source": "INSTORE"}]}
    road.capillary.put("customers", person)
    receive(
        road,
        event("customerAdded", 1, now_ms() - 5000),
        event("transactionAdded", 2, now_ms() - 4000, transactionId=8899, amount=5, billNumber=PERSON["bill number"]),
        event("pointsIssued", 3, now_ms() - 3000, points=MOBILE, customerIdentifiers={"mobile": MOBILE}),
        event("transactionAdded", 4, now_ms() - 2000, transactionId=EMAIL, amount=CARD, billNumber=PERSON["note"]),
        event("noSuchEventAtAll", 5, now_ms() - 1000),
    )
    day = today()
    # A network that fails, AEP refusing in the person's own words, a token that is refused, and then the way through.
    monkeypatch.setenv("ADOBE_INLET_URL", "http://127.0.0.1:1/collection/abc")
    road.run(day=day)
    monkeypatch.setenv("ADOBE_INLET_URL", road.aep.environment["ADOBE_INLET_URL"])
    echo = {
        "title": f"value {EMAIL} of {MOBILE} is not valid",
        "report": {"message": PERSON["last name"], "card": CARD},
    }
    for status in (400, 401):
        road.aep.faults.add(
            kind="status", status=status, body={**echo, "status": status}, path="/collection", times=None
        )
        road.run(day=day)
        road.aep.faults.clear()
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", "Hushed-but-wrong")
    road.run(day=day)
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", SECRETS["ADOBE_CLIENT_SECRET"])
    road.aep.demand({"not": {"required": ["_id"]}})
    assert road.run(day=day).success
    road.run(LOOKUP_JOB)
    road.capillary.faults.add(kind="status", status=500, body={"errors": [echo]}, path="/v2", times=None)
    road.run("read_references")
    # An error that nobody foresaw, in the middle of an event.
    monkeypatch.setattr("capillary_adobe.xdm.entities.EntityStage.entity", _raises)
    unforeseen = failure_of(road.run(day=day))
    assert unforeseen.startswith("An unexpected ValueError at ")
    for sensor in ("landing_sensor", "customer_sensor", "verdict_sensor", "alert_sensor"):
        road.tick(sensor)
    monkeypatch.setenv("INSIGHTS_URL", "sftp://exports@127.0.0.1:1/there")
    monkeypatch.setenv("INSIGHTS_ORG_ID", "7")
    road.tick("history_sensor")
    road.tick("alert_sensor")
    for arguments in (["doctor"], ["status"], ["status", "--day", day, "--json"], ["replay"], ["erasure", "list"]):
        road.call(*arguments)
    unreachable = f"postgresql://me:{SECRETS['STATE_URL']}@127.0.0.1:1/none"
    for arguments in (["doctor", "--offline"], ["status"], ["deliver", "--day", day]):
        road.call(*arguments, STATE_URL=unreachable)
    printed = capfd.readouterr()
    road.told |= {"standard output": printed.out, "standard error": printed.err}
    assert road.hook.taken
    assert found_in(road.places(), {**SECRETS, **PERSON, "another": "Hushed-but-wrong"}) == set()


def _raises(*_: object, **__: object) -> None:
    raise ValueError(EMAIL)
