"""Libraries that repeat in their logs what they carry: held above the level at which they do, whatever the root logger's is.

Belongs here: which libraries, and from which level on they may speak. Does not belong here: what this package logs itself.

At DEBUG urllib3 writes paths, in which Capillary's API takes the ids of customers and bills; botocore writes the bodies of what
is stored; SQLAlchemy writes each row that it reads, at INFO each statement.
"""

from __future__ import annotations

import logging
from typing import Final

_FROM: Final = {
    "urllib3": logging.INFO,
    "botocore": logging.INFO,
    "s3transfer": logging.INFO,
    "sqlalchemy": logging.WARNING,
}


def hold_libraries() -> None:
    """Set these levels; one that somebody has set on such a logger itself stays."""
    for name, level in _FROM.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
