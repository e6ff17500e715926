"""Stores, tills, programs and tiers: reading one of them as Capillary tells it.

Belongs here: their fields, under every name they are known by. Does not belong here: asking for them (`organisation.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from capillary_adobe.capillary.values import Unreadable, boolean, integer, number, text

_RATIOS = ("pointsToCurrencyRatio", "pointsCurrencyRatio", "pointsToCurrency")
_PLACES = ("tierNumber", "serialNumber", "slabSNo", "number")
_PARENTS = ("parent", "store", "parent_store")


class Store(NamedTuple):
    """A store; texts are trimmed, and None where Capillary says nothing."""

    id: int
    code: str | None
    name: str | None
    external_id: str | None
    currency: str | None = None
    city: str | None = None
    active: bool = True


class Till(NamedTuple):
    """A till; `store_id` is None where Capillary does not tell the store it stands in."""

    id: int
    code: str | None
    name: str | None
    store_id: int | None = None
    active: bool = True


class Tier(NamedTuple):
    """A tier of a program."""

    program_id: int
    number: int
    name: str


class Program(NamedTuple):
    """A loyalty program; `is_default` and `points_to_currency` are None where Capillary does not tell."""

    id: int
    name: str | None
    is_default: bool | None = None
    points_to_currency: float | None = None
    tiers: tuple[Tier, ...] = ()


def id_of(one: Any) -> int | None:
    """The id of anything that has one."""
    return _whole(one, "id")


def read_store(one: Any) -> Store | None:
    """A store of the list of entities; None for what has no id."""
    store_id = id_of(one)
    if store_id is None:
        return None
    currency = next((one[name] for name in ("base_currency", "currency") if name in one), None)
    return Store(
        store_id,
        _text(one, "code"),
        _text(one, "name"),
        _text(one, "external_id"),
        _read(text, currency) or _text(currency, "label") or _text(currency, "code"),
        _text(one, "city") or _text(one.get("address"), "city"),
        _is_open(one),
    )


def read_till(one: Any) -> Till | None:
    """A till of the list of entities, or one asked for by its id; None for what has no id."""
    till_id = id_of(one)
    if till_id is None:
        return None
    parent = next((one[name] for name in _PARENTS if type(one.get(name)) is dict), None)
    store_id = id_of(parent) or next(
        (found for name in ("parent_id", "store_id", "storeId") if (found := _whole(one, name))), None
    )
    return Till(till_id, _text(one, "code"), _text(one, "name"), store_id, _is_open(one))


def read_program(one: Any) -> Program | None:
    """A program of the list of programs; None for what has no id."""
    program_id = id_of(one) or _whole(one, "programId")
    if program_id is None:
        return None
    ratio = _read(number, next((one[name] for name in _RATIOS if name in one), None))
    default = next((one[name] for name in ("isDefault", "default", "defaultProgram") if name in one), None)
    return Program(
        program_id,
        _text(one, "name") or _text(one, "title"),
        _read(boolean, default),
        None if ratio is None else float(ratio),
        tuple(read_tiers(program_id, one)),
    )


def read_tiers(program_id: int, program: Mapping[str, Any]) -> Iterator[Tier]:
    """The tiers that a program lists, in the API or in an event."""
    listed = next((program[name] for name in ("tiers", "slabs") if type(program.get(name)) is list), [])
    for tier in listed:
        place = next((found for name in _PLACES if (found := _whole(tier, name)) is not None), None)
        name = next((found for name in ("tierName", "name") if (found := _text(tier, name))), None)
        if place is not None and name is not None:
            yield Tier(program_id, place, name)


def _text(holder: Any, name: str) -> str | None:
    return _read(text, holder.get(name)) if type(holder) is dict else None


def _whole(holder: Any, name: str) -> int | None:
    return _read(integer, holder.get(name)) if type(holder) is dict else None


def _is_open(one: Mapping[str, Any]) -> bool:
    """Open, unless it is said to be closed."""
    said = next((one[name] for name in ("is_active", "isActive") if name in one), None)
    return str(said).strip().lower() not in ("false", "0")


def _read(reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return None if type(value) in (dict, list) else reader(value)
    except (Unreadable, OverflowError):
        return None
