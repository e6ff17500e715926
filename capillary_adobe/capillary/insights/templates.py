"""Templates: what the columns of an export mean, and which template a file is of.

Belongs here: reading `templates.yaml`, and finding template and columns by header, rules and file name. Does not belong here:
what a row becomes (`becoming.py`), the organisation's own names (`rules.py`).
Source: docs.capillarytech.com/docs/standard_templates
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from glob import escape
from importlib import resources
from typing import Any, Literal, Protocol

import yaml

from capillary_adobe.capillary.insights.alike import alike

# What Insights+ lets a column be called, and blanks; a value of a row is mostly none of that.
_NAME = re.compile(r"[A-Za-z_](?:[A-Za-z_. \-/()#]|\d(?!\d\d\d)){0,79}")
_MOST_NAMES = 60

Kind = Literal["id", "number", "text", "moment", "date", "time"]


class TemplateUnknown(ValueError):
    """A file whose template cannot be told, or whose columns do not suffice; the text says what to write where."""


class TemplateUnread(TemplateUnknown):
    """A file of a template that is known and not read."""


@dataclass(frozen=True)
class Column:
    """A column: our name, the kind of its cells, its meaning, and the headers by which it is found, as in `alike`."""

    name: str
    kind: Kind
    says: str
    headers: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """A template. Of each group in `required` one column has to be there; with one of `tells` the columns alone tell it."""

    name: str
    says: str
    columns: Mapping[str, Column]
    required: tuple[tuple[str, ...], ...]
    tells: tuple[str, ...]
    over: tuple[str, ...]
    names: tuple[str, ...]
    events: tuple[str, ...]

    def missing(self, found: Iterable[str]) -> list[tuple[str, ...]]:
        """The groups of required columns of which none is among those found."""
        there = set(found)
        return [group for group in self.required if not there.intersection(group)]


@dataclass(frozen=True)
class Matched:
    """A file's template, and our name for each header that is read.

    Other headers keep their own, but for those in `left_out`: they are named like a column of ours and are not it.
    """

    template: Template
    columns: Mapping[str, str]
    left_out: frozenset[str] = frozenset()

    def named(self, cells: Mapping[str, str]) -> dict[str, str]:
        """The cells of a row by our names, without those that are empty."""
        names, left_out = self.columns, self.left_out
        return {names.get(header, header): text for header, text in cells.items() if text and header not in left_out}


class ColumnRules(Protocol):
    """What finding a template wants of an organisation's rules (`InsightsRules`)."""

    def columns_of(self, template: str) -> Mapping[str, str | None]:
        """Our column by header, as in `alike`; None for a header that is left out."""
        ...

    def own_fields_of(self, template: str) -> Sequence[str]:
        """Names of columns that are custom or extended fields."""
        ...

    def template_of(self, file_name: str) -> str | None:
        """The template that the rules give a file."""
        ...


def templates() -> Mapping[str, Template]:
    """Every template that is read, by name."""
    return _shipped().templates


def own_words() -> Mapping[str, Mapping[str, str]]:
    """Our word by what exports write, as in `alike`, for each column that holds words."""
    return _shipped().words


def event_types() -> tuple[str, ...]:
    """Every event type that an export can yield."""
    return tuple(dict.fromkeys(event for template in templates().values() for event in template.events))


