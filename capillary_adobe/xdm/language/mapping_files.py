"""The mapping as a whole: the shipped rules, and a tenant's folder laid over them.

Belongs here: reading a folder, and what the two together are. Does not belong here: the language (`entries.py`), which
rule counts (`layers.py`), judging the result (`checking`) and whether it may be sent (`mapping_in_force`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping as Named
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from capillary_adobe.capillary.catalogue import Catalogue, shipped_catalogue
from capillary_adobe.xdm.language.layers import EVENTS, Layer, idle_blocks, read_layer, rules_over
from capillary_adobe.xdm.language.rule_model import MappingError, Place, Problems, Rules, Variant
from capillary_adobe.xdm.language.rules import load_rules, shipped_layer
from capillary_adobe.xdm.language.tenant_events import Declared, demand_known, read_declared

_YAML = (".yaml", ".yml")


@dataclasses.dataclass(frozen=True)
class Mapping:
    """Every event's rules, with what a tenant's folder declares and changes."""

    rules: Rules
    catalogue: Catalogue
    declared: Named[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """Source paths that the tenant declares, by event; `*` holds those of every event."""
    touched: frozenset[str] = frozenset()
    """Events whose rules differ from the shipped ones, or are new."""
    files: Named[str, str] = dataclasses.field(default_factory=dict)
    """The tenant's texts by file name."""
    namespaces: frozenset[str] = frozenset()
    """Identity namespaces that the tenant declares."""
    idle: Named[str, Place] = dataclasses.field(default_factory=dict)
    """Shared blocks of the tenant that no entry uses."""


@cache
def shipped() -> Mapping:
    """The mapping of the package alone."""
    return Mapping(load_rules(), shipped_catalogue())


def load_mapping(path: str | None) -> Mapping:
    """The shipped mapping with a tenant's folder, if there is one, laid over it.

    Raises:
        MappingError: the folder or a file in it cannot be used.
    """
    return shipped() if path is None else with_tenant(read_folder(path))


def with_tenant(files: Named[str, str]) -> Mapping:
    """The shipped mapping with a tenant's texts, by file name, laid over it.

    Raises:
        MappingError: a file cannot be used; every problem is named.
    """
    problems, declared, layer = Problems(), Declared(), Layer()
    with problems.gathered():
        if EVENTS in files:
            declared = read_declared(EVENTS, files[EVENTS])
    with problems.gathered():
        layer = read_layer({name: text for name, text in files.items() if name != EVENTS}, may_add=True)
    # What an unreadable file declares is unknown: its event types would seem mistyped.
    problems.tell()
    catalogue = shipped_catalogue().with_events(declared.types)
    for event, place in layer.places.items():
        with problems.gathered():
            demand_known(event, place, catalogue)
    problems.tell()
    known = load_rules()
    rules = rules_over(shipped_layer(), known, layer)
    touched = frozenset(event for event, variants in rules.items() if _differ(variants, known.get(event)))
    idle = idle_blocks(shipped_layer(), layer)
    return Mapping(rules, catalogue, declared.sources, touched, dict(files), declared.namespaces, idle)


def read_folder(path: str | Path) -> dict[str, str]:
    """The texts of a tenant's mapping folder by file name.

    Raises:
        MappingError: it is no folder, holds no YAML, or a file cannot be read; the text names the cure.
    """
    folder = Path(path)
    try:
        if not folder.is_dir():
            state = "is a file" if folder.exists() else "does not exist"
            raise MappingError(f"The mapping folder {folder} {state}. Set MAPPING_PATH to a folder with YAML files.")
        found = sorted(one for one in folder.iterdir() if one.suffix.lower() in _YAML and not one.is_dir())
    except OSError as error:
        raise MappingError(
            f"The mapping folder {folder} cannot be read ({error.strerror}). Give this process the right to read it."
        ) from error
    if not found:
        raise MappingError(
            f"The mapping folder {folder} holds no file *.yaml. Put one there, or unset MAPPING_PATH for the shipped mapping."
        )
    return {file.name: _text(file) for file in found}


def _text(file: Path) -> str:
    # A file that is not read would be rules gone without a word.
    if file.suffix != ".yaml":
        raise MappingError(f"{file} ends in {file.suffix}. Rename it to {file.with_suffix('.yaml').name}.")
    if not file.is_file():
        raise MappingError(
            f"{file} is no file, or a link that leads nowhere. Put the file there, or take the name away."
        )
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MappingError(f"{file} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise MappingError(
            f"{file} cannot be read ({error.strerror}). Give this process the right to read it."
        ) from error


def fingerprint(variants: tuple[Variant, ...]) -> str:
    """16 hex digits of an event's resolved rules; layout, comments and descriptions do not count."""
    return sha256(orjson.dumps(_plain(variants), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _differ(variants: tuple[Variant, ...], known: tuple[Variant, ...] | None) -> bool:
    return variants is not known and (known is None or fingerprint(variants) != fingerprint(known))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        counted = [one.name for one in dataclasses.fields(value) if one.compare]
        return [type(value).__name__, *(_plain(getattr(value, name)) for name in counted)]
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    # As text with its type: JSON has no whole numbers beyond 64 bits, and 1, 1.0 and true are three constants.
    return [type(value).__name__, str(value)]
