"""Where a class of settings reads its values: the environment, and a `.env` file beside the working directory.

Belongs here: that one configuration. Does not belong here: the classes.
"""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict


def environment(prefix: str = "") -> SettingsConfigDict:
    """The configuration of a class whose variables begin with a prefix."""
    return SettingsConfigDict(
        env_prefix=prefix, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )
