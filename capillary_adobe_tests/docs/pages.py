"""The pages of the documentation, taken apart.

Belongs here: finding pages, tables, code, links and headings in Markdown. Does not belong here: judging them.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"no heading {heading}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables of a text, headings and rules left out."""
    lines = text.splitlines()
    ruled = {place for place, line in enumerate(lines) if re.fullmatch(r"\|(?: *:?-+:? *\|)+", line)}
    heads = {place - 1 for place in ruled}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for place, line in enumerate(lines)
        if line.startswith("|") and place not in ruled | heads
    ]


def plain(cell: str) -> str:
    return cell.replace("`", "").strip()


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return [body for kind, body in _FENCE.findall(text) if kind == language]


def commands(text: str) -> list[str]:
    """Lines of code, in fences without a language and between backticks."""
    fenced = [line.strip() for body in blocks(text, "") for line in body.splitlines()]
    return [*fenced, *re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))]


def links(text: str) -> list[str]:
    """Targets of links and pictures that lie in the repository."""
    return [target for target in _LINK.findall(_FENCE.sub("", text)) if not re.match(r"\w+:", target)]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub names them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
