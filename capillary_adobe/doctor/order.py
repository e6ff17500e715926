"""The examination: every look in the order in which an operator would go, and what must not be told.

Belongs here: the list. Does not belong here: the looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import SecretStr

from capillary_adobe.doctor import insights, installation, storage
from capillary_adobe.doctor.aep import Aep
from capillary_adobe.doctor.aep_objects import AepObjects
from capillary_adobe.doctor.alerts import alerts
from capillary_adobe.doctor.capillary_api import capillary_api, rights, webhook
from capillary_adobe.doctor.delivery import delivery
from capillary_adobe.doctor.erasure import erasure
from capillary_adobe.doctor.findings import LOCAL_SECONDS, Check, Finding, examine
from capillary_adobe.doctor.receiver import receiver
from capillary_adobe.settings import every_class, given

# Up to four calls, one after another.
_RIGHTS_SECONDS = 10.0


def checks(more: Sequence[Check] = (), aep: Aep | None = None) -> list[Check]:
    """Every look; `more` are those of other parts, such as Dagster's."""
    asked = aep or Aep()
    return [
        Check("python", installation.python),
        Check("settings", installation.settings),
        Check("variables", installation.variables),
        Check("mapping", installation.mapping, seconds=LOCAL_SECONDS),
        Check("landing", storage.landing),
        Check("receiver", receiver),
        Check("lake", storage.lake),
        Check("disk", storage.disk),
        Check("state", storage.state),
        Check("erasure", erasure),
        Check("delivery", delivery),
        Check("alerts", alerts, seconds=LOCAL_SECONDS),
        *insights.checks(),
        *more,
        *asked.checks(),
        *AepObjects(asked).checks(),
        Check("capillary api", capillary_api, outside=True),
        Check("look-ups", rights, outside=True, seconds=_RIGHTS_SECONDS),
        Check("webhook", webhook, outside=True),
    ]


def examination(more: Sequence[Check] = (), *, offline: bool = False) -> Iterator[Finding]:
    """Look at everything, one after another."""
    aep, secrets = Aep(), secrets_of_settings()
    for check in checks(more, aep):
        yield from examine([check], [*secrets, *aep.secrets], offline=offline)


def secrets_of_settings() -> list[str]:
    """The values of all secret settings, as written: even one that is malformed is not told."""
    return [
        str(value).strip()
        for one in every_class()
        for name, value in given(one).items()
        if _is_secret(one.model_fields[name].annotation)
    ]


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
