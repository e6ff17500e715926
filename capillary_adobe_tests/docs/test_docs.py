"""The documentation against the code: what it names exists, and what exists is named.

Belongs here: names, defaults, codes, commands, links. Does not belong here: style.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import dagster as dg
import pytest
from pydantic_settings import BaseSettings

from capillary_adobe import settings
from capillary_adobe.adobe.causes import category_of, cause_of
from capillary_adobe.adobe.errors import CURES, NO_ANSWER, REACTIONS, reaction_to
from capillary_adobe.alerting.watching import CONDITIONS
from capillary_adobe.cli import main
from capillary_adobe.defs.build import build_defs
from capillary_adobe.defs.delivery_config import DeliveryConfig, RouteChoice
from capillary_adobe.emulators.faults import KINDS
from capillary_adobe.landing.receiver.metrics import Metrics
from capillary_adobe.reasons import AEP_REASONS, CATEGORIES, IGNORED_REASONS, RAW_REASONS, XDM_REASONS
from capillary_adobe.settings import variable
from capillary_adobe.state import Outcome, Route
from capillary_adobe.state.database import metadata
from capillary_adobe.tables import QUARANTINE, TABLES
from capillary_adobe_tests.docs.pages import PAGES, ROOT, anchors, commands, links, page, plain, rows, section

# Read by boto3 and delta-rs, and by no setting.
OF_AWS_TOOLS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_REGION",
}
OUR_VARIABLES = re.compile(
    r"\b(?:ADOBE|ALERT|AWS|CAPILLARY|CHECK|HISTORY|LAKE|LANDING|MAPPING|RECEIVE|RETENTION|SCHEDULE|STATE)_[A-Z][A-Z_]*[A-Z]\b"
)
# Every status that HTTP has, so that one treated in a way of its own is noticed.
STATUSES = [200, 201, 204, 207, *range(300, 309), *range(400, 430), 431, 451]
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def all_settings() -> list[type[BaseSettings]]:
    classes = [found for found in vars(settings).values() if isinstance(found, type)]
    return [found for found in classes if issubclass(found, BaseSettings) and found is not BaseSettings]


def defaults() -> dict[str, str]:
    """Each variable with its default, as the page writes it."""
    found: dict[str, str] = {}
    for cls in all_settings():
        for name, field in cls.model_fields.items():
            if field.is_required() and variable(cls, name).removeprefix("ADOBE_").lower() in settings.RECORDED:
                written = "set-up"
            elif field.is_required():
                written = "required"
            elif field.default is None:
                written = "none"
            else:
                written = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
            found[variable(cls, name)] = written
    return found


def asset_graph() -> dg.AssetGraph:
    return build_defs().resolve_asset_graph()


def test_every_variable_is_described_once_with_its_default() -> None:
    described = [(plain(row[0]), plain(row[2])) for row in rows(page("configuration.md")) if len(row) == 4]

    assert len(dict(described)) == len(described)
    assert dict(described) == defaults()


@each_page
def test_no_page_names_a_variable_that_does_not_exist(path: Path) -> None:
    named = set(OUR_VARIABLES.findall(path.read_text("utf-8")))

    assert named - set(defaults()) - OF_AWS_TOOLS == set()


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


@each_page
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in links(path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.is_file() or (anchor and anchor not in anchors(found.read_text("utf-8"))):
            broken.append(target)

    assert broken == []


@each_page
def test_commands_exist_with_their_options(path: Path) -> None:
    unknown = []
    for line in commands(path.read_text("utf-8")):
        words = shlex.split(line) if re.match(r"(\S+/)?capillary-adobe\s", line) else []
        if words and not exists(main, words[1:]):
            unknown.append(line)

    assert unknown == []


def exists(command: click.Command, words: list[str]) -> bool:
    """Whether a command line means something: subcommands down to the last, and only options that the last has."""
    context = click.Context(command)
    if words and isinstance(command, click.Group) and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        return inner is not None and exists(inner, words[1:])
    known = {option for parameter in command.get_params(context) for option in parameter.opts}
    return all(word.partition("=")[0] in known for word in words if word.startswith("-"))


@each_page
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in commands(path.read_text("utf-8")) if re.match(r"make \S", line)}

    assert named - targets == set()


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
    described = {plain(row[0]): (row[1], plain(row[2])) for row in rows(section(page("operating.md"), "### Schedules"))}
    schedules = {one.name: one for one in build_defs().schedules or [] if isinstance(one, dg.ScheduleDefinition)}

    assert set(described) == set(schedules)
    for name, (at, moved_by) in described.items():
        hour, minute = at.split(":")
        assert schedules[name].cron_schedule == f"{int(minute)} {hour} * * *" == defaults()[moved_by]
        assert moved_by == f"SCHEDULE_{name.upper()}"
        assert schedules[name].default_status is dg.DefaultScheduleStatus.RUNNING


def test_every_condition_that_alerts_is_described() -> None:
    # A credential is named by the operator, a certificate by its host.
    described = {
        plain(name)
        for row in rows(section(page("alerts.md"), "## Everything that alerts"))
        for name in row[0].split(",")
    }
    named = {name for name in described if not name.startswith(("a ", "credential", "certificate"))}

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
