"""`capillary-adobe doctor`.

Belongs here: its options, what is printed, the exit code. Does not belong here: the looks (`doctor`, `defs.doctor`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from capillary_adobe.doctor.findings import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "bright_black"}
_WIDTH = max(len(outcome) for outcome in _COLOURS)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of findings.")
@click.option("--offline", is_flag=True, help="Ask nothing of AEP and Capillary.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool, offline: bool) -> None:
    """Look whether this installation can work: settings, storage, Dagster, AEP. Changes nothing."""
    # Dagster takes seconds to import; that is no fault of the instance.
    from capillary_adobe.defs.doctor import DagsterLooks
    from capillary_adobe.doctor.order import examination

    found: list[Finding] = []
    for finding in examination(DagsterLooks().checks(), offline=offline):
        found.append(finding)
        if not as_json:
            click.echo(_line(finding))
    failed = sum(finding.outcome == "fail" for finding in found)
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in found], indent=2))
    else:
        click.echo(_sum(found, failed))
    ctx.exit(1 if failed else 0)


def _line(finding: Finding) -> str:
    mark = click.style(f"{finding.outcome:<{_WIDTH}}", fg=_COLOURS[finding.outcome])
    cure = f" → {finding.cure}" if finding.cure else ""
    return f"{mark}  {finding.check:<22}  {finding.words}{cure}"


def _sum(found: list[Finding], failed: int) -> str:
    warnings = sum(finding.outcome == "warn" for finding in found)
    if failed:
        return f"{failed} of {len(found)} findings must be mended; warnings: {warnings}."
    return f"Nothing must be mended; warnings: {warnings}."
