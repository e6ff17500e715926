"""What receivers that are gone have left under `.receiving/`.

Belongs here: telling the files of the dead from those of the living, and what becomes of each. Does not belong here:
how a file is locked and moved (`durable_file.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from capillary_adobe.landing.receiver.durable_file import DurableFile

LINES = ".jsonl"

_LOG = logging.getLogger(__name__)


def recover(receiving: Path, land: Callable[[DurableFile], None]) -> None:
    """Land the lines that dead receivers left; what they had acknowledged to nobody is removed.

    Any number of receivers may do so at the same time: each file goes to the one that locks it first.

    Raises:
        OSError: the folder cannot be read.
    """
    for path in sorted(receiving.iterdir()):
        try:
            _recover_one(path, land)
        except OSError as error:
            _LOG.warning("%s, left by a receiver, is not landed (%s); it is tried again.", path.name, error.strerror)


def _recover_one(path: Path, land: Callable[[DurableFile], None]) -> None:
    file = DurableFile.take_over(path)
    if file is None:
        return
    try:
        if path.suffix == LINES:
            file.drop_half_line()
        # A body in pieces is acknowledged once it has its final name, so one that is here is not.
        if file.length == 0 or path.suffix != LINES:
            path.unlink()
            return
        # Lines that were acknowledged are durable; the last ones may not be, and are about to be seen.
        file.sync()
        land(file)
        _LOG.info("Landed %d bytes that a receiver had left.", file.length)
    finally:
        file.close()
