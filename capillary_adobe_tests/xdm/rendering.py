"""Profiles rendered for tests.

Belongs here: the stage and its records. Does not belong here: documents (`documents.py`) and any expectation.
"""

from __future__ import annotations

from typing import Any

import orjson

from capillary_adobe.profiles.document import Document
from capillary_adobe.profiles.identities import Identity
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.settings.customers import IdentitySettings, ProfileSettings
from capillary_adobe.xdm.identities import mark
from capillary_adobe.xdm.profile_source import ProgramNames
from capillary_adobe.xdm.profiles import Profile, ProfileStage
from capillary_adobe_tests.xdm.documents import KEY

ACME = TenantSettings(tenant_id="acme")
PLAIN = IdentitySettings(card="plain")


def stage(
    identities: IdentitySettings = PLAIN,
    names: ProgramNames | None = None,
    *,
    profiles: ProfileSettings | None = None,
    with_org: bool = False,
) -> ProfileStage:
    capillary = CapillarySettings(org_timezone="Asia/Kolkata", identity_with_org=with_org)
    return ProfileStage(ACME, capillary, identities, profiles or ProfileSettings(), names)


STAGE = stage()


def made(profile: Profile) -> dict[str, Any]:
    assert profile.violations == []
    return orjson.loads(profile.text)


def rendered(known: Document, by: ProfileStage = STAGE, held: tuple[Identity, ...] = ()) -> dict[str, Any]:
    return made(by.render(KEY, known, [mark(one) for one in held]))


def consent(value: str) -> dict[str, str]:
    return {"val": value, "time": "2026-11-20T09:00:00.000Z"}
