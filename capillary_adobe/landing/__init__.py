"""The landing store: immutable objects of Capillary events, and how their bytes become records.

Belongs here: stores behind one small interface, and the reader of the forms that writers leave. Does not belong here:
what an event is (`capillary`).
"""

from capillary_adobe.landing.records import Record, read_records
from capillary_adobe.landing.store import LandedObject, LandingError, LandingStore, open_landing_store

__all__ = ["LandedObject", "LandingError", "LandingStore", "Record", "open_landing_store", "read_records"]
