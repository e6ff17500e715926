"""Where a class of settings reads its values: the environment, a `.env` file beside the working directory, files of secrets.

Belongs here: that one configuration, and the folder of secrets. Does not belong here: the classes of settings.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def environment(prefix: str = "") -> SettingsConfigDict:
    """The configuration of a class whose variables begin with a prefix."""
    return SettingsConfigDict(
        env_prefix=prefix, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )


class SecretFilesSettings(BaseSettings):
    """Where files of secrets lie, as systemd, Docker and Kubernetes hand them over."""

    model_config = environment("SECRETS_")

    dir: Path | None = Field(
        default=None,
        description=(
            "Folder with a file for each secret, named as its variable ([how](security.md#secrets)); the environment and .env "
            "come first."
        ),
    )


def folder_of_secrets() -> Path | None:
    """The folder that SECRETS_DIR names, and None where it is not set.

    Raises:
        ValueError: it cannot be read; the text names it with the cure.
    """
    # An empty value is none, as an empty line of a unit or a compose file leaves it.
    written = SecretFilesSettings().dir
    folder = written if written is not None and written != Path() else None
    if folder is not None:
        _demand_readable(folder)
    return folder


def secrets_in_files() -> dict[str, str]:
    """What the files of that folder hold, without the blanks around it, by variable.

    Raises:
        ValueError: the folder or a file cannot be read.
    """
    folder = folder_of_secrets()
    if folder is None:
        return {}
    return {one.name.upper(): one.read_text("utf-8").strip() for one in _files(folder)}


def _files(folder: Path) -> list[Path]:
    # What begins with a dot is Kubernetes's own: the folder of the present version and the link to it.
    return sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))


def _demand_readable(folder: Path) -> None:
    try:
        files = _files(folder)
    except OSError as error:
        raise ValueError(
            f"SECRETS_DIR={folder} cannot be read ({error.strerror}): name a folder that the user of this program may read"
        ) from None
    for file in files:
        try:
            file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{file.name} in SECRETS_DIR={folder} cannot be read ({type(error).__name__}): it must be a text file that the "
                "user of this program may read"
            ) from None
