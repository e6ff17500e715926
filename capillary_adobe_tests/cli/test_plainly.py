"""Whatever a command meets, it ends with a sentence: never with a traceback, which shows values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from capillary_adobe.cli_plainly import Plainly
from capillary_adobe.settings import SettingsError

WORDS = "postgresql://me:hushed@db/state"


def told(raises: Callable[[], object]) -> str:
    """What a command prints that meets an error."""

    @click.group(cls=Plainly)
    def main() -> None: ...

    @main.command()
    def work() -> None:
        raises()

    answer = CliRunner().invoke(main, ["work"])
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    return answer.output


def raising(error: Exception) -> Callable[[], object]:
    def raises() -> None:
        raise error

    return raises


def test_an_error_made_for_operators_is_told_in_its_own_words() -> None:
    assert told(raising(SettingsError("ADOBE_ORG_ID is missing."))) == "Error: ADOBE_ORG_ID is missing.\n"


@pytest.mark.parametrize("error", [ValueError(WORDS), ConnectionError(WORDS), OSError(5, WORDS)])
def test_an_error_that_nobody_foresaw_is_told_by_its_class_and_place(error: Exception) -> None:
    output = told(raising(error))
    assert output.startswith(f"Error: An unexpected {type(error).__name__} at test_plainly.py:")
    assert WORDS not in output


def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "a"
    assert told(missing.read_bytes) == f"Error: {missing}: No such file or directory.\n"
