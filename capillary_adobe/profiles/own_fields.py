"""Fields that an organisation defines for its customers, and what they tell about the person.

Belongs here: custom and extended fields, the list of what an update changed, and which of them are a person's gender,
birthday, language or address (PROFILE_FIELDS). Does not belong here: fields of bills and promotions, which are no
customer's.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Any, Final

from capillary_adobe.capillary.values import nothing
from capillary_adobe.profiles.reading import Reader, objects, pairs
from capillary_adobe.settings.customers import ProfileSettings

_STANDARD: Final = {
    "firstname": "first_name",
    "lastname": "last_name",
    "email": "email",
    "mobile": "mobile",
    "externalid": "external_id",
}
_KINDS: Final = {"extendedfield": "extended", "customfield": "custom"}
_LONGEST_NAME: Final = 200


def own_fields(
    reader: Reader, custom: Any, extended: Any, settings: ProfileSettings, not_after: date
) -> dict[str, Any]:
    """`custom.<name>` and `extended.<name>`, and the fields of the person among them; extended fields come first."""
    found: dict[str, Any] = {}
    for kind, value in (("custom", custom), ("extended", extended)):
        for name, said in pairs(value):
            path = f"{kind}Fields[].value"
            known = _name(reader, name, f"{kind}Fields[].key")
            told = reader.text(said, path) if known else None
            if known and told is not None:
                found[f"{kind}.{known}"] = told
                found |= _of_person(reader, known, told, settings, not_after, path)
    return found


def changes(reader: Reader, updated: Any, settings: ProfileSettings, not_after: date) -> dict[str, Any]:
    """What `updatedFields` of an update say; None for a field that had a value and has none any more."""
    found: dict[str, Any] = {}
    for one in objects(updated):
        path = "updatedFields[].currentValue"
        name = _name(reader, one.get("fieldName"), "updatedFields[].fieldName")
        if not name:
            continue
        kind = _KINDS.get(_plain(reader.text(one.get("fieldType"), "updatedFields[].fieldType") or ""))
        standard = _STANDARD.get(_plain(name)) if kind is None else None
        if nothing(one.get("currentValue")):
            if "currentValue" in one and not nothing(one.get("previousValue")):
                gone = [standard] if standard else [f"{kind}.{name}"] if kind else []
                found |= dict.fromkeys([*gone, *_targets(name, settings)])
        elif standard:
            value = reader.of_person(one["currentValue"], path)
            found |= {standard: value} if value is not None else {}
        else:
            told = reader.text(one["currentValue"], path)
            if told is not None:
                found |= {f"{kind}.{name}": told} if kind else {}
                found |= _of_person(reader, name, told, settings, not_after, path)
    return found


def _of_person(
    reader: Reader, name: str, told: str, settings: ProfileSettings, not_after: date, path: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for target in _targets(name, settings):
        value = reader.birthday(told, path, not_after) if target == "birth_date" else told
        if value is not None:
            found[target] = value
    return found


def _targets(name: str, settings: ProfileSettings) -> list[str]:
    plain = _plain(name)
    return [ours for ours, theirs in settings.fields_of_person if _plain(theirs) == plain]


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """A name without what differs between its spellings: `preferred_language` and `PreferredLanguage` are one."""
    return re.sub(r"[\W_]", "", name).lower()


def _name(reader: Reader, value: Any, path: str) -> str | None:
    name = reader.text(value, path)
    if name is not None and len(name) > _LONGEST_NAME:
        reader.refuse(path)
        return None
    return name
