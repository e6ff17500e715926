"""The audit of dependencies: what fails a build, and that nobody to ask fails none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from capillary_adobe_tests.docs.pages import ROOT

SCRIPT = ROOT / ".ci" / "audit.py"
TODAY = date(2026, 11, 26)


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    found = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["audit"] = module
    found.loader.exec_module(module)
    del sys.modules["audit"]
    return module


def report(*vulns: dict[str, Any]) -> dict[str, Any]:
    return {
        "dependencies": [{"name": "sound", "version": "1", "vulns": []}, {"name": "b", "version": "2", "vulns": vulns}]
    }


def vuln(name: str, *aliases: str, fixed: tuple[str, ...] = ("2.1",)) -> dict[str, Any]:
    return {"id": name, "aliases": list(aliases), "fix_versions": list(fixed), "description": "x"}


def test_a_vulnerability_fails_it_and_names_the_version_that_mends_it(audit: ModuleType) -> None:
    assert audit.judge(report(), [], TODAY) == []
    assert audit.judge(report(vuln("PYSEC-1")), [], TODAY) == ["b 2: PYSEC-1; take 2.1, or list it with a reason."]
    [words] = audit.judge(report(vuln("PYSEC-1", fixed=())), [], TODAY)
    assert "no version mends it yet" in words
    skipped = {"dependencies": [{"name": "b", "skip_reason": "not found"}]}
    assert audit.judge(skipped, [], TODAY) == ["b was not audited: not found."]


def test_a_listed_one_passes_by_any_of_its_names_until_its_day(audit: ModuleType) -> None:
    taken = audit.Ignored("CVE-1", "not used here", date(2026, 12, 1))
    assert audit.judge(report(vuln("PYSEC-1", "CVE-1")), [taken], TODAY) == []
    [late] = audit.judge(report(vuln("PYSEC-1", "CVE-1")), [taken], date(2026, 12, 2))
    assert "has passed: look again (not used here)" in late
    assert audit.judge(report(), [taken], TODAY) == ["CVE-1 is ignored and not found any more: take it off the list."]


@pytest.mark.parametrize(
    "entry", ['id = "a"', 'id = "a"\nreason = " "\nreview = 2027-01-01', 'reason = "x"\nreview = 2027-01-01']
)
def test_an_entry_needs_its_reason_and_its_day(audit: ModuleType, tmp_path: Path, entry: str) -> None:
    (listed := tmp_path / "ignored.toml").write_text(f"[[ignored]]\n{entry}\n")
    with pytest.raises(ValueError, match="entry 1: give id, reason and review"):
        audit.read_ignored(listed)


def test_the_shipped_list_is_in_order(audit: ModuleType) -> None:
    assert audit.read_ignored(ROOT / ".ci" / "audit-ignored.toml") == []


def test_with_nobody_to_ask_it_says_so_and_fails_nothing() -> None:
    if importlib.util.find_spec("pip_audit") is None:
        pytest.skip("pip-audit is not installed here")
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    answer = subprocess.run(
        [sys.executable, str(SCRIPT)], env={**os.environ, **nowhere}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("NOT AUDITED: ")
