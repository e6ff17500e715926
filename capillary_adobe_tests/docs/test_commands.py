"""What the pages tell an operator to type, and where they lead.

Belongs here: commands with their options, `make` targets, modules, links, addresses. Does not belong here: running a command.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from capillary_adobe.defs.doctor import DagsterLooks
from capillary_adobe.doctor.order import checks
from capillary_adobe_tests.docs.pages import PAGES, ROOT, addresses, anchors, links, named, typed

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
PROGRAMS = ("capillary-adobe", "dagster", "dagster-webserver", "dagster-daemon")


@each_page
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in links(path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in anchors(found.read_text("utf-8"))):
            broken.append(target)

    assert broken == []


@each_page
def test_addresses_are_well_formed(path: Path) -> None:
    wrong = []
    for address in addresses(path.read_text("utf-8")):
        parts = urlsplit(address)
        here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        host = re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", parts.hostname or "")
        if not (here or (host and parts.scheme == "https")):
            wrong.append(address)

    assert wrong == []


@each_page
def test_commands_that_are_typed_exist_with_their_options(path: Path) -> None:
    wrong = [(line, fault) for line in typed(path.read_text("utf-8")) for fault in faults(line, whole=True)]

    assert wrong == []


@each_page
def test_commands_that_are_named_exist_with_their_options(path: Path) -> None:
    # Some looks of the doctor bear the name of a program.
    looks = {check.name for check in checks(DagsterLooks().checks())}
    lines = [line for line in named(path.read_text("utf-8")) if line not in looks]
    wrong = [(line, fault) for line in lines for fault in faults(line, whole=False)]

    assert wrong == []


def test_units_start_what_exists() -> None:
    started = [
        line.partition("=")[2]
        for unit in sorted((ROOT / "deploy").rglob("*.service"))
        for line in unit.read_text("utf-8").splitlines()
        if line.startswith(("ExecStart=", "ExecStartPre=", "ExecReload="))
    ]

    assert started
    assert [(line, fault) for line in started for fault in faults(line, whole=True)] == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("capillary-adobe delivre --day 2026-11-20", "no command delivre"),
        ("capillary-adobe deliver --date 2026-11-20", "--date"),
        ("capillary-adobe deliver", "--day is required"),
        ("capillary-adobe deliver --day 2026-11-20 --route pigeon", "pigeon"),
        ("capillary-adobe deliver --day", "requires an argument"),
        ("capillary-adobe doctor offline", "too many words"),
        ("A=1 .venv/bin/capillary-adobe setup --drfit && dagster-daemon run", "--drfit"),
        ("dagster asset materialise", "no command materialise"),
        ("make tset", "no target tset"),
        ("python -m bench.rode", "no module bench.rode"),
        ("python -m bench.road --evnts 1", "no option --evnts"),
    ],
)
def test_a_wrong_command_is_noticed(line: str, fault: str) -> None:
    [found] = faults(line, whole=True)

    assert fault in found


def faults(line: str, *, whole: bool) -> Iterator[str]:
    """What is wrong with a line; `whole` demands what the command demands, too."""
    # A word of prose is no shell: an apostrophe in it opens a quote that never closes.
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    for part in _commands(words):
        program, rest = part[0].rpartition("/")[2], part[1:]
        if program in PROGRAMS:
            yield from _of_click(_command(program), rest, whole=whole)
        elif program == "make" and whole:
            yield from (
                f"no target {one}"
                for one in rest
                if not one.startswith("-") and "=" not in one and one not in targets()
            )
        elif program in {"python", "python3"} and rest[:1] == ["-m"] and len(rest) > 1:
            yield from _of_module(rest[1], rest[2:])


def _commands(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line, without assignments and programs that start another one."""
    command: list[str] = []
    for word in [*words, ";"]:
        if word in {"&&", "||", "|", ";", "&"}:
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"\w+=.*|sudo|exec|nohup|time", word):
            command.append(word)


@cache
def _command(program: str) -> click.Command:
    [script] = {one for one in entry_points(group="console_scripts") if one.name == program}
    module = importlib.import_module(script.module)
    found = [getattr(module, name, None) for name in ("cli", script.attr)]
    return next(one for one in found if isinstance(one, click.Command))


def _of_click(command: click.Command, words: list[str], *, whole: bool) -> Iterator[str]:
    context = click.Context(command)
    parser = command.make_parser(context)
    if isinstance(command, click.Group):
        # Options of the group end where the name of the command begins.
        parser.allow_interspersed_args = False
    try:
        given, left, _ = parser.parse_args(list(words))
    except click.UsageError as error:
        yield error.format_message()
        return
    for parameter in command.get_params(context):
        value = given.get(parameter.name or "")
        if whole and parameter.required and value in (None, ()):
            yield f"{parameter.opts[0]} is required"
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(parameter.type, click.Choice) and isinstance(one, str) and one not in parameter.type.choices:
                yield f"{one} is none of {', '.join(parameter.type.choices)}"
    if isinstance(command, click.Group):
        yield from _of_group(command, context, left, whole=whole)
    elif left:
        yield f"too many words: {' '.join(left)}"


def _of_group(group: click.Group, context: click.Context, words: list[str], *, whole: bool) -> Iterator[str]:
    if not words:
        return
    inner = group.get_command(context, words[0])
    if inner is None:
        yield f"no command {words[0]}"
    else:
        yield from _of_click(inner, words[1:], whole=whole)


def _of_module(name: str, words: list[str]) -> Iterator[str]:
    found = importlib.util.find_spec(name) if importlib.util.find_spec(name.partition(".")[0]) else None
    if found is None or found.origin is None:
        yield f"no module {name}"
    elif name.startswith("bench."):
        # Their parsers are made where they run; what they know stands in the text.
        known = set(re.findall(r'"(--[a-z][a-z0-9-]*)"', Path(found.origin).read_text("utf-8")))
        yield from (
            f"no option {word}" for word in words if word.startswith("--") and word.partition("=")[0] not in known
        )


@cache
def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
