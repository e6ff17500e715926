"""Violations: what is wrong with an entity, in codes that stay the same over the years and in AEP's own categories.

Belongs here: the words for one violation, and how an error of the schema becomes one. Does not belong here: the rules
that no schema can say and the verdict itself (`conformance`), the mapping line that made the value (`language/origins.py`).

No word here repeats a value: it may be personal. What is told of it is its JSON type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jsonschema_rs import ValidationError, ValidationErrorKind

from capillary_adobe.reasons import UNCLASSIFIED

ABSENT: Final = "absent"
"""Type of the value that should be there and is not."""

_BY_KEYWORD: Final = {
    "required": ("field_missing", "presence"),
    "type": ("wrong_type", "type"),
    "format": ("wrong_format", "format"),
    "pattern": ("wrong_pattern", "pattern"),
    "enum": ("not_in_enum", "enum"),
    "const": ("not_in_enum", "enum"),
    "minimum": ("out_of_range", "range"),
    "maximum": ("out_of_range", "range"),
    "exclusiveMinimum": ("out_of_range", "range"),
    "exclusiveMaximum": ("out_of_range", "range"),
    "multipleOf": ("out_of_range", "range"),
    "minLength": ("out_of_range", "range"),
    "maxLength": ("out_of_range", "range"),
    "minItems": ("out_of_range", "range"),
    "maxItems": ("out_of_range", "range"),
    "minProperties": ("out_of_range", "range"),
    "maxProperties": ("out_of_range", "range"),
    "additionalProperties": ("unknown_field", "unknown"),
    "unevaluatedProperties": ("unknown_field", "unknown"),
}
_FALLBACK: Final = ("not_conformant", UNCLASSIFIED)

# Where one of these holds, every other complaint about the same value follows from it.
_FIRST_CAUSES: Final = frozenset({"null_value", "empty_value", "wrong_type"})
# Of several keywords that say the same of one value, the one that tells most.
_TELLING: Final = ("type", "minLength", "minItems", "minProperties")

_INDEX: Final = re.compile(r"(?<=/)\d+(?=/|$)")

FORMATS: Final = {
    "date-time": "write RFC 3339 with T and a zone, such as 2026-01-31T08:00:00.000Z",
    "date": "write it as 2026-01-31",
    "email": "write the bare address, as in name@example.com, or leave the field out",
    "uri": "write an absolute URI, or leave the field out",
    "uri-reference": "write letters, digits and the signs that a URI allows",
}


@dataclass(frozen=True)
class Violation:
    """One reason why an entity does not conform.

    `keyword` is the schema's or the rule's, `value_type` the JSON type of the value at fault, `cure` what to do about it.
    """

    code: str
    pointer: str
    keyword: str
    detail: str
    category: str = UNCLASSIFIED
    value_type: str = ""
    cure: str = ""

    @property
    def words(self) -> str:
        """Place, fault and cure in one line."""
        return f"{self.pointer or '/'} {self.detail}" + (f"; {self.cure}" if self.cure else "")


def from_schema(error: ValidationError) -> Iterator[Violation]:
    """The violations that one error of the validator stands for."""
    keyword = error.kind.name
    path = error.instance_path
    match error.kind:
        case ValidationErrorKind.Required(name):
            cure = "fill it in the mapping, or leave its parent out with `when`"
            where = pointer([*path, name])
            yield Violation("field_missing", where, keyword, "required and absent", "presence", ABSENT, cure)
        case ValidationErrorKind.AdditionalProperties(names) | ValidationErrorKind.UnevaluatedProperties(names):
            cure = "map to a field that it has, leave this one out, or add it to the schema in AEP"
            for name in names:
                kind = json_type(error.instance[name]) if isinstance(error.instance, dict) else ""
                detail = "the schema has no such field"
                yield Violation("unknown_field", pointer([*path, name]), keyword, detail, "unknown", kind, cure)
        case _:
            code, category = _classified(error)
            detail, cure = _words(code, error)
            yield Violation(code, pointer(path), keyword, detail, category, json_type(error.instance), cure)


def first_causes(found: Iterable[Violation]) -> list[Violation]:
    """What is left when whatever follows from another violation of the same value is taken away; in a stable order."""
    ordered = sorted(found, key=_order)
    caused = {violation.pointer for violation in ordered if violation.code in _FIRST_CAUSES}
    kept: dict[tuple[str, str, str], Violation] = {}
    for violation in ordered:
        if violation.pointer not in caused or violation.code in _FIRST_CAUSES:
            # Null and emptiness break several keywords at once, and are one thing to mend.
            told_once = violation.code in ("null_value", "empty_value")
            kept.setdefault((violation.pointer, violation.code, "" if told_once else violation.keyword), violation)
    return list(kept.values())


def _order(violation: Violation) -> tuple[Any, ...]:
    keyword = violation.keyword
    rank = _TELLING.index(keyword) if keyword in _TELLING else len(_TELLING)
    return violation.pointer, violation.code, rank, keyword, violation.detail


def _classified(error: ValidationError) -> tuple[str, str]:
    value = error.instance
    of_type = error.kind.name == "type"
    if value is None:
        return "null_value", "type"
    if value in ("", [], {}):
        return "empty_value", "type" if of_type else "range"
    return _BY_KEYWORD.get(error.kind.name, _FALLBACK)


def _words(code: str, error: ValidationError) -> tuple[str, str]:
    """What is wrong, and the cure."""
    kind = error.kind
    if code in {"null_value", "empty_value"}:
        return f"{json_type(error.instance)} without content", "leave the field out where there is no value"
    match kind:
        case ValidationErrorKind.Type(types):
            expected = " or ".join(types)
            return f"is {json_type(error.instance)}, must be {expected}", "convert it in the mapping with `as`"
        case ValidationErrorKind.Format(name):
            return f"is no {name}", FORMATS.get(name, "write it in that format, or leave the field out")
        case ValidationErrorKind.Pattern(pattern):
            return f"does not match {pattern}", "convert it in the mapping, or leave the field out"
        case ValidationErrorKind.Enum(options):
            allowed = ", ".join(str(option) for option in options)
            return f"is none of {allowed}", "translate it in the mapping with `choose`, or leave the field out"
    if code == "out_of_range":
        return f"breaks {kind.name} {kind.value}", "use a field that holds it, or leave the field out"
    return f"breaks {kind.name}", "change the mapping so that the schema holds"


def json_type(value: object) -> str:
    """The JSON type of a value, whole numbers apart."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def any_element(where: str) -> str:
    """A pointer with `*` for the place within a list."""
    return _INDEX.sub("*", where)


def type_at(entity: Any, where: str) -> str | None:
    """The JSON type of what stands at a pointer, in which `*` is any element of a list; None where types differ."""
    found = [entity]
    for step in where.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = [inner for value in found for inner in _members(value, name)]
    types = {json_type(value) for value in found}
    return types.pop() if len(types) == 1 else None if types else ABSENT


def _members(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):
        return [value[name]] if name in value else []
    if not isinstance(value, list):
        return []
    if name.isdigit():
        return value[int(name) : int(name) + 1]
    return value if name == "*" else []


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
