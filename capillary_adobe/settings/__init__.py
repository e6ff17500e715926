"""Settings: the one place that reads the environment (and a `.env` file beside the working directory).

Belongs here: one class per subject, each field with its meaning, unit and default, and the error that names every
missing or malformed variable at once. Does not belong here: anything that acts on a setting.
Nothing is read at import; call `load(StorageSettings)` where the values are needed.
"""

from __future__ import annotations

from pydantic_settings import BaseSettings

from capillary_adobe.settings.adobe import (
    RECORDED,
    AdobeSettings,
    CredentialSettings,
    SchemaSettings,
    SetupSettings,
    TenantSettings,
    VerdictSettings,
)
from capillary_adobe.settings.alerts import SEVERITIES, AlertSettings, ChannelRoute, Severity
from capillary_adobe.settings.capillary import (
    CapillaryApiSettings,
    CapillaryLogSettings,
    CapillarySettings,
    WebhookSettings,
)
from capillary_adobe.settings.catalog import CatalogSettings, Owners
from capillary_adobe.settings.customers import (
    ErasureSettings,
    IdentityPolicy,
    IdentitySettings,
    LookupSettings,
    ProfileSettings,
)
from capillary_adobe.settings.history import HistorySettings, InsightsSettings, RulesSettings
from capillary_adobe.settings.judging import MappingSettings, Thresholds
from capillary_adobe.settings.reading import (
    SettingsError,
    given,
    in_files,
    load,
    load_all,
    load_partly,
    names_in_use,
    variable,
)
from capillary_adobe.settings.receiver import ReceiverSettings
from capillary_adobe.settings.source import SecretFilesSettings
from capillary_adobe.settings.storage import LandingSettings, Lane, S3Settings, StorageSettings
from capillary_adobe.settings.upkeep import ReportSettings, RetentionSettings, ScheduleSettings

__all__ = [
    "RECORDED",
    "SEVERITIES",
    "AdobeSettings",
    "AlertSettings",
    "CapillaryApiSettings",
    "CapillaryLogSettings",
    "CapillarySettings",
    "CatalogSettings",
    "ChannelRoute",
    "CredentialSettings",
    "ErasureSettings",
    "HistorySettings",
    "IdentityPolicy",
    "IdentitySettings",
    "InsightsSettings",
    "LandingSettings",
    "Lane",
    "LookupSettings",
    "MappingSettings",
    "Owners",
    "ProfileSettings",
    "ReceiverSettings",
    "ReportSettings",
    "RetentionSettings",
    "RulesSettings",
    "S3Settings",
    "ScheduleSettings",
    "SchemaSettings",
    "SecretFilesSettings",
    "SettingsError",
    "SetupSettings",
    "Severity",
    "StorageSettings",
    "TenantSettings",
    "Thresholds",
    "VerdictSettings",
    "WebhookSettings",
    "every_class",
    "given",
    "in_files",
    "load",
    "load_all",
    "load_partly",
    "names_in_use",
    "variable",
]


def every_class() -> list[type[BaseSettings]]:
    """Every class of settings."""
    found = [one for one in globals().values() if isinstance(one, type) and issubclass(one, BaseSettings)]
    return [one for one in found if one is not BaseSettings]
