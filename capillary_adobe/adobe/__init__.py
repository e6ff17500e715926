"""The target: access tokens, the streaming inlet, error classes, and delivery with receipts.

Belongs here: everything that is true of AEP's APIs. Does not belong here: what an entity is (`xdm`).
"""

from capillary_adobe.adobe.delivery import Delivery, DeliveryCounts
from capillary_adobe.adobe.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError

__all__ = ["Delivery", "DeliveryCounts", "DeliveryError", "PermanentDeliveryError", "TransientDeliveryError"]
