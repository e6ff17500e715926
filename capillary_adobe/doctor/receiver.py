"""The look at the webhook receiver: whether it could start here, and whether acknowledged events wait for one.

Belongs here: what the settings and the landing folder tell. Does not belong here: asking a running receiver, whose /readyz
says more.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from capillary_adobe.doctor.findings import Verdict, fail, ok, skipped, warn
from capillary_adobe.landing.receiver.in_folder import RECEIVING
from capillary_adobe.landing.receiver.recovery import LINES
from capillary_adobe.settings import ReceiverSettings, StorageSettings, given, load

# A receiver that lives moves a file within seconds.
_STALE_SECONDS: Final = 60.0


def receiver() -> Verdict:
    """Whether `capillary-adobe receive` has its secret, and no acknowledged event lies where no reader sees it."""
    url = load(StorageSettings).landing_url
    waiting = [] if "://" in url else _waiting(Path(url) / RECEIVING)
    if waiting:
        return warn(
            f"{len(waiting)} files of acknowledged events ({sum(waiting)} bytes) wait under LANDING_URL={url}/{RECEIVING}: "
            "a receiver ended before it had landed them, or cannot.",
            "Start `capillary-adobe receive` on this LANDING_URL: it lands them. If one runs, its log says what keeps it.",
        )
    settings = load(ReceiverSettings)
    if settings.secret is not None:
        return ok(f"Has its secret; events are taken at {settings.host}:{settings.port}{settings.path}.")
    if given(ReceiverSettings):
        return fail(
            "RECEIVE_SECRET is not set, so `capillary-adobe receive` does not start.",
            "Set it, the same as in Capillary's webhook.",
        )
    return skipped("No receiver is set up here (RECEIVE_SECRET).")


def _waiting(folder: Path) -> list[int]:
    """Sizes of the files that no receiver has moved in time."""
    found = []
    latest = time.time() - _STALE_SECONDS
    for file in sorted(folder.glob(f"*{LINES}")):
        try:
            state = file.stat()
        except FileNotFoundError:
            continue
        if state.st_size and state.st_mtime < latest:
            found.append(state.st_size)
    return found
