"""`capillary-adobe settings`.

Belongs here: its options and what is printed. Does not belong here: the settings, and the words of each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from capillary_adobe.settings.described import Described


@click.command()
@click.argument("words", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs: a list with an object for each setting.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Make the tables of this Markdown page anew, such as docs/configuration.md; print nothing else.",
)
def settings(words: tuple[str, ...], *, as_json: bool, page: Path | None) -> None:
    """List every setting with type, default and meaning; with WORDS, those that have all of them. No values are shown."""
    from capillary_adobe.settings import every_class
    from capillary_adobe.settings.described import described

    if page is not None:
        if words or as_json:
            raise click.UsageError("--page writes one page: give it alone.")
        _refresh(page)
        return
    found = [one for one in described(every_class()).values() if _has(one, words)]
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found], indent=2))
    elif found:
        click.echo("\n\n".join(map(_told, found)))
    else:
        raise click.ClickException(f"No setting has {' and '.join(words)}; `capillary-adobe settings` lists all.")


def _refresh(page: Path) -> None:
    from capillary_adobe.settings_page import SettingsPageError, refreshed

    text = page.read_text("utf-8")
    try:
        made = refreshed(text)
    except SettingsPageError as error:
        raise click.ClickException(f"{page}: {error}") from None
    if made != text:
        page.write_text(made, "utf-8")
    click.echo(f"{page}: {'written' if made != text else 'nothing has changed'}.")


def _has(one: Described, words: tuple[str, ...]) -> bool:
    from capillary_adobe.settings.reading import without_links

    text = f"{one.variable} {without_links(one.meaning)}".casefold()
    return all(word.casefold() in text for word in words)


def _told(one: Described) -> str:
    from capillary_adobe.settings.reading import without_links

    meaning = click.wrap_text(without_links(one.meaning), initial_indent="  ", subsequent_indent="  ")
    return f"{one.variable}  ({one.form}; default: {one.default})\n{meaning}"
