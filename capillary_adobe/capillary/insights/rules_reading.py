"""What may stand in the rules file, and what is said where it does not.

Belongs here: each key of the file with its form, and the words for mistakes. Does not belong here: answering by what is
written (`rules.py`).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.insights.alike import alike
from capillary_adobe.capillary.insights.form import Form
from capillary_adobe.capillary.insights.templates import Template, event_types, own_words, templates
from capillary_adobe.xdm.language.marked_yaml import Marked, read_yaml
from capillary_adobe.xdm.language.rule_model import MappingError, Place, Problems, wrong

DEFAULT = "default"
_MOST_BYTES = 1 << 20
_TRIED_MOMENT = datetime(2026, 11, 28, 21, 43, 57, tzinfo=UTC)


class RulesError(Exception):
    """The rules file cannot be used; the text names each line with what is wrong there and the cure."""


@dataclass(frozen=True)
class Written:
    """What a rules file says. Columns and words are keyed as in `alike`, moments are epoch ms by event type or `default`."""

    live_from: Mapping[str, int] = field(default_factory=dict)
    shared_keys: frozenset[str] = frozenset()
    columns: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    form: Form = field(default_factory=Form)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    custom_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extended_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_rules(path: Path, zone: ZoneInfo) -> Written:
    """What a rules file says; bare dates are read in `zone`.

    Raises:
        RulesError: it cannot be read, or something in it is wrong; every mistake with its line and cure.
    """
    with _as_rules_error():
        tree = read_yaml(str(path), _text(path))
        problems = Problems()
        reading = _Reading(zone, problems)
        written = Written()
        with problems.gathered():
            for key, value in _mapping(tree, "The file").items():
                with problems.gathered():
                    read = _one_of(tree.keys[key], key, reading.readers, "key")
                    # Nothing behind a key is as if it did not stand there.
                    if not value.is_scalar or value.value is not None:
                        written = replace(written, **{read: reading.readers[read](value)})
        problems.tell()
        _demand_one_way(tree, written)
        return written


class _Reading:
    """Reads the values of one file; what is wrong inside one is gathered, so that all of it is told."""

    def __init__(self, zone: ZoneInfo, problems: Problems) -> None:
        self._zone = zone
        self._problems = problems
        self.readers: dict[str, Callable[[Marked], object]] = {
            "live_from": self.live_from,
            "shared_keys": self.shared_keys,
            "columns": self.columns,
            "templates": self.templates,
            "ignore": self.ignore,
            "form": self.form,
            "words": self.words,
            "custom_fields": self.own_fields,
            "extended_fields": self.own_fields,
        }

    def live_from(self, value: Marked) -> dict[str, int]:
        if value.is_scalar:
            return {DEFAULT: _moment(value, self._zone)}
        found = {}
        for name, key, moment in _members(value, "live_from"):
            with self._problems.gathered():
                event = _one_of(key, name, (DEFAULT, *_cut_types()), "event type", _why_not_cut(name))
                found[event] = _moment(moment, self._zone)
        return found

    def shared_keys(self, value: Marked) -> frozenset[str]:
        found = set()
        for text, place in _texts(value, "shared_keys"):
            with self._problems.gathered():
                found.add(_one_of(place, text, _cut_types(), "event type", _why_not_cut(text)))
        return frozenset(found)

    def columns(self, value: Marked) -> dict[str, dict[str, str | None]]:
        found: dict[str, dict[str, str | None]] = {}
        for name, key, headers in _members(value, "columns"):
            with self._problems.gathered():
                template = templates()[_one_of(key, name, templates(), "template")]
                found[template.name] = self._columns_of(template, headers)
        return found

    def _columns_of(self, template: Template, headers: Marked) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for header, _, column in _members(headers, f"columns of {template.name}"):
            with self._problems.gathered():
                ours = None if column.value is None else _text_of(column, "the name of a column of ours")
                if ours is not None:
                    _one_of(column.place, ours, template.columns, f"column of {template.name}")
                    if ours in found.values():
                        raise wrong(column.place, f"gives a second header to {ours}. Keep the one that the file has.")
                found[alike(header)] = ours
        return found

    def templates(self, value: Marked) -> dict[str, str]:
        found = {}
        for glob, key, name in _members(value, "templates"):
            with self._problems.gathered():
                template = _one_of(name.place, _text_of(name, "a template"), templates(), "template")
                found[_glob(key, glob)] = template
        return found

    def ignore(self, value: Marked) -> tuple[str, ...]:
        return tuple(_glob(place, text) for text, place in _texts(value, "ignore"))

    def form(self, value: Marked) -> Form:
        form = Form()
        for name, key, told in _members(value, "form"):
            with self._problems.gathered():
                read = _one_of(key, name, _FORM, "key of form")
                form = replace(form, **{read: _FORM[read](told)})
        if form.decimal == form.delimiter:
            raise wrong(value.place, "has one sign for delimiter and decimal. No file can be read so; change one.")
        if form.escape is not None and form.escape in (form.quote, form.delimiter):
            raise wrong(
                value.place,
                "has one sign for escape and another use. Take escape out where quotes are doubled, or change one of them.",
            )
        return form

    def words(self, value: Marked) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for name, key, told in _members(value, "words"):
            with self._problems.gathered():
                column = _one_of(key, name, own_words(), "column with words")
                found[column] = self._words_of(column, told)
        return found

    def _words_of(self, column: str, told: Marked) -> dict[str, str]:
        known = dict.fromkeys(own_words()[column].values())
        found = {}
        for theirs, _, ours in _members(told, f"words of {column}"):
            with self._problems.gathered():
                word = _text_of(ours, "a word of ours")
                found[alike(theirs)] = _one_of(ours.place, word, known, f"word for {column}")
        return found

    def own_fields(self, value: Marked) -> dict[str, tuple[str, ...]]:
        found = {}
        for name, key, told in _members(value, "fields"):
            with self._problems.gathered():
                template = _one_of(key, name, templates(), "template")
                found[template] = tuple(text for text, _ in _texts(told, f"fields of {template}"))
        return found


def _members(value: Marked, what: str) -> Iterator[tuple[str, Place, Marked]]:
    for name, member in _mapping(value, what).items():
        yield name, value.keys[name], member


def _texts(value: Marked, what: str) -> Iterator[tuple[str, Place]]:
    if not isinstance(value.value, list):
        raise wrong(value.place, f"{what} is no list. Write it as [one, another].")
    for element in value.elements():
        yield _text_of(element, "a text"), element.place


def _demand_one_way(tree: Marked, written: Written) -> None:
    """An event type is cut or shares a key; who writes both expects one of them to have no effect."""
    live_from = tree.mapping().get("live_from")
    both = sorted(written.shared_keys.intersection(written.live_from))
    if both and live_from is not None:
        raise wrong(
            live_from.keys[both[0]],
            f"{both[0]} stands in shared_keys as well. Events with a shared key are never cut; take it out of one of the two.",
        )


def _delimiter(value: Marked) -> str:
    sign = {"tab": "\t", "\\t": "\t"}.get(value.text, value.text)
    if not value.is_scalar or len(sign) != 1 or sign in "\"'\r\n" or sign.isalnum():
        raise wrong(value.place, 'delimiter is one sign in quotes, such as ";" or "\\t".')
    return sign


def _encoding(value: Marked) -> str:
    name = _text_of(value, "an encoding")
    try:
        codecs.lookup(name)
        "a".encode(name)
    except (LookupError, ValueError, TypeError) as error:
        raise wrong(
            value.place, f"{name} is no encoding. Write utf-8, utf-16, cp1252 or another that Python knows."
        ) from error
    return name


def _quote(value: Marked) -> str:
    if not value.is_scalar or len(value.text) != 1 or value.text.isalnum() or value.text in "\r\n":
        raise wrong(value.place, "quote is one sign in quotes, such as '\"'.")
    return value.text


def _escape(value: Marked) -> str:
    if not value.is_scalar or len(value.text) != 1 or value.text.isalnum() or value.text.isspace():
        raise wrong(value.place, "escape is one sign in single quotes, such as '\\'.")
    return value.text


def _decimal(value: Marked) -> str:
    if value.text not in (".", ","):
        raise wrong(value.place, 'decimal is "." or ",".')
    return value.text


def _dates(value: Marked) -> tuple[str, ...]:
    elements = [value] if value.is_scalar else value.elements()
    if not elements:
        raise wrong(value.place, 'dates is a list of forms, such as ["%d/%m/%Y"].')
    return tuple(_date_form(element) for element in elements)


def _date_form(value: Marked) -> str:
    form = _text_of(value, "a form of dates")
    try:
        told = _TRIED_MOMENT.strftime(form)
        again = datetime.strptime(told, form)  # noqa: DTZ007 - its day is compared, never its moment
    except ValueError as error:
        raise wrong(value.place, f"{form} is no form of dates. Write it as {_DATE_EXAMPLE}.") from error
    if again.date() != _TRIED_MOMENT.date():
        raise wrong(value.place, f"{form} does not tell day, month and year. Write it as {_DATE_EXAMPLE}.")
    return form


_DATE_EXAMPLE = '"%d/%m/%Y" or "%d-%b-%Y %H:%M:%S"'
_FORM: Mapping[str, Callable[[Marked], object]] = {
    "delimiter": _delimiter,
    "encoding": _encoding,
    "quote": _quote,
    "escape": _escape,
    "dates": _dates,
    "decimal": _decimal,
}


def _cut_types() -> tuple[str, ...]:
    """Event types of exports without a natural key: exports and webhooks name them differently."""
    catalogue = shipped_catalogue()
    known = ((name, catalogue.find(name)) for name in event_types())
    return tuple(name for name, kind in known if kind is None or kind.natural_key is None)


def _why_not_cut(name: str) -> str:
    if name in event_types():
        return f"{name} has the same id in exports and webhooks and is never cut; take the line out."
    if shipped_catalogue().find(name) is not None and name not in _cut_types():
        return f"{name} stands in no export; take the line out."
    return ""


def _moment(value: Marked, zone: ZoneInfo) -> int:
    """A moment as epoch ms: ISO 8601 with an offset, or a date, which begins in the zone."""
    text = value.text.strip() if value.is_scalar else ""
    try:
        if len(text) == len("2026-10-01"):
            return int(datetime.combine(date.fromisoformat(text), time(), zone).timestamp() * 1000)
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise wrong(value.place, f"{text[:40] or 'this'} is no moment. {_MOMENT_EXAMPLE}") from error
    if read.tzinfo is None:
        raise wrong(value.place, f"{text[:40]} has no offset from UTC. {_MOMENT_EXAMPLE}")
    if read.microsecond:
        # Exports tell seconds. A cut within one would leave an event to both sources, or to none.
        raise wrong(value.place, f"{text[:40]} lies within a second. {_MOMENT_EXAMPLE}")
    return int(read.timestamp()) * 1000


_MOMENT_EXAMPLE = "Write 2026-10-01, which begins in the organisation's zone, or 2026-10-01T12:00:00+05:30."


def _glob(place: Place, text: str) -> str:
    if not text.strip():
        raise wrong(place, 'is empty. Write a part of the files\' names between stars, such as "*Footfall*".')
    plain = text.replace("[[]", "")
    if plain.count("[") > plain.count("]"):
        raise wrong(place, f"{text[:60]} has a bracket without its partner. A [ of the name itself is written [[].")
    return text


def _one_of(place: Place, name: str, known: Iterable[str], what: str, reason: str = "") -> str:
    names = list(known)
    if name in names:
        return name
    if reason:
        raise wrong(place, reason)
    near = get_close_matches(name, names, 1)
    cure = f"Is it {near[0]}?" if near else f"Known: {', '.join(names)}."
    raise wrong(place, f"{name[:60]} is no {what}. {cure}")


def _mapping(value: Marked, what: str) -> dict[str, Marked]:
    if value.value is None or isinstance(value.value, dict):
        return value.mapping()
    raise wrong(value.place, f"{what} is no mapping. Write a name, a colon and a value on each line.")


def _text_of(value: Marked, what: str) -> str:
    if not value.is_scalar or value.value is None or not value.text.strip():
        raise wrong(value.place, f"is not {what}. Write one text there.")
    return value.text


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RulesError(f"{path} is larger than 1 MB and no rules file. Set INSIGHTS_RULES to the rules file.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RulesError(f"{path} is not in UTF-8. Save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise RulesError(
            f"{path} cannot be read ({reason}). Set INSIGHTS_RULES to a file that is there, or take it out."
        ) from error


@contextmanager
def _as_rules_error() -> Iterator[None]:
    try:
        yield
    except MappingError as error:
        raise RulesError(str(error)) from error
