"""`capillary-adobe mapping`: looking at the mapping and checking it.

Belongs here: the group, its options, what is printed, exit codes. Does not belong here: any judgement (`mapping_check.py`,
`xdm.checking`), the stages of rules (`cli_stages.py`) and trying the mapping on events (`cli_trial.py`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from capillary_adobe.cli_stages import pause, publish, resume, stages
from capillary_adobe.cli_trial import diff, test

if TYPE_CHECKING:
    from capillary_adobe.mapping_check import Checked
    from capillary_adobe.xdm.language.mapping_files import Mapping
    from capillary_adobe.xdm.trying.showing import ShownField, ShownVariant

_FOLDER = click.option("--path", metavar="DIR", help="Mapping folder; without it that of MAPPING_PATH, if it is set.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def mapping() -> None:
    """The rules from Capillary events to XDM: show them, check them, try them, send by them."""


for _command in (test, diff, stages, publish, pause, resume):
    mapping.add_command(_command)


@mapping.command()
@_FOLDER
@click.option(
    "--schema",
    metavar="FILE|shipped",
    help="Schema in the form xed-full; without it the tenant's as last fetched, else the shipped one.",
)
@_JSON
@click.pass_context
def check(ctx: click.Context, path: str | None, schema: str | None, *, as_json: bool) -> None:
    """Check every rule: targets, sources, units, identities. Exit code 1 where something must be mended."""
    from capillary_adobe.mapping_check import SchemaFileError
    from capillary_adobe.mapping_check import check as run

    try:
        checked = run(path, schema)
    except SchemaFileError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(checked.as_dict(), indent=2) if as_json else _told(checked))
    if checked.errors:
        ctx.exit(1)


@mapping.command()
@click.argument("event", required=False)
@_FOLDER
@_JSON
def show(event: str | None, path: str | None, *, as_json: bool) -> None:
    """Show what EVENT becomes, field by field, or `profile`, a customer's; without EVENT, list what has rules."""
    from capillary_adobe.mapping_check import folder_of
    from capillary_adobe.xdm.language.mapping_files import load_mapping
    from capillary_adobe.xdm.language.rules import PROFILE, load_profile_rules
    from capillary_adobe.xdm.trying.showing import shown_variants

    found = load_mapping(folder_of(path))
    if event is None:
        click.echo(_events(found, as_json=as_json))
        return
    if event == PROFILE:
        name, variants = PROFILE, shown_variants(load_profile_rules())
    else:
        name = _rules_of(found, event)
        variants = shown_variants(found.rules[name])
    if as_json:
        click.echo(json.dumps({"event": name, "variants": [one.as_dict() for one in variants]}, indent=2))
    else:
        click.echo(
            "\n\n".join(_variant(name, number, one, len(variants)) for number, one in enumerate(variants, start=1))
        )


def _told(checked: Checked) -> str:
    folder = f"the shipped mapping with {checked.folder}" if checked.folder else "the shipped mapping"
    changed = f" ({', '.join(checked.changed)} changed or new)" if checked.changed else ""
    return "\n".join(
        [
            f"Checking {folder}{changed} against {checked.schema}",
            *(str(finding) for finding in checked.findings),
            f"{_count(checked.errors, 'error')}, {_count(checked.warnings, 'warning')}",
        ]
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _events(found: Mapping, *, as_json: bool) -> str:
    from capillary_adobe.xdm.language.mapping_files import shipped
    from capillary_adobe.xdm.trying.showing import shown_events

    shown = shown_events(found, shipped())
    if as_json:
        return json.dumps([one.as_dict() for one in shown], indent=2)
    rows = [
        [one.event, one.family, ", ".join(one.event_types), one.variants, one.changed, ", ".join(one.files)]
        for one in shown
    ]
    return _table(rows, ["event", "family", "eventType", "variants", "own rules", "files"])


def _rules_of(found: Mapping, event: str) -> str:
    from capillary_adobe.xdm.language.expressions import close_to
    from capillary_adobe.xdm.language.rule_model import GENERIC

    known = found.catalogue.find(event)
    name = known.name if known else event
    if name in found.rules:
        return name
    if known is None:
        raise click.ClickException(
            f"{event} is no event type of the catalogue.{close_to(event, found.catalogue.names())}"
        )
    if known.instead_of_a_person:
        raise click.ClickException(f"{name} is about {known.instead_of_a_person} and never delivered.")
    raise click.ClickException(
        f"{name} has no rules of its own. With CAPILLARY_DELIVER_OTHER_EVENTS=true the generic ones apply: "
        f"`capillary-adobe mapping show '{GENERIC}'`."
    )


def _variant(event: str, number: int, shown: ShownVariant, of: int) -> str:
    head = f"{event}, variant {number} of {of} ({shown.place})" if of > 1 else f"{event} ({shown.place})"
    lines = [
        head,
        f"  when:       {shown.condition or 'in all other cases' if of > 1 else 'always'}",
        f"  eventType:  {shown.event_type}",
        f"  timestamp:  {', '.join((*shown.timestamp, 'createdAt'))}",
        f"  identities: {shown.identities}",
        "",
    ]
    rows = [
        [one.target, _from(one), _as(one), one.unit, one.condition, one.place]
        for one in sorted(shown.fields, key=lambda field: field.target.startswith("_tenant"))
    ]
    return "\n".join(lines) + _table(rows, ["target", "from", "as", "unit", "when", "rule"])


def _from(one: ShownField) -> str:
    return "\nor ".join(one.sources) if one.sources else f"= {json.dumps(one.value, ensure_ascii=False)}"


def _as(one: ShownField) -> str:
    return f"{one.conversion}, identity {one.identity}" if one.identity else one.conversion


def _table(rows: list[list[Any]], headers: list[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True)