def find_template(header: Sequence[str], name: str, rules: ColumnRules) -> Matched:
    """The template of a file with this header: by the rules, by the columns, by the file's name, in this order.

    `name` is the file's path below the place where exports arrive, with the archive that holds it.

    Raises:
        TemplateUnknown: it cannot be told, or required columns are not there; the text names both, and the cure.
        TemplateUnread: the template is known and not read.
    """
    matches = {template.name: _matched(template, header, rules) for template in templates().values()}
    ruled = rules.template_of(name)
    if ruled is not None:
        return _complete(matches[ruled], header, name)
    told = _told_by_columns(matches)
    unread = _unread_by_columns(header)
    if told and unread is not None and _is_called(name, unread):
        # Such as coupons with the bills on which they were redeemed: as bills they would take the place of the bills.
        raise TemplateUnread(
            f"{_unread(name, unread)}\nIf it is {told[0].template.name} all the same:\n"
            f'templates:\n  "{_glob(name)}": {told[0].template.name}'
        )
    if len(told) == 1:
        return told[0]
    if len(told) > 1:
        raise TemplateUnknown(_ambiguous(name, [match.template.name for match in told]))
    if unread is None:
        named = _named(name)
        if named in matches:
            return _complete(matches[named], header, name)
        unread = named
    if unread is not None:
        raise TemplateUnread(_unread(name, unread))
    raise TemplateUnknown(_unknown(name, header, matches.values()))


def _matched(template: Template, header: Sequence[str], rules: ColumnRules) -> Matched:
    """Which header is which column: the rules first, then the first of a column's headers that is there."""
    free = {alike(text): text for text in reversed(header)}
    columns: dict[str, str] = {}
    for ruled, column in rules.columns_of(template.name).items():
        text = free.pop(ruled, None)
        if text is not None and column is not None:
            columns[text] = column
    for field in rules.own_fields_of(template.name):
        text = free.pop(alike(field), None)
        if text is not None:
            columns[text] = field
    taken = set(columns.values())
    for column in template.columns.values():
        if column.name not in taken:
            found = next((free.pop(wanted) for wanted in column.headers if wanted in free), None)
            if found is not None:
                columns[found] = column.name
    left_out = frozenset(text for text in header if text not in columns and text in template.columns)
    return Matched(template, columns, left_out)


def _told_by_columns(matches: Mapping[str, Matched]) -> list[Matched]:
    """Those that the columns tell; of several, those that read the most of them."""
    told = [
        match
        for match in matches.values()
        if not match.template.missing(match.columns.values())
        and not set(match.template.tells).isdisjoint(match.columns.values())
    ]
    beaten = {name for match in told for name in match.template.over}
    left = [match for match in told if match.template.name not in beaten]
    most = max((len(match.columns) for match in left), default=0)
    return [match for match in left if len(match.columns) == most]


def _complete(match: Matched, header: Sequence[str], name: str) -> Matched:
    missing = match.template.missing(match.columns.values())
    if missing:
        raise TemplateUnknown(
            f"{name} is of the template {match.template.name} and lacks {_listed(missing)}. {_columns_found(header)} "
            f"{_line_to_add(match.template, missing)}"
        )
    return match


def _unread_by_columns(header: Sequence[str]) -> str | None:
    there = {alike(text) for text in header}
    return next((name for name, tells in _shipped().unread_tells.items() if not there.isdisjoint(tells)), None)


def _named(name: str) -> str | None:
    """The template whose name stands in a file's name: in its last part first, the longest where there are several."""
    for part in reversed(name.split("/")):
        plain = alike(part)
        found = [(len(named), template) for named, template in _shipped().names.items() if named in plain]
        if found:
            return max(found)[1]
    return None


def _is_called(name: str, template: str) -> bool:
    """Whether a template's name stands in a file's name or its folder's."""
    plain = alike(name)
    return any(named in plain for named, known in _shipped().names.items() if known == template)


def _unknown(name: str, header: Sequence[str], matches: Iterable[Matched]) -> str:
    nearest = max(matches, key=lambda match: (len(match.columns), -len(match.template.missing(match.columns.values()))))
    missing = nearest.template.missing(nearest.columns.values())
    if not missing:
        return (
            f"The template of {name} cannot be told. {_columns_found(header)} The nearest is {nearest.template.name}; if it is "
            f'that, add to the rules file:\ntemplates:\n  "{_glob(name)}": {nearest.template.name}'
        )
    return (
        f"The template of {name} cannot be told. {_columns_found(header)} The nearest is {nearest.template.name}, which lacks "
        f"{_listed(missing)}. {_line_to_add(nearest.template, missing)}"
    )


