"""What several commands share of their options and of what they print.

Belongs here: reading what an operator typed, with one sentence for what means nothing. Does not belong here: the commands.
"""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path

import click

PORT = click.IntRange(1, 65535)


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


def demand_folder(store: Path) -> None:
    """Make a folder that an emulator is to write to; one sentence where that cannot be."""
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"The folder {store} cannot be made ({error.strerror}). Choose another one with --store."
        ) from error
    if not os.access(store, os.W_OK):
        raise click.ClickException(f"The folder {store} cannot be written. Choose another one with --store.")


def demand_port(host: str, port: int) -> None:
    """Find out whether a port can be listened on; one sentence where it cannot."""
    from capillary_adobe.demo.surroundings import why_unusable

    taken = why_unusable(host, port)
    if taken:
        raise click.ClickException(f"Port {port} on {host} cannot be used ({taken}). Choose another one with --port.")


def base_url(host: str, port: int) -> str:
    """The address of a server, as a client writes it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def export(name: str, value: str, *, hidden: bool) -> str:
    """A line that sets a variable as a shell reads it back; one that is hidden is only named."""
    # A secret that somebody chose must not end up in a log; the demo's own is no secret.
    if hidden:
        return f"# {name} is the one in your environment"
    quoted = re.sub(r'([\\"$`])', r"\\\1", value)
    return f'export {name}="{quoted}"'
