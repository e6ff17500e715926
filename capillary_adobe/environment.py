"""The settings of the AEP organisation as an installation uses them: the environment first, then what set-up recorded.

Belongs here: completing settings by the environment record. Does not belong here: reading variables (`settings.py`), the
rows of the record (`state/environment.py`) and making what they name (`adobe.setup`).
"""

from __future__ import annotations

from typing import Any

from capillary_adobe.settings import RECORDED, AdobeSettings, TenantSettings, given, load, load_partly
from capillary_adobe.state import EnvironmentRecord, State


def adobe_settings(state: State, **values: Any) -> AdobeSettings:
    """Everything that delivery needs to know of AEP.

    Raises:
        SettingsError: a variable is malformed, or missing and not recorded either.
        StateError: the record cannot be read.
    """
    recorded = _recorded(state)
    return load(AdobeSettings, **{name: value for name, value in recorded.items() if name not in values}, **values)


def tenant_settings(state: State) -> TenantSettings:
    """What the mapping needs to know of AEP.

    Raises:
        SettingsError: the tenant id is malformed, or missing and not recorded either.
        StateError: the record cannot be read.
    """
    recorded = _recorded(state)
    return load(TenantSettings, **{name: recorded[name] for name in ("tenant_id",) if name in recorded})


def overriding() -> dict[str, str]:
    """What the environment sets itself of that which set-up would record, by field, such as `events_dataset_id`.

    Raises:
        SettingsError: one of them is malformed.
    """
    found = {name: str(value).strip() for name, value in given(AdobeSettings).items() if name in RECORDED}
    load_partly(AdobeSettings, found)
    return found


def _recorded(state: State) -> dict[str, str]:
    """What the record adds to the settings that the environment leaves out."""
    found = given(AdobeSettings)
    missing = [name for name in RECORDED if name not in found]
    if not missing or not found.get("org_id"):
        return {}
    sandbox = found.get("sandbox_name") or AdobeSettings.model_fields["sandbox_name"].default
    recorded = EnvironmentRecord(state, str(found["org_id"]).strip(), str(sandbox).strip()).read()
    return {name: recorded[name] for name in missing if name in recorded}
