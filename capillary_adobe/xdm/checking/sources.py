"""Whether the sources of the rules exist: each path is a known field of the event or declared by the tenant.

Belongs here: paths, lists on the way, and kinds that no conversion can read. Does not belong here: the fields themselves
(`capillary.source_fields`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from capillary_adobe.capillary.source_fields import ANYTHING, LIST, OBJECT, lies_in
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.checking.findings import Finding
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.rule_model import Leaf, Path, Step, Test, Variant
from capillary_adobe.xdm.language.rule_walk import Site, sites, source, written

_UNREADABLE: Final = {
    ("boolean", "number"),
    ("boolean", "integer"),
    ("boolean", "limit"),
    ("boolean", "moment"),
    *((kind, "boolean") for kind in ("id", "number", "points", "money", "count", "moment")),
    *(
        (kind, conversion)
        for kind in ("boolean", "number", "points", "money", "count", "moment")
        for conversion in ("currency", "date", "email", "language", "country")
    ),
    *((kind, "moment") for kind in ("points", "money", "count")),
}
"""Kinds that a conversion never reads."""


def with_declared(known: Mapping[str, str], declared: frozenset[str]) -> dict[str, str]:
    """The known fields and the declared ones; the latter, and what lies below, may hold anything."""
    found = dict(known)
    for path in declared:
        steps = path.split(".")
        for length in range(1, len(steps) + 1):
            part = ".".join(steps[:length])
            if part.endswith("[]"):
                found.setdefault(part.removesuffix("[]"), LIST)
            found.setdefault(part, ANYTHING if length == len(steps) else OBJECT)
    return found


def check_sources(event: str, variant: Variant, kinds: Mapping[str, str]) -> Iterator[Finding]:
    """Findings on the sources of one variant; `kinds` are the event's source fields, declared ones included."""
    checked = _Checked(event, kinds)
    yield from checked.conditions(event, variant.when, None)
    for path in variant.timestamp:
        yield from checked.path(f"{event}: timestamp", path, None, "moment")
    for site in sites(variant):
        yield from checked.site(site)


class _Checked:
    def __init__(self, event: str, kinds: Mapping[str, str]) -> None:
        self._event = event
        self._kinds = kinds
        self._open = tuple(path for path, kind in kinds.items() if kind == ANYTHING)

    def site(self, site: Site) -> Iterator[Finding]:
        """Findings on the sources of a leaf or a block."""
        told = f"{self._event}: {written(site.target)}"
        if site.leaf is not None:
            yield from self._leaf(told, site.leaf, site.base)
        elif site.block is not None:
            base = site.base
            if site.block.each is not None:
                yield from self._each(told, site.block.each, base)
                base = source(site.block.each, base)
            yield from self.conditions(told, site.block.when, base)

    def conditions(self, told: str, tests: tuple[Test, ...], base: str | None) -> Iterator[Finding]:
        """Findings on the paths of conditions, which may ask whether there is a list or an object too."""
        for test in tests:
            yield from self.path(told, test.path, base, "text" if test.operator else None)

    def path(self, told: str, path: Path, base: str | None, conversion: str | None) -> Iterator[Finding]:
        """Findings on one path; with a conversion, on what stands there too."""
        if path.origin == "row":
            kind = _kind_of_column(path.steps[0].name)
        else:
            yield from self._filters(told, path, base)
            whole = source(path, base)
            if not self._known(whole):
                yield Finding("error", path.place, f"{told} reads {path.text}: {self._unknown(whole)}")
                return
            kind = self._kinds.get(whole, ANYTHING)
        if conversion is None or kind == ANYTHING:
            return
        if kind in (LIST, OBJECT):
            cure = "Use `each`, or [key=Value] for one element" if kind == LIST else "Name a field in it"
            cure = "Use another column" if path.origin == "row" else cure
            yield Finding("error", path.place, f"{told} reads {path.text}, which is {_article(kind)}. {cure}.")
        elif (kind, conversion) in _UNREADABLE:
            words = f"{told} reads {path.text} as {conversion}, but it holds {kind}. Choose another conversion."
            yield Finding("error", path.place, words)

    def _leaf(self, told: str, leaf: Leaf, base: str | None) -> Iterator[Finding]:
        yield from self.conditions(told, leaf.when, base)
        for path in leaf.sources:
            yield from self.path(told, path, base, "text" if leaf.choices else leaf.conversion)

    def _each(self, told: str, each: Path, base: str | None) -> Iterator[Finding]:
        yield from self.path(told, each, base, None)
        whole = source(each, base)
        kind = self._kinds.get(whole)
        if each.origin == "row" or (kind is not None and kind not in (LIST, ANYTHING)):
            words = f"{told} goes through {each.text}, which is no list of the payload. Leave `each` out."
            yield Finding("error", each.place, words)

    def _filters(self, told: str, path: Path, base: str | None) -> Iterator[Finding]:
        """Findings on what stands in brackets."""
        for number, step in enumerate(path.steps):
            if step.key is None:
                continue
            through = Path(path.origin, (*path.steps[: number + 1], Step(step.key)), path.text, path.place)
            whole = source(through, base)
            listed = whole.removesuffix(f"[].{step.key}")
            if self._known(listed) and not self._known(whole):
                yield Finding("error", path.place, f"{told} reads {path.text}: {self._unknown(whole)}")
            if isinstance(step.wanted, Path):
                yield from self.path(told, step.wanted, base, "text")

    def _known(self, whole: str) -> bool:
        return whole in self._kinds or any(lies_in(whole, path) for path in self._open)

    def _unknown(self, whole: str) -> str:
        steps = whole.split(".")
        for length in range(1, len(steps) + 1):
            part = ".".join(steps[:length])
            if self._known(part):
                continue
            plain = part.removesuffix("[]")
            if part != plain and self._known(plain):
                return f"{plain} is no list. Leave the brackets or `each` out."
            above = ".".join(steps[: length - 1])
            if above and self._kinds.get(above) == LIST:
                return f"{above} is a list. Use `each`, or [key=Value] for one element."
            near = [one.rpartition(".")[2] for one in self._kinds if one.rpartition(".")[0] == above]
            close = close_to(steps[length - 1], [one.removesuffix("[]") for one in near])
            cure = close or " Correct the path."
            # As YAML takes it: brackets within a list need quotes.
            declared = f"'{whole}'" if "[" in whole else whole
            return (
                f"{self._event} has no field {plain} in the published payloads.{cure} If your payloads have it, declare "
                f"{declared} in events.yaml under custom_sources."
            )
        return "the path leads nowhere."


def _kind_of_column(name: str) -> str:
    if name not in ENRICHED_EVENTS.names:
        return "text"
    if name.endswith("_ms"):
        return "moment"
    kind = ENRICHED_EVENTS.schema.field(name).type
    if pa.types.is_list(kind):
        return LIST
    return "number" if pa.types.is_integer(kind) else "text"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
