"""The target: access tokens, streaming and batch ingestion, error classes, delivery with receipts, AEP's own verdict.

Belongs here: everything that is true of AEP's APIs. Does not belong here: what an entity is (`xdm`).
"""

from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.delivery import Delivery, Work
from capillary_adobe.adobe.errors import DeliveryError, PermanentDeliveryError, QuotaUsedUp, TransientDeliveryError

__all__ = [
    "Delivery",
    "DeliveryCounts",
    "DeliveryError",
    "PermanentDeliveryError",
    "QuotaUsedUp",
    "TransientDeliveryError",
    "Work",
]
