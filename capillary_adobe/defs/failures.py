"""Failures as an operator meets them: one clear sentence, permanent or transient.

Belongs here: turning the errors of the domain packages into Dagster's. Does not belong here: deciding what is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from capillary_adobe.adobe import PermanentDeliveryError, QuotaUsedUp, TransientDeliveryError
from capillary_adobe.alerting.channels import AlertError
from capillary_adobe.capillary.api.client import CapillaryApiError, TransientCapillaryApiError
from capillary_adobe.capillary.insights.places import PlaceError, PlaceUnavailable
from capillary_adobe.capillary.insights.rules import RulesError
from capillary_adobe.capillary.insights.templates import TemplateUnknown
from capillary_adobe.capillary.insights.unreadable import ExportInterrupted, ExportUnreadable
from capillary_adobe.delivery_switch import DeliveryPaused
from capillary_adobe.history_importing import HistoryImportError, ImportHindered
from capillary_adobe.lake import LakeError, LakeUnavailable
from capillary_adobe.landing import LandingError, LandingUnavailable
from capillary_adobe.reconciling import ReconcileError
from capillary_adobe.settings import SettingsError
from capillary_adobe.state import StateError
from capillary_adobe.xdm.language.rule_model import MappingError

_PERMANENT = (
    SettingsError,
    MappingError,
    LandingError,
    LakeError,
    PermanentDeliveryError,
    DeliveryPaused,
    CapillaryApiError,
    ReconcileError,
    PlaceError,
    RulesError,
    TemplateUnknown,
    ExportUnreadable,
    HistoryImportError,
)
_TRANSIENT = (
    AlertError,
    StateError,
    LakeUnavailable,
    LandingUnavailable,
    TransientDeliveryError,
    TransientCapillaryApiError,
    PlaceUnavailable,
    ImportHindered,
    ExportInterrupted,
)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Raise domain errors as `dg.Failure`; a permanent one forbids retries, which would only repeat it."""
    try:
        yield
    except QuotaUsedUp as error:
        # It passes, but not before tomorrow; the retries of today would find the same.
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except _TRANSIENT as error:
        raise dg.Failure(description=str(error), allow_retries=True) from error
    except _PERMANENT as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
