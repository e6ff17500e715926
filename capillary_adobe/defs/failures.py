"""Failures as an operator meets them: one clear sentence, permanent or transient.

Belongs here: turning the errors of the domain packages into Dagster's. Does not belong here: deciding what is an error.

Dagster writes the words of an error, and of each error that led to it, into the log of the run. Those of the domain packages
are made for that. Those of libraries, and of errors that nobody foresaw, may hold an address with its password, or what an
event holds, so of these the class and the place are told, and no word.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import dagster as dg

import capillary_adobe
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


_PACKAGE: Final = Path(capillary_adobe.__file__).parent


class Unforeseen(dg.Failure):
    """An error that nobody foresaw."""


@contextmanager
def told_plainly() -> Iterator[None]:
    """Raise domain errors as `dg.Failure`; a permanent one forbids retries, which would only repeat it.

    An error that nobody foresaw becomes `Unforeseen`, without its words. Dagster's own pass.
    """
    try:
        yield
    except (dg.Failure, dg.DagsterError, dg.RetryRequested):
        raise
    except QuotaUsedUp as error:
        # It passes, but not before tomorrow; the retries of today would find the same.
        raise dg.Failure(description=str(error), allow_retries=False) from _alone(error)
    except _TRANSIENT as error:
        raise dg.Failure(description=str(error), allow_retries=True) from _alone(error)
    except _PERMANENT as error:
        raise dg.Failure(description=str(error), allow_retries=False) from _alone(error)
    except Exception as error:  # noqa: BLE001 - each one goes on, under another name
        raise Unforeseen(description=unexpected(error), allow_retries=True) from _wordless(type(error).__name__)()


def unexpected(error: BaseException) -> str:
    """Words for an error that nobody foresaw: its class and where it arose, never its own."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    places = dict.fromkeys(
        f"{Path(one.filename).name}:{one.lineno} in {one.name}" for one in (*ours[-1:], *frames[-1:])
    )
    at = f" at {', from '.join(reversed(places))}" if places else ""
    return f"An unexpected {type(error).__name__}{at}; its words are left out, as they may hold what an event holds."


def _alone(error: Exception) -> Exception:
    """The error without those that led to it."""
    error.__cause__, error.__suppress_context__ = None, True
    return error


@cache
def _wordless(name: str) -> type[Exception]:
    """A class of this name, by which alerts and days that fail alike know the kind of a failure."""
    return type(name, (Exception,), {})
