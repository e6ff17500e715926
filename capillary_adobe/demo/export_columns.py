"""The columns of made-up exports: which each template has, in the order in which they are exported, by their standard names.

Belongs here: headers. Does not belong here: what stands in the rows (`export_rows.py`), the organisation's own names
(`exports.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_CUSTOMER = ("user_id", "first_name", "last_name", "mobile", "email", "customer_external_id")
_OUTLET = ("till_id", "till", "till_name", "store", "store_name", "external_id")
WHO = tuple(f"event_user.{name}" for name in _CUSTOMER)
WHERE = tuple(f"event_zone_till.{name}" for name in _OUTLET)
_WHEN = ("event_date.date", "event_time.time")
PROGRAM = ("event_program.program_id", "event_program.program_name")
_BILL = ("bill_id", "bill_number", *_WHEN, "bill_amount", "bill_discount", "initial_bill_value", "currency_code")
_ITEM = (
    "line_item_id",
    "item_code",
    "description",
    "quantity",
    "rate",
    "initial_line_item_value",
    "line_item_discount",
    "line_item_amount",
)
CUSTOM_FIELDS = ("basket_mood", "wrapped_as_gift", "till_version")
EXTENDED_FIELDS = ("sales_channel", "loyalty_desk")

HEADERS: Mapping[str, Sequence[str]] = {
    "transactions": (
        *_BILL,
        "bill_type",
        "delivery_status",
        "bill_client_id",
        *WHO,
        *WHERE,
        *_ITEM,
        *CUSTOM_FIELDS,
        *EXTENDED_FIELDS,
    ),
    "returns": (
        *_BILL,
        "parent_bill_number",
        "returned_type",
        "delivery_status",
        *WHO,
        *WHERE,
        *_ITEM,
        *CUSTOM_FIELDS,
        *EXTENDED_FIELDS,
    ),
    "points": (
        *_WHEN,
        *WHO,
        *WHERE,
        *PROGRAM,
        "event_id",
        "event_log_id",
        "points_event_type",
        "deduction_type",
        "category",
        "allocated_points",
        "deducted_points",
        "awarded_ref_id",
        "deducted_ref_id",
        "deduction_summary_id",
        "deduction_currency_value",
        "points_promotion.promotion_identifier",
        "points_promotion.promotion_type",
        "awarded_expiry_date.date",
        "bill_id",
        "bill_number",
        "redemption_bill_number",
        "triggering_activity",
        "redemption_notes",
    ),
    "redemptions": (
        "redemption_id",
        "points_redemption_time",
        *WHO,
        *WHERE,
        *PROGRAM,
        "points_redeemed",
        "deduction_currency_value",
        "redemption_bill_number",
        "redemption_notes",
    ),
    "tiers": (
        "id",
        "event_date_time",
        *WHO,
        *WHERE,
        *PROGRAM,
        "change_action",
        "change_source",
        "customer_slab.slab_name",
        "customer_slab.slab_no",
        "previous_slab.slab_name",
        "previous_slab.slab_no",
        "slab_expiry_date",
        "upgrade_event_type",
        "notes",
    ),
    "merges": ("merge_event_id", *_WHEN, *WHO, "victim_user.user_id", "merge_reason"),
    "members": (
        *WHO,
        *PROGRAM,
        "loyalty_points",
        "lifetime_points",
        "slab_name",
        "slab_number",
        "joined_date.date",
        "source",
    ),
    "profiles": ("user_id", "source", "id_unique", "id_mobile", "union_id"),
}
"""The columns of each template, in the order in which they are exported."""
