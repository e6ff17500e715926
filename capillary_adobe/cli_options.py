"""Options that several commands share.

Belongs here: reading what an operator typed, with one sentence for what means nothing. Does not belong here: the commands.
"""

from __future__ import annotations

import re
from datetime import date

import click


class Malformed(click.ClickException):
    """A value that means nothing: exit code 2, as for an option that does not exist."""

    exit_code = 2


def day(_ctx: click.Context, _option: click.Parameter, value: str | None) -> date | None:
    """A UTC landing day; or one sentence without the lines on usage that click would add."""
    if value is None:
        return None
    try:
        # fromisoformat also reads forms that no folder of the landing store has.
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise Malformed(f"{value!r} is no day; give one as YYYY-MM-DD, such as 2026-01-31.")
