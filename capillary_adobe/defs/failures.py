"""Failures as an operator meets them: one clear sentence, permanent or transient.

Belongs here: turning the errors of the domain packages into Dagster's. Does not belong here: deciding what is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from capillary_adobe.adobe import PermanentDeliveryError, TransientDeliveryError
from capillary_adobe.lake import LakeError
from capillary_adobe.landing import LandingError
from capillary_adobe.settings import SettingsError
from capillary_adobe.state import StateError
from capillary_adobe.xdm.language.rule_model import MappingError

_PERMANENT = (SettingsError, MappingError, LandingError, LakeError, PermanentDeliveryError)
_TRANSIENT = (StateError, TransientDeliveryError)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Raise domain errors as `dg.Failure`; a permanent one forbids retries, which would only repeat it."""
    try:
        yield
    except _PERMANENT as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except _TRANSIENT as error:
        raise dg.Failure(description=str(error), allow_retries=True) from error
