"""Whether the unit of what a rule reads is the unit of where it writes it: points are not money.

Belongs here: the units of standard fields, and the comparison. Does not belong here: types (`targets.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from capillary_adobe.xdm.checking.findings import Finding
from capillary_adobe.xdm.language.rule_model import TENANT, Leaf, Variant
from capillary_adobe.xdm.language.rule_walk import Site, sites, source, written
from capillary_adobe.xdm.language.rules import load_rules

STANDARD: Final[Mapping[str, str]] = {
    "loyalty.pointsGained[].value": "points",
    "loyalty.pointsRedemption[].value": "points",
    "loyalty.discounts[].value": "money",
    "commerce.order.priceTotal": "money",
    "commerce.order.discountAmount": "money",
    "commerce.order.taxAmount": "money",
    "commerce.order.refundTotal": "money",
    "commerce.order.payments[].paymentAmount": "money",
    "commerce.order.refunds[].refundAmount": "money",
    "commerce.purchases.value": "sales",
    "commerce.inStorePurchase.value": "sales",
    "productListItems[].priceTotal": "money",
    "productListItems[].discountAmount": "money",
    "productListItems[].refundAmount": "money",
    "productListItems[].quantity": "pieces",
}
"""What the standard fields count, by Adobe's descriptions of them."""

_MEASURED: Final = ("points", "money")


@cache
def units() -> Mapping[str, str]:
    """Unit by target: the standard fields, and the tenant fields of the shipped rules."""
    shipped = {
        written(site.target): site.leaf.unit
        for variants in load_rules().values()
        for variant in variants
        for site in sites(variant)
        if site.leaf and site.leaf.unit
    }
    return {**shipped, **STANDARD}


def check_units(event: str, variant: Variant, kinds: Mapping[str, str]) -> Iterator[Finding]:
    """Findings on the units of one variant; `kinds` are the event's source fields."""
    for site in sites(variant):
        if site.leaf is not None:
            yield from _check(f"{event}: {written(site.target)}", site, site.leaf, kinds)


def _check(told: str, site: Site, leaf: Leaf, kinds: Mapping[str, str]) -> Iterator[Finding]:
    counted = units().get(written(site.target))
    measured = {path.text: kinds.get(source(path, site.base)) for path in leaf.sources}
    read = next(((path, kind) for path, kind in measured.items() if kind in _MEASURED), None)
    if leaf.unit and counted and leaf.unit != counted:
        yield Finding(
            "error", leaf.place, f"{told} counts {counted}, not {leaf.unit}. Write to a field for {leaf.unit}."
        )
    elif leaf.unit and read and leaf.unit in _MEASURED and leaf.unit != read[1]:
        yield Finding(
            "error", leaf.place, f"{told} says `unit: {leaf.unit}`, but {read[0]} is in {read[1]}. Say {read[1]}."
        )
    elif not leaf.unit and counted and read and counted != read[1]:
        yield Finding(
            "error", leaf.place, f"{told} counts {counted}, but {read[0]} is in {read[1]}. Use another field."
        )
    elif not leaf.unit and leaf.sources and leaf.conversion == "number" and not leaf.choices and TENANT in site.target:
        unit = read[1] if read else counted or "money"
        yield Finding(
            "warning", leaf.place, f"{told} is a number without a unit. Say what it counts, such as `unit: {unit}`."
        )
