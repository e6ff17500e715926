"""Which place an address names.

Belongs here: telling them apart. Does not belong here: the places.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from capillary_adobe.capillary.insights.places.folder import FolderPlace
from capillary_adobe.capillary.insights.places.place import Place, PlaceError
from capillary_adobe.s3_address import is_s3
from capillary_adobe.settings import InsightsSettings


def open_place(url: str, settings: InsightsSettings) -> Place:
    """The place at `<folder>`, `s3://<bucket>/<prefix>` or `sftp://<user>@<host>[:port]/<folder>`, or of a single file
    there.

    Nothing is asked of it yet.

    Raises:
        PlaceError: the address is of another kind or malformed, or holds a password.
    """
    # Boto and paramiko take a part of a second to import; a folder needs neither.
    if is_s3(url):
        from capillary_adobe.capillary.insights.places.s3 import S3Place

        return S3Place.at(url)
    if url.startswith("sftp://"):
        from capillary_adobe.capillary.insights.places.sftp import SftpPlace

        return SftpPlace.at(url, settings)
    if url.startswith("file://"):
        return FolderPlace(Path(unquote(url.removeprefix("file://"))))
    if match := re.match(r"(\w[\w+.-]*)://", url):
        raise PlaceError(
            f"Exports cannot be taken from an address that begins with {match[0]}. Give a folder or file, "
            "s3://<bucket>/<prefix>, or sftp://<user>@<host>[:port]/<folder>."
        )
    return FolderPlace(Path(url))
