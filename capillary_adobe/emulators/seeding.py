"""What the tenant's sandbox holds before anyone made anything in it.

Belongs here: the order in which its objects are made. Does not belong here: the objects, which their own modules make.

An object that is there already stays as it is: the emulator may have been stopped, and the object changed, since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from capillary_adobe.emulators.namespaces import seed_namespaces
from capillary_adobe.emulators.seeded_targets import seed_targets
from capillary_adobe.emulators.standard_groups import seed_schemas

if TYPE_CHECKING:
    from capillary_adobe.emulators.sandboxes import Resources
    from capillary_adobe.emulators.tenant import Tenant


def seed(resources: Resources, tenant: Tenant) -> None:
    """Make what is missing of the two schemas of the tenant, all they need, and the road that data takes to them."""
    seed_namespaces(resources, tenant)
    seed_schemas(resources, tenant)
    seed_targets(resources, tenant)
