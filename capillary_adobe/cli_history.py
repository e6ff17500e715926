"""`capillary-adobe import-history`.

Belongs here: its options, what is printed, exit codes. Does not belong here: any work; the command calls one function of the
package.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capillary_adobe.capillary.insights.places import FoundFile, Place
    from capillary_adobe.history_importing import Imported
    from capillary_adobe.history_look import Looked
    from capillary_adobe.history_place import NotImported
    from capillary_adobe.history_setup import ImportSetup


@click.command("import-history")
@click.argument("place", metavar="[PATH|URL]", required=False)
@click.option(
    "--look", is_flag=True, help="Tell what each file is and what an import would make of it; import nothing."
)
@click.option(
    "--again",
    is_flag=True,
    help="Import files that were imported before, as after a change of the rules; move their objects out of the way first.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one object a line.")
def import_history(place: str | None, *, look: bool, again: bool, as_json: bool) -> None:
    """Import Insights+ exports: a file, or what is new in a folder, on S3 or SFTP; without PATH or URL, in INSIGHTS_URL."""
    from capillary_adobe.capillary.insights.places import open_place
    from capillary_adobe.history_setup import ImportSetup
    from capillary_adobe.history_statement import of_file
    from capillary_adobe.landing import open_landing_store
    from capillary_adobe.settings import InsightsSettings, StorageSettings, load
    from capillary_adobe.state import State

    insights = load(InsightsSettings)
    url = place or insights.url
    if url is None:
        raise click.ClickException("Name a file, a folder or an address, or set INSIGHTS_URL.")
    storage = load(StorageSettings)
    setup = ImportSetup.read(open_landing_store(storage.landing_url), State(storage.state_url))
    if place is not None:
        # Whoever names a file knows that it is complete; a fetch still tells where it changes meanwhile.
        setup = replace(setup, insights=insights.model_copy(update={"settle_seconds": 0.0}))
    opened = open_place(url, setup.insights)
    outcomes = _looked(opened, setup) if look else _imported(opened, place, setup, again=again)
    failed = 0
    for one in outcomes:
        failed += bool(getattr(one, "error", ""))
        click.echo(json.dumps(one.as_dict()) if as_json else of_file(one))
    if failed:
        raise click.ClickException(
            f"{failed} of the files {'was' if failed == 1 else 'were'} not imported; see above why."
        )


def _imported(opened: Place, given: str | None, setup: ImportSetup, *, again: bool) -> Iterator[Imported | NotImported]:
    from capillary_adobe.history_place import import_place
    from capillary_adobe.state import HistoryFiles

    if not os.environ.get("DAGSTER_HOME"):
        return import_place(opened, setup, _progress, again=again)
    from capillary_adobe.defs.history_launching import import_as_run

    def import_one(found: FoundFile) -> Imported:
        _progress(f"{found.name}: imported in a run of {os.environ['DAGSTER_HOME']} …")
        return import_as_run(found, _location(given), HistoryFiles(setup.state), again=again)

    return import_place(opened, setup, _progress, again=again, import_one=import_one)


def _location(given: str | None) -> str:
    """Where a run finds what was named here; empty for INSIGHTS_URL."""
    if given is None or "://" in given:
        return given or ""
    return str(Path(given).absolute())


def _looked(place: Place, setup: ImportSetup) -> Iterator[Looked | NotImported]:
    from capillary_adobe.history_look import look_at_place

    return look_at_place(place, setup, _progress)


def _progress(words: str) -> None:
    click.echo(words, err=True)
