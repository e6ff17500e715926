"""`capillary-adobe settings`: every setting in words, none of their values, and the page made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from capillary_adobe.cli import main
from capillary_adobe.settings import every_class, variable


def run(*words: str) -> str:
    result = CliRunner().invoke(main, ["settings", *words])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: str) -> str:
    result = CliRunner().invoke(main, ["settings", *words])
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    return result.output


def as_json(*words: str) -> dict[str, dict[str, Any]]:
    return {one["variable"]: one for one in json.loads(run("--json", *words))}


def test_lists_every_variable_with_words_of_its_own() -> None:
    told = as_json()

    assert set(told) == {variable(cls, name) for cls in every_class() for name in cls.model_fields}
    assert [name for name, one in told.items() if not (one["form"] and one["meaning"].endswith((".", ")")))] == []
    assert not any("](" in one["meaning"] for one in told.values())


@pytest.mark.parametrize(
    ("name", "form", "default"),
    [
        ("RECEIVE_PORT", "whole number, 1 to 65,535", "8790"),
        ("RECEIVE_COMMIT_SECONDS", "seconds, above 0, at most 300", "10"),
        ("LANDING_POLL_SECONDS", "whole seconds, at least 1", "5"),
        ("CHECK_MAX_QUARANTINED_SHARE", "share, 0 to 1", "0.05"),
        ("ADOBE_BATCH_PART_BYTES", "bytes, 1 to 512,000,000", "67108864"),
        ("IDENTITY_CARD", "`plain`, `sha256` or `drop`", "drop"),
        ("INSIGHTS_ORG_ID", "whole number, above 0", None),
        ("CAPILLARY_WEBHOOK_URL", "address", None),
        ("CAPILLARY_WEBHOOK_TILL", "true or false", "true"),
        ("HISTORY_START", "date", "2024-01-01"),
    ],
)
def test_says_what_to_write(name: str, form: str, default: str | None) -> None:
    assert (as_json()[name]["form"], as_json()[name]["default"]) == (form, default)


def test_says_what_must_be_set_what_set_up_records_and_what_is_secret() -> None:
    told = as_json()

    assert {name for name, one in told.items() if one["required"]} == {
        "ADOBE_CLIENT_ID",
        "ADOBE_CLIENT_SECRET",
        "ADOBE_ORG_ID",
    }
    assert {"ADOBE_TENANT_ID", "ADOBE_INLET_URL", "ADOBE_PROFILES_DATASET_ID"} <= {
        name for name, one in told.items() if one["recorded_by_setup"]
    }
    secret = {name for name, one in told.items() if one["secret"]}
    assert {name for name, one in told.items() if one["form"].startswith("secret")} == secret
    assert {name for name in told if name.endswith(("_SECRET", "_PASSWORD", "_PASSPHRASE"))} < secret


def test_shows_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", "hush-hush")

    assert "hush-hush" not in run() + run("--json")


def test_words_narrow_the_list() -> None:
    assert set(as_json("lookup", "SOURCE's")) == set()
    assert set(as_json("alert", "quiet")) == {"ALERT_QUIET_HOURS", "ALERT_TIMEZONE"}
    assert run("ALERT_TIMEZONE") == "ALERT_TIMEZONE  (IANA zone; default: UTC)\n  Zone of the quiet hours.\n"
    assert "No setting has pigeons" in refused("pigeons")


def test_a_page_gets_its_tables_and_keeps_its_prose(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    marks = f"<!-- settings: {' '.join(as_json())} -->\n\nold\n\n<!-- end of settings -->"
    written.write_text(f"# Ours\n\n{marks}\n\nprose\n", "utf-8")

    assert run("--page", str(written)) == f"{written}: written.\n"
    text = written.read_text("utf-8")
    assert text.startswith("# Ours\n\n<!-- settings: ")
    assert text.endswith("\n<!-- end of settings -->\n\nprose\n")
    assert "old" not in text.split("\n")
    assert "\n| `ALERT_TIMEZONE` | IANA zone | `UTC` | Zone of the quiet hours. |\n" in text
    assert run("--page", str(written)) == f"{written}: nothing has changed.\n"


def test_a_page_whose_marks_do_not_fit_is_left_alone(tmp_path: Path) -> None:
    names = [name for name in as_json() if name != "ALERT_TIMEZONE"]
    text = f"<!-- settings: {' '.join(names)} ALERT_PIGEONS LAKE_URL -->\n\n<!-- end of settings -->\n"
    written = tmp_path / "page.md"
    written.write_text(text, "utf-8")

    said = refused("--page", str(written))

    assert "No setting is called ALERT_PIGEONS" in said
    assert "No mark names ALERT_TIMEZONE" in said
    assert "More than one mark names LAKE_URL" in said
    assert written.read_text("utf-8") == text
    assert "give it alone" in refused("--page", str(written), "--json")
