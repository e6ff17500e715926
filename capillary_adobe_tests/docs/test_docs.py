"""The documentation against the code: what it names exists, and what exists is named.

Belongs here: names, codes, assets, checks, tables. Does not belong here: commands and links (`test_commands.py`), settings
(`test_settings_page.py`), style.
"""

from __future__ import annotations

import re

import dagster as dg
import pytest

from capillary_adobe import cli_plainly
from capillary_adobe.adobe import QuotaUsedUp
from capillary_adobe.adobe.causes import category_of, cause_of
from capillary_adobe.adobe.errors import CURES, NO_ANSWER, REACTIONS, reaction_to
from capillary_adobe.alerting.watching import CONDITIONS
from capillary_adobe.defs import failures
from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.delivery_config import DeliveryConfig, RouteChoice
from capillary_adobe.emulators.faults import KINDS
from capillary_adobe.landing.receiver.metrics import Metrics
from capillary_adobe.reasons import AEP_REASONS, CATEGORIES, IGNORED_REASONS, RAW_REASONS, XDM_REASONS
from capillary_adobe.settings import every_class
from capillary_adobe.settings.described import described
from capillary_adobe.state import Outcome, Route
from capillary_adobe.state.database import metadata
from capillary_adobe.tables import QUARANTINE, TABLES
from capillary_adobe_tests.docs.pages import blocks, page, plain, rows, section

# Every status that HTTP has, so that one treated in a way of its own is noticed.
STATUSES = [200, 201, 204, 207, *range(300, 309), *range(400, 430), 431, 451]


def asset_graph() -> dg.AssetGraph:
    return build_defs().resolve_asset_graph()


@pytest.mark.parametrize(
    ("heading", "reasons"),
    [
        ("## Quarantined lines", RAW_REASONS),
        ("## Quarantined entities", XDM_REASONS),
        ("## Entities that AEP refused", AEP_REASONS),
        ("## Ignored events", IGNORED_REASONS),
        ("## Outcomes of delivery", dict.fromkeys(outcome.value for outcome in Outcome)),
    ],
)
def test_troubleshooting_has_exactly_the_codes_of_the_code(heading: str, reasons: dict[str, object]) -> None:
    described = [plain(row[0]) for row in rows(section(page("troubleshooting.md"), heading))]

    assert sorted(described) == sorted(reasons)


def test_troubleshooting_has_the_categories_of_the_code_with_their_cures() -> None:
    described = rows(section(page("troubleshooting.md"), "## Reading a violation"))
    told = {plain(row[0]): (row[1], row[2]) for row in described if plain(row[0]) in CATEGORIES}

    assert told == {name: tuple(category) for name, category in CATEGORIES.items()}


def test_troubleshooting_sorts_aeps_codes_as_the_code_does() -> None:
    described = rows(section(page("troubleshooting.md"), "## Reading a violation"))
    told = {plain(row[0]): plain(row[1]) for row in described if plain(row[0]).startswith("DCVS")}

    assert len(told) == 5
    assert told == {code: category_of(cause_of(code)) for code in told}


def test_troubleshooting_has_the_columns_of_a_violation() -> None:
    described = {plain(row[0]) for row in rows(section(page("troubleshooting.md"), "## Reading a violation"))}

    assert {"pointer", *(column.name for column in QUARANTINE.columns[-5:])} <= described
    assert {"category", "keyword", "value_type", "rule", "cure"} == {one.name for one in QUARANTINE.columns[-5:]}


def test_every_outcome_of_a_request_is_described_and_counted_from_the_start() -> None:
    counted = re.findall(r'requests_total\{outcome="(\w+)",reason="(\w*)"\} 0\.0', Metrics().text().decode())
    described = {
        (plain(row[0]), reason)
        for row in rows(section(page("operating.md"), "## The receiver"))
        if not row[0].startswith("`/")
        for reason in re.findall(r"`(\w+)`", row[1]) or [""]
    }

    assert set(counted) == described


def test_every_quarantine_code_has_a_cure() -> None:
    text = page("troubleshooting.md")
    headings = ("## Quarantined lines", "## Quarantined entities", "## Entities that AEP refused")
    described = [row for heading in headings for row in rows(section(text, heading))]

    assert [row[0] for row in described if not (row[1] and row[3])] == []


def test_troubleshooting_tells_the_reaction_to_each_status() -> None:
    described = {row[0]: row[1] for row in rows(section(page("troubleshooting.md"), "## Answers of AEP"))}
    server, other = described.pop("500 and above"), described.pop("any other")
    told = {NO_ANSWER: described.pop("no answer")}
    told |= {int(status): reaction for status, reaction in described.items()}

    assert set(CURES) | set(REACTIONS) <= set(told)
    assert told[NO_ANSWER] == reaction_to(NO_ANSWER).value
    assert {reaction_to(status).value for status in (500, 502, 503, 504, 599)} == {server}
    assert {status: told.get(status, other) for status in STATUSES} == {
        status: reaction_to(status).value for status in STATUSES
    }


