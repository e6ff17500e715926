"""The stages of the road and which of them reads from which.

Belongs here: their order, where code must know it while a run is at work. Does not belong here: the stages (`assets/`), which
declare the same to Dagster.
"""

from __future__ import annotations

from typing import Final

from capillary_adobe.tables import ENRICHED_EVENTS, INGESTION_STATUS, QUARANTINE, RAW_EVENTS, XDM_EVENTS, XDM_PROFILES

CUSTOMERS: Final = "customers"
_READS: Final[dict[str, tuple[str, ...]]] = {
    RAW_EVENTS.name: (),
    CUSTOMERS: (RAW_EVENTS.name,),
    ENRICHED_EVENTS.name: (RAW_EVENTS.name, CUSTOMERS),
    XDM_EVENTS.name: (ENRICHED_EVENTS.name,),
    XDM_PROFILES.name: (CUSTOMERS,),
    INGESTION_STATUS.name: (XDM_EVENTS.name, XDM_PROFILES.name),
    QUARANTINE.name: (RAW_EVENTS.name, XDM_EVENTS.name, INGESTION_STATUS.name),
}
ROAD: Final = tuple(_READS)
"""The stages, each behind those from which it reads."""


def read_by(stage: str) -> tuple[str, ...]:
    """The stages that read from a stage, and so run after it."""
    return tuple(name for name, reads in _READS.items() if stage in reads)


def before(stage: str) -> tuple[str, ...]:
    """The stages that must be through before a stage, in order."""
    found = {name for read in _READS[stage] for name in (read, *before(read))}
    return tuple(name for name in ROAD if name in found)
