"""Causes: AEP's many ways to refuse an entity, grouped so that an operator mends one and sends its entities again.

Belongs here: from a keyword, code or status of AEP's to a reason code and a cause. Does not belong here: the meaning of
the codes (`reasons.py`) and reading AEP's answers (`answers.py`, `data_access.py`).

A cause is `<reason code>:<place or AEP's own code>`, such as `aep_wrong_type:/loyalty/points`. It holds no value of an
entity. The place of a list's element stands as `*`: a wrong line item is one cause, whichever line it is.
"""

from __future__ import annotations

import re

from capillary_adobe.reasons import UNCLASSIFIED
from capillary_adobe.xdm.violations import any_element

_BY_KEYWORD = {
    "required": "aep_field_missing",
    "presence": "aep_field_missing",
    "type": "aep_wrong_type",
    "format": "aep_wrong_format",
    "pattern": "aep_wrong_pattern",
    "enum": "aep_not_in_enum",
    "const": "aep_not_in_enum",
    "identity": "aep_bad_identity",
    "timestamp": "aep_in_future",
    "additionalproperties": "aep_unknown_field",
    "unevaluatedproperties": "aep_unknown_field",
}
_RANGES = re.compile(r"(exclusive)?(min|max)(imum|length|items|properties)?|multipleof|range", re.IGNORECASE)
# Codes seen on failed rows and batches; Adobe publishes no list of the DCVS ones.
_BY_NUMBER = {
    "1101": "aep_wrong_type",
    "1104": "aep_wrong_type",
    "1105": "aep_wrong_format",
    "1106": "aep_not_in_enum",
    "1111": "aep_field_missing",
    "1555": "aep_field_missing",
    "1401": "aep_unreadable_row",
    "413": "aep_too_large",
}
_OTHER = "aep_refused"
# AEP's category by reason, and the keyword of its validator where the reason stands for one.
_VOICE = {
    "aep_field_missing": ("presence", "required"),
    "aep_wrong_type": ("type", "type"),
    "aep_wrong_format": ("format", "format"),
    "aep_wrong_pattern": ("pattern", "pattern"),
    "aep_out_of_range": ("range", None),
    "aep_not_in_enum": ("enum", "enum"),
    "aep_unknown_field": ("unknown", "additionalProperties"),
    "aep_too_large": ("size", None),
    "aep_bad_identity": ("identity", None),
    "aep_in_future": ("timestamp", None),
}
# "required key [web] not found", as the validator that AEP uses says it (github.com/everit-org/json-schema).
_MISSING = re.compile(r"required key \[([\w$.:-]{1,64})\]")
_NUMBER = re.compile(r"\d{3,4}")


def reason_for(code: str) -> str:
    """The reason code for AEP's keyword, error code or status."""
    found = _BY_KEYWORD.get(code.lower())
    if found is not None:
        return found
    if _RANGES.fullmatch(code):
        return "aep_out_of_range"
    number = _NUMBER.search(code)
    return _BY_NUMBER.get(number[0], _OTHER) if number else _OTHER


def cause_of(code: str, pointer: str = "", words: str = "") -> str:
    """The cause under which refusals for this code at this place are grouped.

    A missing field is told at the place of its parent, and only AEP's words name it.
    """
    place = any_element(pointer)
    reason = reason_for(code)
    missing = _MISSING.search(words) if reason == "aep_field_missing" else None
    if missing is not None:
        place = f"{place}/{missing[1]}"
    return f"{reason}:{place or code}"


def reason_of(cause: str) -> str:
    """The reason code of a cause."""
    return cause.partition(":")[0]


def place_of(cause: str) -> str | None:
    """The place within the entity that a cause names, if it names one."""
    place = cause.partition(":")[2]
    return place if place.startswith("/") else None


def category_of(cause: str) -> str:
    """AEP's category of a cause; see `reasons.CATEGORIES`."""
    return _VOICE.get(reason_of(cause), (UNCLASSIFIED, None))[0]


def keyword_of(cause: str) -> str | None:
    """The keyword that AEP's validator broke off at, where the cause tells it."""
    return _VOICE.get(reason_of(cause), (UNCLASSIFIED, None))[1]
