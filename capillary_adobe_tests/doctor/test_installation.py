"""Looks at settings, names of variables and the mapping."""

from __future__ import annotations

from pathlib import Path

from capillary_adobe.doctor.installation import misspelt
from capillary_adobe_tests.doctor.conftest import Examine, told


def test_every_malformed_setting_is_named_at_once(look: Examine) -> None:
    found = look(LANDING_POLL_SECONDS="soon", CHECK_MAX_SKEWED_SHARE="2", ADOBE_ORG_ID="acme", offline=True)  # type: ignore[arg-type]
    said = told(found, "settings")
    for name in ("LANDING_POLL_SECONDS", "CHECK_MAX_SKEWED_SHARE", "ADOBE_ORG_ID"):
        assert f"{name} is malformed" in said
    assert "docs/configuration.md" in said


def test_a_setting_in_the_env_file_counts(look: Examine, place: Path) -> None:
    (place / ".env").write_text("LANDING_SETTLE_SECONDS=never\nADOBE_CLIENTID=x\n")
    found = look(offline=True)
    assert "LANDING_SETTLE_SECONDS is malformed" in told(found, "settings")
    assert "warn: ADOBE_CLIENTID is set, and nothing reads it. Did you mean ADOBE_CLIENT_ID?" in told(
        found, "variables"
    )


def test_misspelt_names_are_found_and_others_left_alone() -> None:
    names = {
        "ADBOE_ORG_ID",
        "ADOBE_ORG_ID",
        "CAPILLARY_CURENCY",
        "ADOBE_COLOUR_OF_THE_SKY",
        "HOME",
        "PATH",
        "LANG",
        "STATE",
    }
    assert list(misspelt(names)) == [
        ("ADBOE_ORG_ID", "ADOBE_ORG_ID"),
        ("ADOBE_COLOUR_OF_THE_SKY", None),
        ("CAPILLARY_CURENCY", "CAPILLARY_CURRENCY"),
    ]
