"""The page of settings: tables between marks of a Markdown page, made of the settings themselves.

Belongs here: finding the marks, and what stands between them. Does not belong here: the words of a setting (the fields, and
`settings/described.py`), and the prose around the tables, which stands in the page.

A mark is a comment that names the variables of its table, in their order:

    <!-- settings: LANDING_URL LAKE_URL -->

    <!-- end of settings -->
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from capillary_adobe.settings import every_class
from capillary_adobe.settings.described import NONE, REQUIRED, SET_UP, Described, described

_END = "<!-- end of settings -->"
_MARKED = re.compile(rf"<!-- settings: ([^>]*?) -->\n.*?{re.escape(_END)}", re.DOTALL)


class SettingsPageError(Exception):
    """The marks of a page do not fit the settings; the text names the variables and the cure."""


def refreshed(page: str) -> str:
    """The page with every table made anew.

    Raises:
        SettingsPageError: a mark names what is no setting, or a setting stands in no table or in two.
    """
    known = described(every_class())
    named = Counter(name for marked in _MARKED.findall(page) for name in marked.split())
    wrong = [
        _sentence("No setting is called", named.keys() - known.keys(), "mend the mark, or take it out"),
        _sentence("No mark names", known.keys() - named.keys(), "add it to the mark of the table that it belongs to"),
        _sentence("More than one mark names", {one for one, times in named.items() if times > 1}, "keep one"),
    ]
    if any(wrong):
        raise SettingsPageError(" ".join(filter(None, wrong)))
    return _MARKED.sub(lambda found: _marked(found[1], known), page)


def _sentence(head: str, names: Iterable[str], cure: str) -> str:
    listed = ", ".join(sorted(names))
    return f"{head} {listed}: {cure}." if listed else ""


def _marked(names: str, known: dict[str, Described]) -> str:
    lines = [
        f"<!-- settings: {names} -->",
        "",
        "| variable | type | default | meaning |",
        "| --- | --- | --- | --- |",
        *(_row(known[name]) for name in names.split()),
        "",
        _END,
    ]
    return "\n".join(lines)


def _row(one: Described) -> str:
    default = one.default if one.default in {REQUIRED, SET_UP, NONE} else f"`{one.default}`"
    cells = (f"`{one.variable}`", one.form, default, one.meaning)
    # A bar ends a cell, in code too.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
