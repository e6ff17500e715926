"""The look at the channels of alerts: whether there are any, whether they can be used, whether they take what they are sent.

Belongs here: what the settings and the register of alerts tell. Does not belong here: sending a trial message, which disturbs
people (`capillary-adobe alerts test`).
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from capillary_adobe.alerting.channels import open_channels
from capillary_adobe.alerting.words import moment
from capillary_adobe.doctor.findings import Verdict, fail, ok, split_cure, warn
from capillary_adobe.settings import AlertSettings, StorageSettings, load
from capillary_adobe.state import State
from capillary_adobe.state.alerts import Alerts

_SECONDS: Final = 2


def alerts() -> Verdict | list[Verdict]:
    """Whether alerts reach somebody."""
    settings = load(AlertSettings)
    if not settings.addresses:
        return warn(
            "No channel is set: alerts are kept and go nowhere.",
            "Set ALERT_CHANNELS, then try `capillary-adobe alerts test`; docs/alerts.md shows how.",
        )
    channels, errors = open_channels(settings)
    found = [fail(*split_cure(str(error))) for error in errors]
    if settings.channels_file is not None and _read_by_others(settings.channels_file):
        found.append(
            warn(
                f"Other users of this machine may read ALERT_CHANNELS_FILE={settings.channels_file}, which holds secrets.",
                f"Run `chmod 600 {settings.channels_file}`, as the user of Dagster.",
            )
        )
    state = State(load(StorageSettings).state_url)
    # A database that does not exist yet holds no refusals, and a look makes none.
    if (seen := state.look(_SECONDS)) is not None and not set(seen.missing) & {"alert_channels"}:
        found += _refusals(Alerts(state), [channel.name for channel in channels])
    return found or ok(f"Channels: {', '.join(f'{one.name} ({one.scheme})' for one in channels)}.")


def _refusals(register: Alerts, names: list[str]) -> list[Verdict]:
    known = register.channels()
    found: list[Verdict] = []
    for name in names:
        channel = known.get(name)
        if channel is not None and channel.refused_since_ms is not None:
            since = moment(channel.refused_since_ms)
            words, cure = split_cure(channel.words)
            found.append(warn(f"{words.rstrip('.')}, since {since}.", cure))
    return found


def _read_by_others(path: str) -> bool:
    return bool(Path(path).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
