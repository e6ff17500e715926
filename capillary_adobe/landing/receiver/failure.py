"""Why a receiver cannot start.

Belongs here: the error whose text is for the operator, apart from all that takes time to import. Does not belong here: what
keeps one event from landing (`outcome.py`).
"""

from __future__ import annotations


class ReceiverError(Exception):
    """The receiver cannot start; the text says why and names the cure."""
