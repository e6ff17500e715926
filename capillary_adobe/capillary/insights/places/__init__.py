"""Places where exports arrive: a folder, a bucket of S3, an SFTP server.

Belongs here: what a place is, listing and fetching. Does not belong here: which files are new (`history_importing.py`),
and opening them (`opened.py`).
"""

from __future__ import annotations

from capillary_adobe.capillary.insights.places.opening import open_place
from capillary_adobe.capillary.insights.places.place import FoundFile, Place, PlaceError, PlaceUnavailable, changed

__all__ = ["FoundFile", "Place", "PlaceError", "PlaceUnavailable", "changed", "open_place"]
