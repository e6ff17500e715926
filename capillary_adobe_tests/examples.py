"""How many generated examples a property is tried on.

Belongs here: that number. Does not belong here: strategies and properties.

Some take long: an entity is 20 ms in the making, and there are some 140 properties. Each run draws others, so that a share in
every run finds in time what all of them would; TEST_EXAMPLES=1 tries all.
"""

from __future__ import annotations

import os

_FEWEST = 3
_SHARE = float(os.environ.get("TEST_EXAMPLES", "0.25"))


def examples(most: int) -> int:
    """The share of this number that this run tries."""
    return max(min(most, _FEWEST), round(most * _SHARE))
