"""`capillary-adobe`: the operator's commands.

Belongs here: options, what is printed, exit codes. Does not belong here: any work; a command calls one function of the
package. Imports that take time are made in the command that needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capillary_adobe.cli_alerts import alerts
from capillary_adobe.cli_delivery import deliver, replay
from capillary_adobe.cli_delivery_switch import delivery, tell_of_pause
from capillary_adobe.cli_doctor import doctor
from capillary_adobe.cli_emulate_capillary import emulate_capillary
from capillary_adobe.cli_erasure import erasure
from capillary_adobe.cli_history import import_history
from capillary_adobe.cli_mapping import mapping
from capillary_adobe.cli_options import PORT, base_url, demand_folder, demand_port, export
from capillary_adobe.cli_options import day as day_option
from capillary_adobe.cli_plainly import Plainly
from capillary_adobe.cli_profiles import profiles
from capillary_adobe.cli_receive import receive
from capillary_adobe.cli_reconcile import reconcile
from capillary_adobe.cli_report import report
from capillary_adobe.cli_settings import settings
from capillary_adobe.cli_setup import setup
from capillary_adobe.cli_subscribe import subscribe
from capillary_adobe.cli_work import work

if TYPE_CHECKING:
    from capillary_adobe.balance import Accounts
    from capillary_adobe.demo.surroundings import Surroundings
    from capillary_adobe.demo.traffic import Written

_SECRET = "ADOBE_CLIENT_SECRET"  # noqa: S105 - the variable's name


@click.group(cls=Plainly, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="capillary-adobe")
def main() -> None:
    """Capillary loyalty events to Adobe Experience Platform, with proof that each one arrived."""


main.add_command(alerts)
main.add_command(deliver)
main.add_command(replay)
main.add_command(delivery)
main.add_command(doctor)
main.add_command(emulate_capillary)
main.add_command(erasure)
main.add_command(import_history)
main.add_command(mapping)
main.add_command(profiles)
main.add_command(receive)
main.add_command(reconcile)
main.add_command(report)
main.add_command(settings)
main.add_command(setup)
main.add_command(subscribe)
main.add_command(work)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, default=8788, show_default=True, help="Port to listen on.")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path(".data/emulator"),
    show_default=True,
    help="Folder for what is accepted; it stays.",
)
@click.option(
    "--empty", is_flag=True, help="Begin as Adobe does: no schema, no dataset, no inlet until a set-up makes them."
)
@click.option(
    "--answer-shape",
    type=click.Choice(["tutorial", "sink", "spec"]),
    default="tutorial",
    show_default=True,
    help="Which of Adobe's three documented forms the answers to several messages have.",
)
@click.option(
    "--max-requests-per-second", type=click.FloatRange(0), default=0, help="Answer 429 above this rate; 0: no limit."
)
@click.option(
    "--max-records-per-second", type=click.FloatRange(0), default=0, help="Answer 429 above this rate; 0: no limit."
)
@click.option("--latency-seconds", type=click.FloatRange(0), default=0, help="Wait so long before each answer.")
@click.option("--token-seconds", type=click.IntRange(1), default=86399, show_default=True, help="Life of a token.")
@click.option(
    "--validate/--no-validate",
    default=True,
    show_default=True,
    help="Validate entities after they were taken, as AEP does.",
)
@click.option(
    "--validation-seconds", type=click.FloatRange(0), default=0.5, show_default=True, help="How long after that."
)
@click.option(
    "--schema-cache-seconds",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="How long a changed schema may go unnoticed; with Adobe up to 900.",
)
@click.option(
    "--profile-reorder-seconds",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="How far profiles that follow one another may change places; Adobe promises no order.",
)
@click.option(
    "--batch-seconds", type=click.FloatRange(0), default=1.0, show_default=True, help="How long a batch is ingested."
)
@click.option("--batches-per-minute", type=click.IntRange(0), default=0, help="Answer 429 above this; 0: no limit.")
@click.option(
    "--synonyms", is_flag=True, help="Say `active` and `failure` where AEP may also say `success` and `failed`."
)
@click.option(
    "--validation-errors-key", is_flag=True, help="Give the errors of failed records in the other documented form."
)
def emulate(host: str, port: int, store: Path, *, empty: bool, **behaviour: Any) -> None:
    """Run a local stand-in for AEP: tokens, streaming and batch ingestion, its later verdict, and faults on demand.

    Prints the variables that a client needs, then serves until Ctrl-C. ADOBE_* variables that are set already are the
    emulated organisation's too.
    """
    from capillary_adobe.emulators.aep import Behaviour, Tenant, build_app, serve

    demand_port(host, port)
    demand_folder(store)
    tenant = Tenant.from_environment(os.environ)
    address = base_url(host, port)
    for name, value in sorted(tenant.environment(address, empty=empty).items()):
        click.echo(export(name, value, hidden=name == _SECRET and bool(os.environ.get(_SECRET))))
    click.echo(f"# What has arrived: {address}/")
    serve(build_app(tenant, store, Behaviour(**behaviour), empty=empty), host, port)


@main.group(invoke_without_command=True)
@click.option("--ui-port", type=PORT, default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--emulator-port", type=PORT, default=8788, show_default=True, help="Port of the AEP emulator.")
@click.option("--code-port", type=PORT, default=4266, show_default=True, help="Port of the code server.")
@click.option("--capillary-port", type=PORT, default=8789, show_default=True, help="Port of the Capillary emulator.")
@click.option("--receiver-port", type=PORT, help="Port of the receiver.  [default: RECEIVE_PORT]")
@click.option("--check", is_flag=True, help="See it work on free ports in a temporary folder, then stop; for CI.")
@click.pass_context
def demo(
    ctx: click.Context,
    *,
    ui_port: int,
    emulator_port: int,
    code_port: int,
    capillary_port: int,
    receiver_port: int | None,
    check: bool,
) -> None:
    """Start everything on this machine: made-up events, stand-ins for Capillary and AEP, the receiver and Dagster."""
    if ctx.invoked_subcommand is not None:
        return
    from capillary_adobe.demo.smoke import check as see_it_work
    from capillary_adobe.demo.stack import Interrupted, Stack
    from capillary_adobe.demo.surroundings import Ports, Surroundings, given_settings
    from capillary_adobe.settings import ReceiverSettings, load

    try:
        if check:
            see_it_work(click.echo)
            return
        receiver_port = receiver_port or load(ReceiverSettings).port
        ports = Ports(ui_port, emulator_port, code_port, capillary_port, receiver_port)
        around = Surroundings(Path.cwd(), ports, given_settings())
        around.demand_free_ports()
        stack = Stack(around, click.echo)
        with stack.interruptible(), stack:
            stack.start()
            click.echo(_what_to_try(around))
            stack.watch()
    except Interrupted as request:
        if check:
            raise click.ClickException("Interrupted before everything was seen.") from request
        click.echo("Stopped.")


@demo.command()
@click.option("--day", metavar="YYYY-MM-DD", callback=day_option, required=True, help="UTC day to fill.")
@click.option("--events", type=click.IntRange(1), required=True, help="Lines, duplicates and broken ones included.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed tells other customers' stories.")
@click.option("--clean", is_flag=True, help="No duplicates, nothing broken or late.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def generate(day: date, events: int, seed: int, *, clean: bool, as_json: bool) -> None:
    """Write a made-up day into LANDING_URL."""
    from capillary_adobe.demo.feeding import generate as write
    from capillary_adobe.settings import StorageSettings, load

    storage = load(StorageSettings)
    if not as_json:
        click.echo(f"Writing {events} lines of {day} to {storage.landing_url} …", err=True)
    written = write(storage, day, events, seed, clean=clean)
    if as_json:
        click.echo(json.dumps({"day": day.isoformat(), **vars(written)}))
    else:
        click.echo(_told(day, written, storage.landing_url))


@demo.command()
@click.option(
    "--events-per-second", type=click.FloatRange(0, min_open=True), default=5, show_default=True, help="Pace."
)
@click.option(
    "--yesterday", type=click.IntRange(0), default=2000, show_default=True, help="Lines of yesterday, if empty."
)
@click.option(
    "--capillary",
    metavar="URL",
    default="",
    help="Hand the events to this Capillary emulator, which posts them to its webhooks; yesterday lands all the same.",
)
@click.option(
    "--story",
    type=click.Path(path_type=Path),
    default=Path(".data/story.json"),
    show_default=True,
    help="With --capillary: file that remembers how far the day is told, so that nobody registers twice.",
)
def feed(events_per_second: float, yesterday: int, capillary: str, story: Path) -> None:
    """Write made-up events with current times into LANDING_URL until Ctrl-C."""
    from capillary_adobe.demo.feeding import feed as write
    from capillary_adobe.settings import StorageSettings, load

    storage = load(StorageSettings)
    click.echo(f"Writing {events_per_second:g} events a second to {capillary or storage.landing_url} …", err=True)
    written = write(storage, events_per_second, yesterday, capillary.rstrip("/"), story)
    click.echo(f"{written.lines} lines in {written.objects} {'requests' if capillary else 'objects'} today")


@main.command()
@click.option(
    "--day",
    metavar="YYYY-MM-DD",
    callback=day_option,
    help="One landing day, UTC; without it every day that anything is known of.",
)
@click.option("--backfill", is_flag=True, help="How far the days of history are, how fast, and the expected end.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object for a day, a list for all days.")
def status(day: date | None, *, backfill: bool, as_json: bool) -> None:
    """Balance the books: what landed against what became of it."""
    if backfill:
        if day is not None:
            raise click.UsageError("--backfill is about all days of history; leave --day out.")
        _backfill(as_json=as_json)
        return
    from capillary_adobe import statement
    from capillary_adobe.settings import StorageSettings, load

    storage = load(StorageSettings)
    accounts = _accounts(storage)
    days = accounts.days()
    if not as_json:
        tell_of_pause(storage.state_url)
    if day is None:
        with click.progressbar(days, label="Balancing", file=sys.stderr, hidden=not sys.stderr.isatty()) as known:
            balances = [accounts.balance(one) for one in known]
        if as_json:
            click.echo(json.dumps([one.as_dict() for one in balances], indent=2))
        else:
            click.echo(statement.of_days(balances) if balances else f"No day is known yet; {_looked_in(storage)}.")
        return
    if day.isoformat() not in days:
        raise click.ClickException(f"Nothing is known of {day}; {_looked_in(storage)}.")
    balance = accounts.balance(day.isoformat())
    click.echo(json.dumps(balance.as_dict(), indent=2) if as_json else statement.of_day(balance))


def _backfill(*, as_json: bool) -> None:
    from capillary_adobe import cli_backfill
    from capillary_adobe.backfill_progress import progress
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    found = progress(State(load(StorageSettings).state_url))
    click.echo(cli_backfill.as_json(found) if as_json else cli_backfill.told(found))


def _accounts(storage: Any) -> Accounts:
    from capillary_adobe.balance import Accounts
    from capillary_adobe.lake import Lake
    from capillary_adobe.landing import open_landing_store
    from capillary_adobe.state import State

    return Accounts(open_landing_store(storage.landing_url), Lake(storage.lake_url), State(storage.state_url))


def _looked_in(storage: Any) -> str:
    return f"looked in LANDING_URL={storage.landing_url} and LAKE_URL={storage.lake_url}"


def _told(day: date, written: Written, place: str) -> str:
    return (
        f"{day}: {written.lines} lines in {written.objects} objects, {written.bytes} bytes, {written.duplicates} duplicates, "
        f"{written.broken} broken, {written.late_objects} objects late, in {place}"
    )


def _what_to_try(around: Surroundings) -> str:
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC).date()
    program = Path(sys.executable).with_name("capillary-adobe")
    if program.is_relative_to(around.folder):
        program = program.relative_to(around.folder)
    places = [
        ("Dagster UI", around.ui_url),
        ("Assets", f"{around.ui_url}/locations/capillary_adobe/asset-groups/delivery"),
        *([("What AEP received", f"{around.emulator_url}/")] if around.emulates else []),
        *([("Receiver", f"{around.receiver_url}/metrics")] if around.receives else []),
        ("Logs", str(around.logs)),
    ]
    commands = ["status", "setup --drift", f"deliver --day {today - timedelta(days=1)} --dry-run", "replay"]
    if around.feeds:
        commands = [f"reconcile --day {today}", "subscribe --plan", *commands]
    history = (
        "\n  Watch `history_files`: a month of exports is imported. Then press `history_backfill`; its days are delivered."
        if around.feeds and around.past
        else ""
    )
    listed = "\n".join(f"    {shlex.quote(str(program))} {command}" for command in commands)
    addresses = "\n".join(f"{name + ':':<19}{place}" for name, place in places)
    return f"""
{addresses}

Try:
  Watch the assets of the group `delivery`: a micro-batch runs every few seconds.
  Open `ingestion_status`, Materialize, choose yesterday: the day is rebuilt, and nothing is sent twice.{history}
  Open `delivery_report`: is everything flowing, what is stuck and why, did yesterday arrive completely.
  In another terminal, in this folder: `. {shlex.quote(str(around.exports))}`, then any of
{listed}
Ctrl-C stops everything; what has landed and been delivered stays."""


if __name__ == "__main__":
    main()
