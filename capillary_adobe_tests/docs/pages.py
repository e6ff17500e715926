"""The pages of the documentation, taken apart.

Belongs here: finding pages, tables, code, links and headings in Markdown. Does not belong here: judging them.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
SHELLS = ("", "sh", "bash", "shell", "console")

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


def typed(text: str) -> list[str]:
    """Lines of the fences that hold what is typed into a shell; a line that goes on after a backslash is one."""
    found = "".join(body for language in SHELLS for body in blocks(text, language))
    return [line.strip().removeprefix("$ ") for line in found.replace("\\\n", " ").splitlines() if line.strip()]


def named(text: str) -> list[str]:
    """What stands between backticks outside of fences."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))


def links(text: str) -> list[str]:
    """Targets of links and pictures that lie in the repository."""
    return [target for target in _LINK.findall(_FENCE.sub("", text)) if not re.match(r"\w+:", target)]


def addresses(text: str) -> list[str]:
    """Addresses on the web, wherever they stand; those with a placeholder in their host are none yet."""
    found = (one.rstrip(".,;:'") for one in re.findall(r"https?://[^\s`\"<>|)\\]+", text))
    return [one for one in found if re.match(r"https?://[^/]", one) and "…" not in one]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub names them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
