"""Mapping rules: the language's public names, and the shipped rules.

Belongs here: rules from texts of mapping files. Does not belong here: the language itself (`entries.py`,
`expressions.py`), a tenant's folder (`mapping_files.py`), turning rules into code (`compiler.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from capillary_adobe.xdm.language.entries import BLOCK_OPTIONS, CONVERSIONS, LEAF_OPTIONS, VARIANT_OPTIONS
from capillary_adobe.xdm.language.layers import Layer, read_layer, rules_of
from capillary_adobe.xdm.language.rule_model import (
    GENERIC,
    TENANT,
    Block,
    Leaf,
    List,
    MappingError,
    Node,
    Path,
    Place,
    Rules,
    Step,
    Test,
    Variant,
)

__all__ = [
    "BLOCK_OPTIONS",
    "CONVERSIONS",
    "GENERIC",
    "LEAF_OPTIONS",
    "PROFILE",
    "TENANT",
    "VARIANT_OPTIONS",
    "Block",
    "Leaf",
    "List",
    "MappingError",
    "Node",
    "Path",
    "Place",
    "Rules",
    "Step",
    "Test",
    "Variant",
    "load_profile_rules",
    "load_rules",
    "parse_rules",
    "shipped_layer",
]

PROFILE = "profile"
"""The entry that the profile of a customer is made by."""


@cache
def load_rules() -> Rules:
    """The shipped rules; shared between callers, so never change them."""
    return rules_of(shipped_layer())


@cache
def shipped_layer() -> Layer:
    """The shipped mapping files, each named `shipped/…`, so that a tenant's of the same name is told apart."""
    return read_layer(_shipped("mappings"))


@cache
def load_profile_rules() -> tuple[Variant, ...]:
    """The shipped rules of the profile, read apart: they make another kind of entity from another source."""
    return rules_of(read_layer(_shipped("mappings/profile", "profile/")))[PROFILE]


def _shipped(folder: str, head: str = "") -> dict[str, str]:
    found = resources.files("capillary_adobe.xdm").joinpath(folder)
    files = sorted((file for file in found.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {f"shipped/{head}{file.name}": file.read_text("utf-8") for file in files}


def parse_rules(texts: Mapping[str, str]) -> Rules:
    """Rules from the texts of mapping files by file name; `shared.yaml` holds the blocks for `use`.

    Raises:
        MappingError: a file breaks the language, or two rules write one path; every problem is named.
    """
    return rules_of(read_layer(texts))
