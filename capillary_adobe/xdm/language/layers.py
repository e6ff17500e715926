"""Layers of mapping files: the shipped ones, and a tenant's laid over them.

Belongs here: which rule counts where both layers have one, and filling shared blocks in. Does not belong here: the
language of one entry (`entries.py`), finding the files (`mapping_files.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from capillary_adobe.xdm.language.entries import Entry, Fields, Omit, Target, node, put, read_entry, read_fields
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.marked_yaml import Marked, read_yaml
from capillary_adobe.xdm.language.rule_model import Place, Problems, Rules, Variant, wrong

SHARED = "shared.yaml"
EVENTS = "events.yaml"


@dataclass(frozen=True)
class Layer:
    """The shared blocks and the entries of one set of files."""

    shared: dict[str, Fields] = field(default_factory=dict)
    blocks: dict[str, Place] = field(default_factory=dict)
    """Where each shared block stands."""
    entries: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


def read_layer(texts: Mapping[str, str], *, may_add: bool = False) -> Layer:
    """The layer of some files by name; with `may_add`, entries may add to those of the layer below.

    Raises:
        MappingError: files break the language; every problem is named.
    """
    layer, problems = Layer(), Problems()
    for name, text in texts.items():
        with problems.gathered():
            file = read_yaml(name, text)
            if not isinstance(file.value, dict):
                what = "one entry per block" if _is(name, SHARED) else "one entry per event type"
                raise wrong(file.place, f"must hold {what}.")
            for key, body in file.value.items():
                with problems.gathered():
                    if _is(name, SHARED):
                        layer.blocks[key] = file.keys[key]
                        layer.shared[key] = read_fields(f"{key}: ", body)
                    else:
                        _add_entry(layer, key, body, file.keys[key], may_add=may_add)
    problems.tell()
    return layer


def _add_entry(layer: Layer, event: str, body: Marked, place: Place, *, may_add: bool) -> None:
    if event in layer.places:
        raise wrong(place, f"{event} has rules in another file too ({layer.places[event]}). Keep one of them.")
    layer.places[event] = place
    layer.entries[event] = read_entry(event, body, may_add=may_add)


def _is(name: str, file: str) -> bool:
    return name.rpartition("/")[2] == file


def rules_of(layer: Layer) -> Rules:
    """The rules of a layer with nothing below it.

    Raises:
        MappingError: a block is missing, two rules write one path, or there is something to omit and nothing below.
    """
    return rules_over(Layer(), {}, layer)


def rules_over(base: Layer, lower: Rules, tenant: Layer) -> Rules:
    """The rules of the lower layer, `lower`, with the upper one laid over it.

    Raises:
        MappingError: an entry adds to, uses or omits something that the lower layer has not; every problem is named.
    """
    problems = Problems()
    merged: dict[str, Fields] = dict(base.shared)
    for name, fields in tenant.shared.items():
        with problems.gathered():
            shared = base.shared.get(name, {})
            _demand_known(f"{name}: ", set(shared), fields)
            merged[name] = _over(f"{name}: ", shared, fields)
    rules: Rules = {}
    for event in (*base.entries, *(event for event in tenant.entries if event not in base.entries)):
        with problems.gathered():
            shipped, added = base.entries.get(event, ()), tenant.entries.get(event, ())
            if not added and not any(name in tenant.shared for entry in shipped for name, _ in entry.use):
                rules[event] = lower[event]
            elif not added:
                rules[event] = tuple(_variant(entry, merged) for entry in shipped)
            elif added[0].event_type is not None:
                rules[event] = tuple(_variant(entry, merged) for entry in added)
            else:
                rules[event] = _with_addition(shipped, added[0], merged, tenant.places[event])
    problems.tell()
    return rules


def idle_blocks(base: Layer, tenant: Layer) -> dict[str, Place]:
    """The upper layer's shared blocks that no entry of either names, so that nothing comes of them."""
    entries = (entry for layer in (base, tenant) for event in layer.entries.values() for entry in event)
    used = {name for entry in entries for name, _ in entry.use}
    return {name: place for name, place in tenant.blocks.items() if name not in used}


def _with_addition(
    shipped: tuple[Entry, ...], added: Entry, shared: dict[str, Fields], place: Place
) -> tuple[Variant, ...]:
    if not shipped:
        words = (
            f"{added.where} needs an event_type, such as loyalty.{added.where}: there is no shipped entry to add to."
        )
        raise wrong(place, words)
    upper = _filled(added, shared)
    lowers = [_filled(entry, shared) for entry in shipped]
    # What one variant does not write can still be taken from another.
    everywhere = {target for lower in lowers for target in lower}
    _demand_known(f"{added.where}: ", everywhere, upper)
    variants = []
    for entry, lower in zip(shipped, lowers, strict=True):
        changed = replace(entry, timestamp=entry.timestamp if added.timestamp is None else added.timestamp)
        variants.append(_made(changed, _over(f"{added.where}: ", lower, upper)))
    return tuple(variants)


def _variant(entry: Entry, shared: Mapping[str, Fields]) -> Variant:
    fields = _filled(entry, shared)
    _demand_known(f"{entry.where}: ", set(), fields)
    return _made(entry, fields)


def _made(entry: Entry, fields: Fields) -> Variant:
    return Variant(
        event_type=entry.event_type or "",
        when=entry.when,
        timestamp=entry.timestamp or (),
        customer_id_only=entry.customer_id_only,
        fields=node(fields),
        place=entry.place,
    )


def _filled(entry: Entry, shared: Mapping[str, Fields]) -> Fields:
    filled: Fields = {}
    used: set[str] = set()
    for name, place in entry.use:
        if name in used:
            raise wrong(place, f"{entry.where} uses {name} twice. Keep one of them.")
        used.add(name)
        if name not in shared:
            close = close_to(name, shared)
            raise wrong(place, f"{entry.where} uses {name}, which shared.yaml does not have.{close}")
        for target, rule in shared[name].items():
            put(f"{entry.where} (use {name}): ", filled, target, rule)
    for target, rule in entry.fields.items():
        put(f"{entry.where}: ", filled, target, rule)
    return filled


def _demand_known(where: str, known: set[Target], upper: Fields) -> None:
    for target, rule in upper.items():
        if isinstance(rule, Omit) and not any(one[: len(target)] == target for one in known):
            told = ".".join(target)
            close = close_to(told, [".".join(one) for one in known])
            raise wrong(rule.place, f"{where}{told} is not written by the shipped mapping; nothing to omit.{close}")


def _over(where: str, lower: Fields, upper: Fields) -> Fields:
    """The fields of both; a rule of the upper one takes the place of those for its path and for parts of it."""
    kept = {
        target: rule
        for target, rule in lower.items()
        if not any(target[:length] in upper for length in range(1, len(target) + 1))
    }
    added: Fields = {}
    for target, rule in upper.items():
        if isinstance(rule, Omit):
            continue
        put(where, kept | added, target, rule, over=True)
        added[target] = rule
    turns = {target: added.get(target, rule) for target, rule in lower.items() if target in added or target in kept}
    return turns | added