def _unread(name: str, unread: str) -> str:
    return (
        f'{name} is of the template "{unread}", which is not read. Take it out of the export, or add to the rules file:\n'
        f'ignore: ["{_glob(name)}"]'
    )


def _ambiguous(name: str, found: Sequence[str]) -> str:
    return (
        f"{name} has the columns of several templates: {', '.join(found)}. Say which it is in the rules file:\n"
        f'templates:\n  "{_glob(name)}": {found[0]}'
    )


def _listed(missing: Sequence[tuple[str, ...]]) -> str:
    return ", ".join(" or ".join(group) for group in missing)


def _columns_found(header: Sequence[str]) -> str:
    """The header in words. A file without one begins with a row, and of a row nothing may be told."""
    names = [text for text in header if _NAME.fullmatch(text)]
    if len(names) * 2 < len(header):
        return "Its first line holds no names of columns; export it with a header."
    rest = len(header) - len(names[:_MOST_NAMES])
    return f"Its columns: {', '.join(names[:_MOST_NAMES])}{f' and {rest} more' if rest else ''}."


def _line_to_add(template: Template, missing: Sequence[tuple[str, ...]]) -> str:
    lines = "".join(f"\n    <its header>: {group[0]}    # {template.columns[group[0]].says}" for group in missing)
    return f"Add to the rules file:\ncolumns:\n  {template.name}:{lines}"


def _glob(name: str) -> str:
    """A glob for files such as this one: its name up to the first digit, which is mostly a date."""
    last = name.rsplit("/", 1)[-1]
    head = last[: next((place for place, sign in enumerate(last) if sign.isdigit()), len(last))]
    return f"*{escape(head)}*" if head.strip("._- ") else f"*{escape(last)}"


@dataclass(frozen=True)
class _Shipped:
    templates: Mapping[str, Template]
    names: Mapping[str, str]
    unread_tells: Mapping[str, frozenset[str]]
    words: Mapping[str, Mapping[str, str]]


@cache
def _shipped() -> _Shipped:
    text = resources.files("capillary_adobe.capillary.insights").joinpath("templates.yaml").read_text("utf-8")
    written = yaml.safe_load(text)
    parts: dict[str, dict[str, Any]] = written["parts"]
    read = {name: _template(name, fields, parts) for name, fields in written["templates"].items()}
    names = {named: template.name for template in read.values() for named in template.names}
    names |= {alike(named): name for name, fields in written["unread"].items() for named in fields["names"]}
    tells = {name: frozenset(map(alike, fields["tells"])) for name, fields in written["unread"].items()}
    return _Shipped(read, names, tells, {column: dict(_spellings(words)) for column, words in written["words"].items()})


def _template(name: str, fields: dict[str, Any], parts: dict[str, dict[str, Any]]) -> Template:
    columns: dict[str, dict[str, Any]] = {}
    for part in fields["parts"]:
        columns |= parts[part]
    columns |= fields["columns"]
    return Template(
        name=name,
        says=fields["says"],
        columns={column: _column(column, told) for column, told in columns.items()},
        required=tuple((group,) if isinstance(group, str) else tuple(group) for group in fields["required"]),
        tells=tuple(fields["tells"]),
        over=tuple(fields.get("over", ())),
        names=tuple(map(alike, fields["names"])),
        events=tuple(fields["events"]),
    )


def _column(name: str, told: dict[str, Any]) -> Column:
    headers = dict.fromkeys([alike(name), *map(alike, told.get("headers", ()))])
    return Column(name, told["kind"], told["says"], tuple(headers))


def _spellings(words: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str]]:
    for ours, theirs in words.items():
        yield alike(ours), ours
        # YAML takes some of them for truth values.
        yield from ((alike(str(spelling)), ours) for spelling in theirs)
