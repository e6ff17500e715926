"""Reason codes: why a record is in quarantine or ignored, in one place.

Belongs here: every code and every category with its meaning, the single source for the docs page and the checks. Does
not belong here: deciding which one applies.
"""

from __future__ import annotations

from typing import NamedTuple

RAW_REASONS = {
    "not_json": "The text is no JSON: cut short, or no JSON at all.",
    "not_utf8": "The bytes are no UTF-8.",
    "record_too_large": "One record is larger than the reader takes; AEP takes at most 1 MB.",
    "object_damaged": "A compressed object ends early or is damaged; the lines before the damage were read.",
    "not_an_object": "JSON, but no object.",
    "envelope_unknown": "A JSON object in none of the envelopes A to E, and no line of an import.",
    "event_unknown": "An event type that the catalogue does not know.",
    "org_missing": "No organisation id.",
    "time_missing": "No createdAt.",
    "time_unreadable": "createdAt is neither epoch seconds nor milliseconds within bounds.",
    "time_in_future": "createdAt lies after the landing by more than the allowed clock skew.",
    "customer_missing": "An event of a person that names no customer.",
    "customer_masked": "The customer id is no number, for example masked.",
    "not_storable": "The event is JSON that cannot be written again: nested too deeply, or numbers beyond 64 bits.",
    "row_ragged": "A row of an export has fewer or more cells than the header.",
    "row_malformed": "A row of an export that is no CSV: quotes that do not close or stand in the middle, or a cell too large.",
    "row_too_large": "A line of an export is longer than the reader takes.",
    "row_with_nul": "A row of an export holds a NUL character.",
    "not_in_encoding": "A row of an export holds bytes that are none of the file's encoding.",
    "cell_missing": "A row of an export whose event needs a cell that is empty.",
    "bad_number": "A cell of an export that holds no number, or one that is too large or below nought where it cannot be.",
    "bad_id": "A cell of an export that holds no id.",
    "bad_date": "A cell of an export that holds no date.",
    "bad_moment": "A cell of an export that holds no date and time.",
    "unknown_word": "A cell of an export with a word for a kind that nobody knows.",
    "rows_disagree": "Rows of one event of an export that tell different values of what holds for all of them.",
    "event_too_large": "The rows of one event of an export are more than a line of the landing store holds.",
    "no_watermark": "An event of an export that webhooks name otherwise, and no watermark says which of the two counts.",
}

XDM_REASONS = {
    "mapping_failed": "The mapping stopped at this event; a defect of the mapping or of this software.",
    "field_missing": "A field that the schema demands is absent.",
    "wrong_type": "A value has another JSON type than the schema says.",
    "wrong_format": "A date-time, e-mail or URI that is none.",
    "wrong_pattern": "A text that does not match the schema's pattern.",
    "out_of_range": "A number or length outside the schema's bounds.",
    "not_in_enum": "A value the schema does not list.",
    "unknown_field": "A field the schema does not have.",
    "empty_value": "An empty text, list or object; AEP takes none.",
    "null_value": "A null; AEP takes none.",
    "no_primary_identity": "No identity is marked as primary.",
    "several_primary_identities": "More than one identity is marked as primary.",
    "bad_identity": "An identity value that AEP refuses: blank, a placeholder, or over 1,024 characters.",
    "entity_too_large": "The entity is over 1 MB.",
    "timestamp_in_future": "The event's time lies after its landing.",
    "not_conformant": "The schema is violated in another way.",
}

UNCLASSIFIED = "unclassified"


class Category(NamedTuple):
    """What AEP calls a kind of fault: its meaning, and what mostly mends it."""

    meaning: str
    cure: str


CATEGORIES = {
    "presence": Category(
        "A field that must be there is absent.",
        "Fill it in the mapping, leave its parent out with `when`, or drop the demand in AEP.",
    ),
    "type": Category(
        "A value has another JSON type than the schema says; null is of no type.",
        "Set the conversion with `as`; leave the field out where there is no value.",
    ),
    "format": Category(
        "A text is no date-time, date, e-mail or URI.",
        "Convert with `as: moment` or `as: slug`, or leave the field out.",
    ),
    "pattern": Category(
        "A text does not match the schema's pattern.",
        "Convert it, such as with `as: currency`, or leave the field out.",
    ),
    "range": Category(
        "A number, a length or a count lies outside its bounds; nothing empty is taken.",
        "Map to a field that holds it, or leave the field out.",
    ),
    "enum": Category(
        "The schema does not list the value.",
        "Translate it with `choose`, or add the value to the schema in AEP.",
    ),
    "unknown": Category(
        "The schema does not have the field.",
        "Correct the target, or let `capillary-adobe setup` add the field.",
    ),
    "identity": Category(
        "The identities break a rule: one primary, at most 20, none blank, overlong or a word for nobody.",
        "Leave the identity out, or mark exactly one as primary.",
    ),
    "timestamp": Category(
        "The event lies in the future.",
        "Check the zone of its dates and the source's clock.",
    ),
    "size": Category(
        "The record is larger than AEP takes.",
        "Leave out or shorten the longest field.",
    ),
    UNCLASSIFIED: Category(
        "None of these, or AEP does not say.",
        "Read the detail; look the batch up in AEP's monitoring view.",
    ),
}

AEP_REASONS = {
    "aep_field_missing": "AEP misses a field that the dataset's schema demands.",
    "aep_wrong_type": "AEP's schema has another type for a value.",
    "aep_wrong_format": "AEP cannot read a date-time, e-mail or URI.",
    "aep_wrong_pattern": "A text does not match the pattern in AEP's schema.",
    "aep_out_of_range": "A number or length lies outside the bounds in AEP's schema.",
    "aep_not_in_enum": "AEP's schema does not list the value.",
    "aep_unknown_field": "AEP's schema does not have the field.",
    "aep_bad_identity": "AEP's rules for identities are broken.",
    "aep_in_future": "AEP takes the event's time for one in the future.",
    "aep_unreadable_row": "AEP could not read the row of a batch.",
    "aep_too_large": "The entity alone is larger than AEP takes.",
    "aep_refused": "AEP refused the entity for another reason; its own words are in the detail.",
}

IGNORED_REASONS = {
    "no_person": "The event is about no person: configuration, a card without its customer.",
    "group": "The event is about a group of customers.",
    "several_persons": "The event is about several customers at once.",
    "no_mapping": "The event has no mapping of its own and CAPILLARY_DELIVER_OTHER_EVENTS is off.",
    "before_history_start": "A row of an export that lies before HISTORY_START; counted by the import, not in the table.",
    "customer_state": "A row of an export that says what a customer is like; it goes into the customer's document.",
    "no_customer": "A row of an export about a bill without a customer.",
    "not_interested": "A row of an export about what was looked at and not bought.",
    "no_points": "A row of an export about no points at all.",
    "points_not_redeemable": "A row of an export about what is counted like points and cannot be redeemed.",
    "deduction_without_event": "A row of an export about a deduction of which no webhook tells.",
    "tier_unchanged": "A row of an export about a tier that stayed as it was.",
    "merged_into_itself": "A row of an export about a merge of a customer with themselves.",
    "live_covers": "An event of an export, at or after the watermark: its webhook counts.",
    "history_covers": "An event of a webhook, before the watermark: the export counts.",
}
