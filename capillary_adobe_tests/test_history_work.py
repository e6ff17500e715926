"""Work folders: what a dead import left goes, what a living one holds stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from capillary_adobe.history_work import work_folder
from capillary_adobe_tests.forked import Forked

_LIVING = """
import sys
from pathlib import Path
from capillary_adobe.history_work import work_folder
with work_folder(Path(sys.argv[1])) as folder:
    (folder / "rows").write_text("much")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_leftovers_of_the_dead_go_and_folders_of_the_living_stay(tmp_path: Path) -> None:
    with Forked(_LIVING, str(tmp_path)) as other:
        theirs = Path(other.stdout.readline().strip())
        with work_folder(tmp_path) as mine:
            assert theirs != mine
            assert (theirs / "rows").exists()
        assert not mine.exists()
        other.kill()
        other.wait()
        assert (theirs / "rows").exists()
        with work_folder(tmp_path) as mine:
            assert list(tmp_path.glob("import-*")) == [mine]


def _fail(parent: Path) -> None:
    with work_folder(parent) as mine:
        (mine / "objects").mkdir()
        raise KeyError


def test_a_folder_goes_when_its_import_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        _fail(tmp_path)
    assert list(tmp_path.glob("import-*")) == []
