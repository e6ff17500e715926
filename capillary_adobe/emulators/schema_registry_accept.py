"""The forms in which the Schema Registry shows an object, and the `Accept` header that asks for one.

Belongs here: reading the header, its errors, and putting an object into the form. Does not belong here: finding the
object.

Adobe also has a spelling of its own for standard fields (`xdm` in place of `xed`); here both words get the same answer,
in the spelling of the records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from capillary_adobe.emulators.schema_registry_errors import (
    DESCRIPTOR_ACCEPT,
    DESCRIPTOR_LIST_ACCEPT,
    LIST_ACCEPT,
    LOOK_UP_ACCEPT,
    RegistryError,
    refused,
)

_ACCEPT = re.compile(
    r"application/vnd\.adobe\.(?P<word>xed|xdm)(?P<flags>(?:-[a-z0-9]+)*)\+json(?:\s*;\s*version\s*=\s*(?P<version>\S+))?"
)
_LOOK_UP_FLAGS: Final = {"full", "notext", "desc", "deprecatefield"}
_ANY: Final = ("", "*/*", "application/json")
_TEXTS: Final = ("title", "description")


@dataclass(frozen=True)
class Form:
    """What a header asks for."""

    word: str
    flags: frozenset[str]
    version: str | None


def list_form(accept: str) -> Form:
    """The form of the objects in a list: only their ids, or all that is kept of them."""
    form = _form(accept)
    if form is None or form.version is not None or not form.flags <= {"id"}:
        raise _invalid(LIST_ACCEPT, accept, "application/vnd.adobe.{xed|xdm}+json")
    return form


def look_up_form(accept: str, current: str | None) -> Form:
    """The form of one object, whose `current` version is the only one that is there; None where no object is."""
    form = _form(accept)
    if form is None or form.version is None or not form.flags <= _LOOK_UP_FLAGS:
        wanted = "application/vnd.adobe.{xed|xdm}+json; version=1 (Version should be specified)"
        raise _invalid(LOOK_UP_ACCEPT, accept, wanted)
    if current is not None and form.version not in (current, current.partition(".")[0]):
        raise refused(406, f"The resource is not available in version {form.version}; it is in version {current}")
    return form


def descriptor_list_form(accept: str) -> Form:
    """The form of a list of descriptors."""
    form = _form(accept)
    if form is None or form.word != "xdm" or form.version or form.flags - {"v2"} not in ({"id"}, {"link"}, set()):
        raise _invalid(DESCRIPTOR_LIST_ACCEPT, accept, "application/vnd.adobe.xdm-id+json")
    return form


def demand_descriptor_form(accept: str) -> None:
    """One descriptor has one form, which need not be named."""
    form = _form(accept)
    if accept not in _ANY and (form is None or form.word != "xdm" or form.flags):
        raise _invalid(DESCRIPTOR_ACCEPT, accept, "application/vnd.adobe.xdm+json")


def without_texts(content: Any) -> Any:
    """An object without titles and descriptions; a field that has such a name stays."""
    if isinstance(content, list):
        return [without_texts(item) for item in content]
    if not isinstance(content, dict):
        return content
    kept = {name: part for name, part in content.items() if name not in _TEXTS or not isinstance(part, str)}
    return {name: without_texts(part) for name, part in kept.items()}


def _form(accept: str) -> Form | None:
    match = _ACCEPT.fullmatch(accept.strip())
    if match is None:
        return None
    return Form(match["word"], frozenset(match["flags"].split("-")[1:]), match["version"])


def _invalid(code: str, accept: str, wanted: str) -> RegistryError:
    detail = f"The supplied Accept header is not valid: {accept} - A valid Accept value should look like {wanted}"
    return RegistryError(code, "Accept header invalid", detail)
