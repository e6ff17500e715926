"""`capillary-adobe mapping test` and `mapping diff`.

Belongs here: their options, what is printed, exit codes. Does not belong here: any work (`mapping_trial.py`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from capillary_adobe.cli_options import day as day_option

if TYPE_CHECKING:
    from capillary_adobe.mapping_trial import Compared
    from capillary_adobe.xdm.trying.differing import Difference
    from capillary_adobe.xdm.trying.source_lines import Went
    from capillary_adobe.xdm.trying.trial import Fault, Tried

_LONGEST_VALUE = 40


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--path", metavar="DIR", help="Mapping folder; without it that of MAPPING_PATH, if it is set.")
@click.option(
    "--schema",
    metavar="FILE|shipped",
    help="Schema in the form xed-full; without it the tenant's as last fetched, else the shipped one.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: a list with one object for each record.")
@click.pass_context
def test(ctx: click.Context, files: tuple[str, ...], path: str | None, schema: str | None, *, as_json: bool) -> None:
    """Run payloads through the mapping and show where every field goes, or why not; nothing is stored or sent.

    FILE holds events in any form that may land: JSON, JSON lines, an array; - stands for the input. Prints the values in
    it. Exit code 1 where an event is no event or AEP would refuse its entity.
    """
    from capillary_adobe.mapping_check import SchemaFileError
    from capillary_adobe.mapping_trial import TrialError, try_files

    outcomes: Counter[str] = Counter()
    listed: list[dict[str, Any]] = []
    try:
        judged, records = try_files(files, path, schema)
        if not as_json:
            click.echo(judged)
        for tried in records:
            outcomes[tried.outcome] += 1
            if as_json:
                listed.append(tried.as_dict())
            else:
                click.echo("\n" + "\n".join(_of_record(tried)))
    except (TrialError, SchemaFileError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(listed, indent=2))
    else:
        click.echo(f"\n{_counted(outcomes)}")
    if outcomes["failed"] or outcomes["quarantined"]:
        ctx.exit(1)


def _days(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str]:
    return [str(day_option(ctx, option, value)) for value in values]


@click.command()
@click.argument("mappings", metavar="[A] [B]", nargs=-1)
@click.option(
    "--day",
    "days",
    metavar="YYYY-MM-DD",
    multiple=True,
    callback=_days,
    help="Landing day of the sample, UTC; may be repeated. Without it the newest 7 days.",
)
@click.option("--sample", type=click.IntRange(1), default=2000, show_default=True, help="Most events to try.")
@click.option("--file", help="Payloads to try in place of events of the lake; - stands for the input.")
@click.option("--show-values", is_flag=True, help="Show one value of each field that changes; they may be personal.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def diff(
    ctx: click.Context,
    mappings: tuple[str, ...],
    days: list[date],
    sample: int,
    file: str | None,
    *,
    show_values: bool,
    as_json: bool,
) -> None:
    """Show what going from mapping A to mapping B does to real events, before it goes live.

    A and B are mapping folders, `shipped`, or `live` for what is published. With one name or none, A is `live`, and B the
    one named or the folder of MAPPING_PATH. Exit code 1 where events would newly fail.
    """
    from capillary_adobe.mapping_trial import LIVE, TrialError, compare

    if len(mappings) > 2:
        raise click.UsageError("Give at most two mappings.")
    one, other = mappings if len(mappings) == 2 else (LIVE, *mappings, None)[:2]
    try:
        compared = compare(one or LIVE, other, [str(day) for day in days], sample, file)
    except TrialError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(_as_dict(compared, show_values=show_values), indent=2))
    else:
        click.echo("\n".join(_of_comparison(compared, show_values=show_values)))
    if compared.difference.newly_failing:
        ctx.exit(1)


def _of_record(tried: Tried) -> Iterator[str]:
    yield click.style(_head(tried), bold=True)
    if tried.repeats is not None:
        yield f"  the same event as {tried.file}:{_record(*tried.repeats)}; of the two only the first is delivered"
    if tried.outcome in ("quarantined", "ignored"):
        yield f"  {tried.code}: {tried.words}"
        return
    for fault in tried.faults:
        yield f"  AEP would refuse it: {_fault(fault)}"
    if tried.entity is None:
        return
    yield from _indented(_sources(tried))
    yield from _indented(json.dumps(tried.entity, indent=2, ensure_ascii=False))


def _head(tried: Tried) -> str:
    place = f"{tried.file}:{_record(tried.line, tried.part)}"
    became = f" → {tried.event_type}" if tried.event_type else ""
    rule = f" by {tried.rule}" if tried.rule else ""
    return f"{place}  {tried.event or 'no event'}{became}{rule}  {tried.outcome}"


def _record(line: int, part: int) -> str:
    return f"{line} (record {part + 1})" if part else str(line)


def _fault(fault: Fault) -> str:
    rule = f" (rule {fault.rule})" if fault.rule else ""
    cure = f"; {fault.cure}" if fault.cure else ""
    return f"{fault.pointer or '/'} [{fault.category}, {fault.keyword}, {fault.value_type}] {fault.words}{cure}{rule}"


def _sources(tried: Tried) -> str:
    from tabulate import tabulate

    rows: list[tuple[str, str, str, str]] = []
    for line in tried.sources:
        source, value = line.path, _short(line.value)
        for went in line.went:
            rows.append((source, value, _target(went), _present(_at(tried.entity, went.target))))
            source = value = ""
        if line.why:
            rows.append((source, value, f"dropped: {line.why}", ""))
    for source, went in tried.others:
        rows.append((source, "", _target(went), _present(_at(tried.entity, went.target))))
    return tabulate(
        rows, headers=["source", "value", "XDM, or why not", "value"], tablefmt="simple", disable_numparse=True
    )


def _target(went: Went) -> str:
    via = f" via {went.via}" if went.via else ""
    return f"{went.target} ({went.rule}{via})" if went.rule else went.target


def _at(entity: dict[str, Any] | None, pointer: str) -> Any:
    found: Any = entity
    try:
        for step in pointer.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
    except LookupError:
        # A rule that names the tenant in place of `_tenant`; the check refuses it, and what it wrote is overwritten.
        return None
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _present(value: Any) -> str:
    """A value of an entity, in which nothing is null."""
    return "absent" if value is None else _short(value)


def _indented(text: str) -> Iterator[str]:
    yield from (f"  {line}".rstrip() for line in text.splitlines())


def _counted(outcomes: Counter[str]) -> str:
    if not outcomes:
        return "There is no record in it."
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))


def _of_comparison(compared: Compared, *, show_values: bool) -> Iterator[str]:
    found = compared.difference
    yield f"From {compared.one} to {compared.other}"
    if not found.rules:
        yield "The rules are the same."
        return
    yield _table(
        [(one.event, one.change, one.target, one.rule or "") for one in found.rules], ["event", "rule", "target", "at"]
    )
    yield f"\nTried on {found.events} events ({compared.sample}): {found.differing} become another entity."
    fields = _fields(found, show_values=show_values)
    if fields:
        yield _table([tuple(row.values()) for row in fields], [name.replace("_", " ") for name in fields[0]])
    for words, causes in (("Newly failing", found.newly_failing), ("Newly passing", found.newly_passing)):
        if causes:
            yield f"\n{words}:"
            yield _table([(*one, count) for one, count in causes.most_common()], ["event", "cause", "events"])
    for words, events in (("Newly ignored", found.newly_ignored), ("Newly mapped", found.newly_mapped)):
        if events:
            yield f"\n{words}: " + ", ".join(f"{count} {event}" for event, count in events.most_common())


def _fields(found: Difference, *, show_values: bool) -> list[dict[str, Any]]:
    rows = []
    for (event, path), one in sorted(found.fields.items()):
        row = {"event": event, "field": path, "added": one.added, "removed": one.removed, "changed": one.changed}
        row["example"] = " → ".join(_present(value) for value in one.values or ()) if show_values else one.types
        rows.append(row)
    return rows


def _as_dict(compared: Compared, *, show_values: bool) -> dict[str, Any]:
    found = compared.difference
    return {
        "from": compared.one,
        "to": compared.other,
        "rules": [vars(one) for one in found.rules],
        "sample": compared.sample,
        "events": found.events,
        "differing": found.differing,
        "fields": _fields(found, show_values=show_values),
        "newly_failing": _causes(found.newly_failing),
        "newly_passing": _causes(found.newly_passing),
        "newly_ignored": dict(found.newly_ignored),
        "newly_mapped": dict(found.newly_mapped),
    }


def _causes(found: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"event": event, "cause": cause, "events": count} for (event, cause), count in found.most_common()]


def _table(rows: list[tuple[Any, ...]], headers: list[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="simple")
