"""`capillary-adobe emulate-capillary`.

Belongs here: its options and what is printed. Does not belong here: the emulator (`emulators.capillary`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from capillary_adobe.cli_options import PORT, base_url, demand_folder, demand_port, export

_SECRET = "CAPILLARY_API_SECRET"  # noqa: S105 - the variable's name


@click.command("emulate-capillary")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, default=8789, show_default=True, help="Port to listen on.")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path(".data/capillary"),
    show_default=True,
    help="Folder for webhooks and event log; it stays.",
)
@click.option("--token-seconds", type=click.IntRange(1), default=3600, show_default=True, help="Life of a token.")
@click.option(
    "--time-scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Shorten (0.01) or stretch the pauses between two attempts and the 7 days until an event is given up.",
)
@click.option(
    "--answer-seconds",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="How long to wait for a webhook.",
)
@click.option(
    "--never-again",
    type=click.IntRange(100, 599),
    multiple=True,
    default=(400,),
    show_default=True,
    help="A status after which an event is lost; may be given several times.",
)
@click.option("--requests-per-minute", type=click.IntRange(0), default=0, help="Answer 429 above this; 0: no limit.")
@click.option("--errors-with-200", is_flag=True, help="Tell what is wrong with a request in an answer with status 200.")
@click.option(
    "--unique-names/--no-unique-names",
    default=True,
    show_default=True,
    help="Refuse a webhook whose name is taken; whether Capillary does is not documented.",
)
@click.option(
    "--denied",
    type=click.Choice(["Customer", "Transaction", "Organization", "Webhooks"]),
    multiple=True,
    help="A resource that the API client has no right to; may be given several times.",
)
@click.option(
    "--sees-personal-data/--masked",
    default=True,
    show_default=True,
    help="Whether the API client may see names and contacts; if not, they are masked.",
)
@click.option(
    "--demo", is_flag=True, help="Know the customers, transactions, stores and programs of the demo's events."
)
def emulate_capillary(
    host: str,
    port: int,
    store: Path,
    *,
    never_again: tuple[int, ...],
    denied: tuple[str, ...],
    demo: bool,
    **behaviour: Any,
) -> None:
    """Run a local stand-in for Capillary: its APIs, its event log, and the service that posts events to webhooks.

    Prints the variables that a client needs, then serves until Ctrl-C. CAPILLARY_API_* variables that are set already are
    the emulated organisation's too. Events to post are handed in at /control/events, customers, transactions, stores, tills and
    programs at /control/customers and so on.
    """
    from capillary_adobe.demo.population import DemoPopulation
    from capillary_adobe.emulators.capillary.app import Behaviour, Organisation, build_app, serve

    demand_port(host, port)
    demand_folder(store)
    organisation = Organisation.from_environment(os.environ)
    address = base_url(host, port)
    for name, value in sorted(organisation.environment(address).items()):
        click.echo(export(name, value, hidden=name == _SECRET and bool(os.environ.get(_SECRET))))
    click.echo(f"# What can be set and sent: {address}/control")
    chosen = Behaviour(never_again=frozenset(never_again), denied=frozenset(denied), **behaviour)
    app = build_app(organisation, store, chosen, DemoPopulation() if demo else None)
    serve(app, host, port)
