"""`capillary-adobe work`.

Belongs here: its options. Does not belong here: the worker (`defs.celery_worker`).
"""

from __future__ import annotations

import sys

import click


@click.command()
@click.option(
    "--queue",
    "queues",
    multiple=True,
    required=True,
    help="Take runs from this queue of dagster.yaml; several by repeating it.",
)
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at a time.")
@click.option(
    "--name", default="", help="Name of this worker, other than that of any other; made up where it is not given."
)
def work(queues: tuple[str, ...], runs: int, name: str) -> None:
    """Execute runs for a Dagster that shares them out by Celery. Needs DAGSTER_HOME and the settings that a run needs.

    SIGTERM or Ctrl-C lets runs at work come to their end first; SIGQUIT does not, and they are done again.
    """
    from capillary_adobe.defs.celery_worker import work as take

    sys.exit(take(queues, runs, name))
