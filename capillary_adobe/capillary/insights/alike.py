"""When two names are alike: headers, words in cells, file names.

Belongs here: what does not count in a name. Does not belong here: which names there are (`templates.yaml`).

Insights+ lets columns be renamed (docs.capillarytech.com/docs/modifying-template-creating-schedule-step-3-of-3), and
spreadsheets change the rest.
"""

from __future__ import annotations

import re
from functools import lru_cache

_DOES_NOT_COUNT = re.compile(r"[\s_.\-]+")


@lru_cache(maxsize=8192)
def alike(name: str) -> str:
    """A name without what does not count: case, blanks, `_`, `.` and `-`."""
    return _DOES_NOT_COUNT.sub("", name).casefold()
