"""The landing store: immutable objects of Capillary events, and how their bytes become records.

Belongs here: stores behind one small interface, and the reader of the forms that writers leave. Does not belong here:
what an event is (`capillary`).
"""

from capillary_adobe.landing.opening import open_landing_store
from capillary_adobe.landing.reading import read_landed
from capillary_adobe.landing.records import Record, read_records
from capillary_adobe.landing.store import LandedObject, LandingError, LandingStore, LandingUnavailable

__all__ = [
    "LandedObject",
    "LandingError",
    "LandingStore",
    "LandingUnavailable",
    "Record",
    "open_landing_store",
    "read_landed",
    "read_records",
]
