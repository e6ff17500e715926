"""Whether fields marked as identities may be such: a wrong identity joins strangers, and nothing parts them again.

Belongs here: `identity` of a rule. Does not belong here: `identityMap` (`identities.py`) and descriptors in AEP.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from capillary_adobe.xdm.checking.findings import Finding
from capillary_adobe.xdm.identities import CUSTOMER, EMAIL, EXTERNAL, PHONE
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.rule_model import IDENTITY, Leaf, Path, Variant
from capillary_adobe.xdm.language.rule_walk import Site, sites, source, written

OWN: Final = (CUSTOMER, EXTERNAL)
STANDARD: Final = (
    *("AdCloud", "AAID", "CORE", "ECID", EMAIL, "Email_LC_SHA256", "FAID", "GAID", "IDFA", PHONE, "Phone_E.164"),
    *("Phone_SHA256", "Phone_SHA256_E.164", "TNTID", "WAID"),
)
"""Symbols of the namespaces that every organisation in AEP has."""

_TEXTS: Final = ("text", "id", "slug")
_CONTACTS: Final = ("mobile", "email", "personalEmail", "mobilePhone", "homePhone", "workEmail", "workPhone")


def check_identities(event: str, variant: Variant, declared: frozenset[str]) -> Iterator[Finding]:
    """Findings on the identities of one variant; `declared` are the tenant's own namespaces."""
    for site in sites(variant):
        if site.leaf is not None and site.leaf.identity is not None:
            told = f"{event}: {written(site.target)}"
            for words in _wrong(site, site.leaf, site.leaf.identity, variant, declared):
                yield Finding("error", site.leaf.place, f"{told} {words}")


def _wrong(site: Site, leaf: Leaf, namespace: str, variant: Variant, declared: frozenset[str]) -> Iterator[str]:
    known = {*OWN, *STANDARD, *declared}
    if namespace not in known:
        cure = close_to(namespace, known) or " Declare it in events.yaml under namespaces."
        yield f"names the identity namespace {namespace}, which is neither a standard one nor declared.{cure}"
    if "[]" in site.target:
        yield "lies in a list, where no field can be an identity. Take `identity` away."
    if not leaf.sources or leaf.choices:
        yield "is the same for many customers, which would join them. Take `identity` away."
    elif leaf.conversion not in _TEXTS:
        yield f"is an identity, and `as: {leaf.conversion}` gives no text. Convert with `as: id`."
    customer = all(path.text == f"@{IDENTITY}" for path in leaf.sources)
    if namespace == CUSTOMER and not customer:
        yield f"is the customer's identity, whose one form is that of identityMap. Take it from @{IDENTITY}."
    if namespace in (EMAIL, PHONE) or any(_is_contact(path, site) for path in leaf.sources) or _is_contact_field(site):
        yield "is a contact. Contacts become identities in identityMap alone, where each is examined. Take `identity` away."
    if variant.customer_id_only and not customer:
        yield "is an identity in a variant with `identities: customer id only`. Take the field out of it."


def _is_contact(path: Path, site: Site) -> bool:
    return bool(set(source(path, site.base).split(".")) & set(_CONTACTS))


def _is_contact_field(site: Site) -> bool:
    return bool(set(site.target) & set(_CONTACTS))
