"""Looks at what an import of Insights+ exports needs: the place, the keys, the rules file, the work folder.

Belongs here: whether they can be used. Does not belong here: any export. Without a setting of exports nothing is looked at.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from capillary_adobe.capillary.insights.places import open_place
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.doctor.findings import Check, Verdict, fail, ok, skipped, warn
from capillary_adobe.doctor.storage import judge_space, nearest, write_fault
from capillary_adobe.settings import InsightsSettings, given, load

# Ten for a connection that is not taken up, and a folder to list.
_SECONDS: Final = 20.0
_OTHERS_READ: Final = 0o077


def checks() -> list[Check]:
    """Every look, in order; one that says so where no exports are imported."""
    if not given(InsightsSettings):
        return [Check("exports", lambda: skipped("No exports are imported here (INSIGHTS_URL)."))]
    return [
        Check("exports", lambda: place(load(InsightsSettings)), seconds=_SECONDS),
        Check("export keys", lambda: keys(load(InsightsSettings))),
        Check("export rules", lambda: rules(load(InsightsSettings))),
        Check("export work folder", lambda: work_folder(load(InsightsSettings))),
    ]


def place(settings: InsightsSettings) -> Verdict:
    """Whether exports can be listed, and it is known whose they are."""
    if settings.org_id is None:
        return fail(
            "INSIGHTS_ORG_ID is not set, and exports do not tell the organisation.",
            "Set it to the number that webhooks give as orgId.",
        )
    if settings.url is None:
        return ok("No place is looked into (INSIGHTS_URL); files are imported by `capillary-adobe import-history`.")
    found = open_place(settings.url, settings)
    return ok(f"INSIGHTS_URL={found} can be listed and holds {sum(1 for _ in found.files())} files.")


def keys(settings: InsightsSettings) -> list[Verdict]:
    """Whether the private keys open, and nobody else on this machine can read them."""
    found = []
    if settings.pgp_key_file is not None:
        # It takes a moment to import, and many an installation has no need of it.
        from capillary_adobe.capillary.insights.pgp import key_fault

        secret = settings.pgp_passphrase
        fault, cure = key_fault(settings.pgp_key_file, secret.get_secret_value() if secret else None)
        named = f"INSIGHTS_PGP_KEY_FILE={settings.pgp_key_file}"
        found.append(fail(fault, cure) if fault else _kept_private(settings.pgp_key_file, named, "opens"))
    if settings.sftp_key_file is not None:
        named = f"INSIGHTS_SFTP_KEY_FILE={settings.sftp_key_file}"
        found.append(_kept_private(settings.sftp_key_file, named, "is there"))
    return found or [skipped("No key file is set (INSIGHTS_PGP_KEY_FILE, INSIGHTS_SFTP_KEY_FILE).")]


def _kept_private(file: Path, named: str, well: str) -> Verdict:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return fail(f"{named} cannot be read ({error.strerror}).", "Name a file that the user may read.")
    if mode & _OTHERS_READ:
        return warn(f"{named} {well}, and other users of this machine may read it.", f"Run chmod 600 {file}.")
    return ok(f"{named} {well}.")


def rules(settings: InsightsSettings) -> Verdict:
    """Whether the rules file can be read."""
    if settings.rules is None:
        return skipped("No rules file is set (INSIGHTS_RULES).")
    InsightsRules.read(settings.rules)
    return ok(f"INSIGHTS_RULES={settings.rules} can be read.")


def work_folder(settings: InsightsSettings) -> Verdict:
    """Whether an import can write what it sorts, and has room for it."""
    folder = settings.work_folder
    if fault := write_fault(folder):
        return fail(
            f"INSIGHTS_WORK_FOLDER={folder} cannot be written ({fault}).",
            "Give the user that imports the right to it, or name another folder in INSIGHTS_WORK_FOLDER.",
        )
    return judge_space({"INSIGHTS_WORK_FOLDER": shutil.disk_usage(nearest(folder)).free})
