"""What a schema holds against an entity, in the words that AEP uses for it.

Belongs here: the wording, the keyword, the category and the codes of one violation. Does not belong here: which schema
counts (`demands`) and the files that carry the words (`failed_batches`, `batch_check`).

Like the real ones, the words repeat the value at fault: a client has to keep them out of its logs.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from jsonschema_rs import ValidationError, ValidationErrorKind

_DCVS = {"type": 1104, "format": 1105, "pattern": 1105, "enum": 1106, "const": 1106, "required": 1111}
_OTHER_DCVS = 1101
_ROW_CODES = {"required": "1555"}
_OTHER_ROW_CODE = "1554"

_CATEGORY_OF = {
    "required": "presence",
    "type": "type",
    "format": "format",
    "pattern": "pattern",
    "enum": "enum",
    "const": "enum",
    "additionalProperties": "unknown",
    "unevaluatedProperties": "unknown",
    "identity": "identity",
    "timestamp": "timestamp",
}
_RANGES = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength")
_SIZES = ("minItems", "maxItems", "minProperties", "maxProperties")
_CATEGORY_OF |= dict.fromkeys(_RANGES + _SIZES, "range")
_OTHER_CATEGORY = "unclassified"

CATEGORIES: Final = tuple(dict.fromkeys([*_CATEGORY_OF.values(), _OTHER_CATEGORY]))
"""Every category of a violation: those that AEP counts, and two for what it checks apart from the schema."""

_JSON_TYPES = {
    "array": "JSONArray",
    "object": "JSONObject",
    "string": "String",
    "boolean": "Boolean",
    "null": "Null",
    "number": "Number",
    "integer": "Integer",
}


class Violation(NamedTuple):
    """One violation: the value at fault by its pointer, the keyword of the schema that it breaks, and how."""

    pointer: str
    keyword: str
    text: str

    @property
    def streaming_code(self) -> str:
        """The code of a failed batch of streamed entities."""
        return f"DCVS-{_DCVS.get(self.keyword, _OTHER_DCVS)}-400"

    @property
    def category(self) -> str:
        """What kind of demand was broken; one of `CATEGORIES`."""
        return _CATEGORY_OF.get(self.keyword, _OTHER_CATEGORY)

    @property
    def row_code(self) -> str:
        """The code of a row in a batch."""
        return _ROW_CODES.get(self.keyword, _OTHER_ROW_CODE)

    @property
    def message(self) -> str:
        """Pointer and wording together."""
        return f"{self.pointer}: {self.text}"

    def streaming_item(self) -> dict[str, Any]:
        """The item that a failed record carries."""
        return {
            "schemaLocation": "#",
            "pointerToViolation": self.pointer,
            "causingExceptions": [],
            "keyword": self.keyword,
            "message": self.text,
        }


def violation(error: ValidationError) -> Violation:
    """One error of the validator."""
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in error.instance_path)
    return Violation(f"#{pointer}", error.kind.name, _text(error))


def _text(error: ValidationError) -> str:
    match error.kind:
        case ValidationErrorKind.Required(name):
            return f"required key [{name}] not found"
        case ValidationErrorKind.Type(types):
            expected = " or ".join(_JSON_TYPES[name] for name in types)
            return f"expected type: {expected}, found: {_found(error.instance)}"
        case ValidationErrorKind.AdditionalProperties(names):
            return f"extraneous key [{names[0]}] is not permitted"
        case ValidationErrorKind.Enum():
            return f"{error.instance} is not a valid enum value"
        case ValidationErrorKind.Pattern(pattern):
            return f"string [{error.instance}] does not match pattern {pattern}"
        case ValidationErrorKind.Format(name):
            return f"[{error.instance}] is not a valid {name}"
    return error.message


def _found(value: object) -> str:
    match value:
        case None:
            return _JSON_TYPES["null"]
        case bool():
            return _JSON_TYPES["boolean"]
        case int():
            return _JSON_TYPES["integer"]
        case float():
            return "Double"
        case str():
            return _JSON_TYPES["string"]
        case list():
            return _JSON_TYPES["array"]
    return _JSON_TYPES["object"]
