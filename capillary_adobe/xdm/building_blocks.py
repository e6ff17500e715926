"""The building blocks of our XDM schemas: the classes, and which standard field group each root property comes from.

Belongs here: names and ids as Adobe publishes them (github.com/adobe/xdm). Does not belong here: the fields themselves
(`schemas/`), the tenant's own field groups (`language/additions.py`) and creating anything in AEP (`adobe.setup`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from capillary_adobe.xdm.schemas import Kind


@dataclass(frozen=True)
class FieldGroup:
    """A standard field group and the root properties of `schemas/` that it brings."""

    id: str
    title: str
    properties: tuple[str, ...]


@dataclass(frozen=True)
class Class:
    """The class of a kind of entity, with the root properties that it brings itself."""

    id: str
    title: str
    properties: tuple[str, ...]


_AUDIT = FieldGroup(
    "https://ns.adobe.com/xdm/common/external-source-system-audit-details",
    "External Source System Audit Details",
    ("extSourceSystemAudit",),
)

CLASSES: Final[dict[Kind, Class]] = {
    "events": Class(
        "https://ns.adobe.com/xdm/context/experienceevent",
        "XDM ExperienceEvent",
        ("_id", "timestamp", "eventType", "producedBy", "identityMap"),
    ),
    "profiles": Class("https://ns.adobe.com/xdm/context/profile", "XDM Individual Profile", ("_id",)),
}

FIELD_GROUPS: Final[dict[Kind, tuple[FieldGroup, ...]]] = {
    "events": (
        FieldGroup(
            "https://ns.adobe.com/xdm/context/experienceevent-loyalty-details", "Loyalty Event Details", ("loyalty",)
        ),
        FieldGroup(
            "https://ns.adobe.com/xdm/context/experienceevent-commerce",
            "Commerce Details",
            ("commerce", "productListItems"),
        ),
        FieldGroup("https://ns.adobe.com/xdm/context/experienceevent-channel", "Channel Details", ("channel",)),
        _AUDIT,
    ),
    "profiles": (
        FieldGroup("https://ns.adobe.com/xdm/context/identitymap", "IdentityMap", ("identityMap",)),
        FieldGroup("https://ns.adobe.com/xdm/mixins/profile/profile-loyalty-details", "Loyalty Details", ("loyalty",)),
        FieldGroup("https://ns.adobe.com/xdm/context/profile-person-details", "Demographic Details", ("person",)),
        FieldGroup(
            "https://ns.adobe.com/xdm/context/profile-personal-details",
            "Personal Contact Details",
            ("personalEmail", "mobilePhone", "homeAddress"),
        ),
        FieldGroup("https://ns.adobe.com/xdm/mixins/profile-consents", "Consent and Preference Details", ("consents",)),
        FieldGroup(
            "https://ns.adobe.com/xdm/context/profile-preferences-details",
            "Preference Details",
            ("preferredLanguage", "timeZone"),
        ),
        _AUDIT,
    ),
}
