"""Under which conditions a file is imported: a fingerprint that changes when settings, rules or keys do.

Belongs here: that fingerprint, by which a file that was refused for good is tried again only when something has changed. Does
not belong here: the tries (`defs/history_sensor.py`).

No secret goes into it, not even as a hash: it stands in a tag of a run, and a password could be guessed from it. A secret in
`.env` or the folder of secrets shows by the moment at which that file was changed, the content of a key file by its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from capillary_adobe.settings import (
    CapillarySettings,
    HistorySettings,
    InsightsSettings,
    SecretFilesSettings,
    load,
    variable,
)


def conditions() -> str:
    """The fingerprint of everything that decides whether a file can be imported, 16 hex digits.

    Raises:
        SettingsError: a setting is malformed.
    """
    parts: list[str] = []
    for settings in (load(InsightsSettings), load(HistorySettings), load(CapillarySettings)):
        parts += _told(settings)
    parts += _file(Path(".env"))
    folder = load(SecretFilesSettings).dir
    if folder is not None:
        for name in InsightsSettings.model_fields:
            parts += _file(folder / variable(InsightsSettings, name))
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _told(settings: BaseSettings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            continue
        yield f"{type(settings).__name__}.{name}={value!r}"
        if isinstance(value, Path):
            yield from _file(value)


def _file(path: Path) -> Iterator[str]:
    """When a file was changed; a folder changes with every import and says nothing."""
    try:
        if path.is_file():
            state = path.stat()
            yield f"{path} {state.st_mtime_ns} {state.st_size}"
    except OSError:
        yield f"{path} unreadable"
