"""Looks at what an import of exports needs, each well and ill."""

from __future__ import annotations

from pathlib import Path

import pytest
from pysequoia import Tsk

from capillary_adobe_tests.doctor.conftest import Examine, told
from capillary_adobe_tests.sftp_server import PASSWORD, sftp_server

LOOKS = ("exports", "export keys", "export rules", "export work folder")
ORG = {"INSIGHTS_ORG_ID": "100458"}


def test_where_nothing_is_set_nothing_is_looked_at(look: Examine) -> None:
    found = look(offline=True)
    assert [told(found, one) for one in LOOKS if one in found] == [
        "skipped: No exports are imported here (INSIGHTS_URL). "
    ]


def test_all_is_well(look: Examine, place: Path) -> None:
    (place / "exports").mkdir()
    (place / "exports" / "a.zip").write_bytes(b"x")
    key = place / "key.asc"
    key.write_text(str(Tsk.generate("x <x@example.com>")))
    key.chmod(0o600)
    (place / "rules.yaml").write_text("live_from: {default: 2026-10-01}\n")
    found = look(
        offline=True,
        INSIGHTS_URL="exports",
        INSIGHTS_PGP_KEY_FILE="key.asc",
        INSIGHTS_RULES="rules.yaml",
        INSIGHTS_WORK_FOLDER="work",
        **ORG,
    )
    assert told(found, "exports") == "ok: INSIGHTS_URL=exports can be listed and holds 1 files. "
    assert told(found, "export keys").startswith("ok")
    assert told(found, "export rules").startswith("ok")
    assert told(found, "export work folder").split(":")[0] in {"ok", "warn"}
    assert not (place / "work").exists(), "a look leaves nothing"


@pytest.mark.parametrize(
    ("settings", "check", "words"),
    [
        ({"INSIGHTS_URL": "nowhere", **ORG}, "exports", "fail: There is no folder or file nowhere."),
        ({"INSIGHTS_URL": "exports"}, "exports", "fail: INSIGHTS_ORG_ID is not set"),
        ({"INSIGHTS_URL": "ftp://x", **ORG}, "exports", "fail: Exports cannot be taken"),
        ({"INSIGHTS_PGP_KEY_FILE": "text"}, "export keys", "fail: INSIGHTS_PGP_KEY_FILE cannot be read"),
        ({"INSIGHTS_PGP_KEY_FILE": "nowhere"}, "export keys", "fail: INSIGHTS_PGP_KEY_FILE cannot be read"),
        ({"INSIGHTS_SFTP_KEY_FILE": "nowhere"}, "export keys", "fail: INSIGHTS_SFTP_KEY_FILE=nowhere cannot be read"),
        ({"INSIGHTS_RULES": "nowhere"}, "export rules", "fail"),
        ({"INSIGHTS_RULES": "text"}, "export rules", "fail"),
        ({"INSIGHTS_WORK_FOLDER": "text/x"}, "export work folder", "fail: INSIGHTS_WORK_FOLDER=text/x cannot be"),
    ],
)
def test_what_is_ill(settings: dict[str, str], check: str, words: str, look: Examine, place: Path) -> None:
    (place / "text").write_text("- text\n")
    found = look(offline=True, **settings)
    assert told(found, check).startswith(words)
    assert all(one.cure for one in found[check])


def test_a_key_that_is_locked_or_that_others_may_read(look: Examine, place: Path) -> None:
    locked = Path(__file__).parents[1] / "capillary" / "insights" / "locked_key.asc"
    key = place / "key.asc"
    key.write_bytes(locked.read_bytes())
    key.chmod(0o640)
    named = {"INSIGHTS_PGP_KEY_FILE": "key.asc"}
    assert "Set INSIGHTS_PGP_PASSPHRASE" in told(look(offline=True, **named), "export keys")
    wrong = told(look(offline=True, INSIGHTS_PGP_PASSPHRASE="wrong-one", **named), "export keys")
    assert "Correct INSIGHTS_PGP_PASSPHRASE" in wrong
    assert "wrong-one" not in wrong
    right = told(look(offline=True, INSIGHTS_PGP_PASSPHRASE="key-passphrase", **named), "export keys")
    assert right.startswith("warn")
    assert "chmod 600" in right


def test_an_sftp_server(look: Examine, place: Path) -> None:
    (place / "served").mkdir()
    (place / "served" / "a.zip").write_bytes(b"x")
    with sftp_server(place / "served", place) as server:
        settings = {
            "INSIGHTS_URL": server.url(),
            "INSIGHTS_SFTP_KNOWN_HOSTS": str(server.known_hosts),
            "INSIGHTS_SFTP_PASSWORD": PASSWORD,
            **ORG,
        }
        assert "holds 1 files" in told(look(offline=True, **settings), "exports")
        refused = told(look(offline=True, **{**settings, "INSIGHTS_SFTP_PASSWORD": "not-this-one"}), "exports")
    assert refused.startswith("fail: The SFTP server")
    assert "not-this-one" not in refused
