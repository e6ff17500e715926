"""The code location: gathers `defs/`, nothing else."""

from __future__ import annotations

import dagster as dg

from capillary_adobe.defs.build import build_defs


@dg.definitions
def defs() -> dg.Definitions:
    """Assembled when Dagster asks for it, so that importing this module reads no setting."""
    return build_defs()
