"""What is imported is declared: a package that comes only with another one goes when that one no longer needs it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from capillary_adobe_tests.docs.pages import ROOT

OURS = {"capillary_adobe", "capillary_adobe_tests", "bench"}


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Top-level names from elsewhere that the modules of a folder import, each with a module that does."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            heads = {name.partition(".")[0] for name in names}
            yield from ((head, path.name) for head in heads - OURS - set(sys.stdlib_module_names) if head)


@cache
def declared(*extras: str) -> frozenset[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return frozenset(normal(re.split(r"[\[=<>~;]", line)[0]) for line in lines)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("capillary_adobe", ("celery",)), ("capillary_adobe_tests", ("dev",)), ("bench", ("dev",))],
)
def test_every_import_is_of_a_declared_package(folder: str, extras: tuple[str, ...]) -> None:
    packages = packages_distributions()
    missing = {
        head: module
        for head, module in imported(folder)
        if not {normal(one) for one in packages.get(head, [head])} & declared(*extras)
    }
    assert missing == {}


def test_every_declared_package_is_pinned() -> None:
    pinned = {normal(line.partition("==")[0]) for line in Path(ROOT / "constraints.txt").read_text().splitlines()}
    assert declared("dev", "postgres", "kubernetes", "celery") <= pinned
