"""The assets of the road, one module each.

Belongs here: what an operator sees of a stage. Does not belong here: the stage's work.
"""

from capillary_adobe.defs.assets.aep_verdict import build_aep_verdict
from capillary_adobe.defs.assets.closed_days import build_closed_days
from capillary_adobe.defs.assets.customer_lookups import build_customer_lookups
from capillary_adobe.defs.assets.customers import build_customers
from capillary_adobe.defs.assets.delivery_report import build_delivery_report
from capillary_adobe.defs.assets.enriched_events import build_enriched_events
from capillary_adobe.defs.assets.history_files import build_history_files
from capillary_adobe.defs.assets.ingestion_status import build_ingestion_status
from capillary_adobe.defs.assets.landing import landing_spec
from capillary_adobe.defs.assets.quarantine import build_quarantine
from capillary_adobe.defs.assets.raw_events import build_raw_events
from capillary_adobe.defs.assets.xdm_events import build_xdm_events
from capillary_adobe.defs.assets.xdm_profiles import build_xdm_profiles

__all__ = [
    "build_aep_verdict",
    "build_closed_days",
    "build_customer_lookups",
    "build_customers",
    "build_delivery_report",
    "build_enriched_events",
    "build_history_files",
    "build_ingestion_status",
    "build_quarantine",
    "build_raw_events",
    "build_xdm_events",
    "build_xdm_profiles",
    "landing_spec",
]
