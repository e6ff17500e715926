"""`capillary-adobe report`.

Belongs here: its options and what is printed. Does not belong here: the report (`reporting`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from capillary_adobe.reporting.figures import SentLog


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, instead of the page beside the tables that the asset delivery_report writes.",
)
def report(out: Path | None) -> None:
    """Write the delivery report: what flows, what is stuck and why, and whether yesterday arrived completely."""
    from capillary_adobe.lake import Lake
    from capillary_adobe.landing import open_landing_store
    from capillary_adobe.reporting.answers import answers
    from capillary_adobe.reporting.figures import draw_report
    from capillary_adobe.reporting.page import page
    from capillary_adobe.reporting.place import write_beside, write_file
    from capillary_adobe.settings import ReportSettings, StorageSettings, load
    from capillary_adobe.state import State

    storage, wanted = load(StorageSettings), load(ReportSettings)
    store, lake = open_landing_store(storage.landing_url), Lake(storage.lake_url)
    drawn = draw_report(store, lake, State(storage.state_url), wanted.days, _sent)
    for one in answers(drawn):
        click.echo(one.words)
    if out is None:
        click.echo(f"Written to {write_beside(storage.lake_url, page(drawn))}")
        return
    write_file(out.absolute(), page(drawn))
    click.echo(f"Written to {out}")


def _sent(day: str) -> SentLog | None:
    if os.environ.get("DAGSTER_HOME"):
        from capillary_adobe.defs.sent_log import sent_log_at_home

        return sent_log_at_home(day)
    from capillary_adobe.reporting.figures import SentLog

    return SentLog(
        day,
        problem=(
            "What Capillary says it sent is known to Dagster, and DAGSTER_HOME is not set: ask "
            f"`capillary-adobe reconcile --day {day}`"
        ),
    )