def test_every_asset_is_described_for_the_operator() -> None:
    described = [plain(row[0]) for row in rows(section(page("operating.md"), "## The assets"))]

    assert sorted(described) == sorted(key.to_user_string() for key in asset_graph().get_all_asset_keys())


def test_every_check_is_described_with_its_assets() -> None:
    described = {
        (plain(asset), plain(row[0]))
        for row in rows(section(page("operating.md"), "## The checks"))
        for asset in row[1].split(",")
    }

    assert described == {(key.asset_key.to_user_string(), key.name) for key in asset_graph().asset_check_keys}


def test_every_sensor_schedule_and_job_is_described() -> None:
    described = {(plain(row[0]), row[1]) for row in rows(section(page("operating.md"), "### Sensors and jobs"))}
    found = build_defs().resolve_all_job_defs(), build_defs().sensors or []
    jobs = {(job.name, "job") for job in found[0] if not job.name.startswith("__")}

    schedules = {(schedule.name, "schedule") for schedule in build_defs().schedules or []}

    assert described == jobs | schedules | {(sensor.name, "sensor") for sensor in found[1]}


def test_every_schedule_has_its_time_and_the_variable_that_moves_it() -> None:
    told = {plain(row[0]): (row[1], plain(row[2])) for row in rows(section(page("operating.md"), "### Schedules"))}
    settings = described(every_class())
    schedules = {one.name: one for one in build_defs().schedules or [] if isinstance(one, dg.ScheduleDefinition)}

    assert set(told) == set(schedules)
    for name, (at, moved_by) in told.items():
        hour, minute = at.split(":")
        assert schedules[name].cron_schedule == f"{int(minute)} {hour} * * *" == settings[moved_by].default
        assert moved_by == f"SCHEDULE_{name.upper()}"
        assert schedules[name].default_status is dg.DefaultScheduleStatus.RUNNING


def test_every_condition_that_alerts_is_described() -> None:
    # A credential is named by the operator, a certificate by its host, ticks by whose they are.
    described = {
        plain(name)
        for row in rows(section(page("alerts.md"), "## Everything that alerts"))
        for name in row[0].split(",")
    }
    named = {name for name in described if not name.startswith(("a ", "credential", "certificate", "ticks of a "))}

    assert named == set(CONDITIONS)


def test_the_launchpad_keys_are_those_of_the_run_config() -> None:
    told = {plain(row[0]): plain(row[1]) for row in rows(section(page("operating.md"), "## Sending what is open"))}
    named = [name.strip() for names in told for name in names.split(",")]

    assert sorted(named) == sorted(DeliveryConfig.model_fields)
    assert told["route"] == ", ".join(choice.value for choice in RouteChoice)


def test_every_fault_of_the_emulator_is_described() -> None:
    described = [plain(row[0]) for row in rows(section(page("operating.md"), "## Trying things out"))]

    assert sorted(described) == sorted(KINDS)


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("## Tables", [table.name for table in TABLES]),
        ("## The state database", list(metadata.tables)),
        ("## Receipts", [route.value for route in Route]),
    ],
)
def test_the_architecture_names_what_is_stored(heading: str, names: list[str]) -> None:
    described = [plain(row[0]) for row in rows(section(page("architecture.md"), heading))]

    assert sorted(described) == sorted(names)


def test_the_picture_of_the_road_has_every_asset() -> None:
    picture = blocks(page("architecture.md"), "mermaid")[0]
    drawn = {name for label in re.findall(r"\[\(?([^]\"()]+)\)?\]", picture) for name in label.split(", ")}

    assert {key.to_user_string() for key in asset_graph().get_all_asset_keys()} - drawn == {"landing"}
    assert '[("landing' in picture


def test_every_kind_of_error_that_is_told_has_its_place() -> None:
    described = [
        name
        for row in rows(section(page("troubleshooting.md"), "## Kinds of error"))
        for name in re.findall(r"`(\w+)`", row[0])
    ]
    told = {*cli_plainly._told_plainly(), *failures._PERMANENT, *failures._TRANSIENT, QuotaUsedUp}

    assert sorted(described) == sorted({kind.__name__ for kind in told})


def test_everything_that_can_be_seen_has_a_cure() -> None:
    doctor = rows(section(page("troubleshooting.md"), "## The doctor"))
    alerts = rows(section(page("alerts.md"), "## Everything that alerts"))
    checks = rows(section(page("operating.md"), "## The checks"))
    errors = [
        row
        for name in ("## Settings", "## Set-up", "## Stores", "## Capillary's API", "## Kinds of error")
        for row in rows(section(page("troubleshooting.md"), name))
    ]

    assert [row[0] for row in (*doctor, *alerts, *checks, *errors) if not row[-1]] == []
    assert {len(row) for row in doctor} == {3}
