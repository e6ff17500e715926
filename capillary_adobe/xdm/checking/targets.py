"""Whether the targets of the rules fit the schema: each exists, takes what its rule gives, and is whole where it must be.

Belongs here: paths, types and required fields. Does not belong here: units (`units.py`), sources
(`sources.py`) and finished entities (`conformance.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from capillary_adobe.xdm.checking.findings import Finding
from capillary_adobe.xdm.language.expressions import close_to
from capillary_adobe.xdm.language.rule_model import TENANT, Leaf, List, Node, Path, Place, Test, Variant
from capillary_adobe.xdm.language.rule_walk import Site, Target, first_place, sites, written
from capillary_adobe.xdm.tenant_schemas import validator_of

Schema = dict[str, Any]

HEAD: Final = ("_id", "timestamp", "eventType", "producedBy", "identityMap")
"""What every entity has without a rule."""

_TEXTS: Final = ("text", "id", "slug")
_FORMATS: Final = {
    "date-time": "convert with `as: moment`",
    "date": "convert with `as: date`",
    "uri-reference": "convert with `as: slug`",
    "uri": "translate with `choose`, or put a `prefix` such as https://example.com/ before `as: slug`",
    "email": "convert with `as: email`",
}
_SAMPLES: Final = {
    "currency": (("EUR", "INR"), "a currency code such as {}"),
    "date": (("2026-01-31",), "a date such as {}"),
    "email": (("a@example.com",), "an e-mail address such as {}"),
    "language": (("en", "en-IN"), "a language tag such as {}"),
    "country": (("DE", "IN"), "a country code such as {}"),
}
"""What conversions give whose texts all have one form."""
_TYPES: Final = {"number": "number", "integer": "integer", "limit": "integer", "boolean": "boolean"}
_WANTED: Final = {"string": "text", "number": "number", "integer": "integer", "boolean": "boolean"}


def check_targets(
    event: str, variant: Variant, schema: Schema, tenant_key: str, there: frozenset[Path] = frozenset()
) -> Iterator[Finding]:
    """Findings on the targets of one variant; `schema` is closed and without references.

    `there` are sources that have a value wherever the object that they are written to has any.
    """
    for site in sites(variant):
        yield from _check_site(event, site, schema, tenant_key)
    yield from _check_required(event, variant.fields, (), schema, tenant_key, variant.place, there)


def at(schema: Schema, target: Target, tenant_key: str) -> Schema | None:
    """The schema of a target; None where there is none."""
    found: Any = schema
    for name in target:
        if name == "[]":
            found = found.get("items") if found.get("type") == "array" else None
        else:
            found = _properties(found).get(tenant_key if name == TENANT else name)
        if not isinstance(found, dict):
            return None
    return found


def _properties(schema: Schema) -> dict[str, Schema]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _check_site(event: str, site: Site, schema: Schema, tenant_key: str) -> Iterator[Finding]:
    place = site.leaf.place if site.leaf else site.block.place if site.block else None
    told = f"{event}: {written(site.target)}"
    if site.target[0] in HEAD:
        yield Finding("error", place, f"{told} is written for every entity without a rule. Take this rule out.")
        return
    if tenant_key != TENANT and tenant_key in site.target:
        # Written beside `_tenant`, the one object would take the place of the other.
        yield Finding("error", place, f"{told} names the tenant. Write {TENANT} in place of {tenant_key}.")
        return
    found = at(schema, site.target, tenant_key)
    if found is None:
        # A missing object is told at its fields, a missing list at its elements' fields.
        if site.leaf:
            yield Finding("error", place, f"{told} {_missing(site.target, schema, tenant_key)}")
        return
    if site.leaf is None:
        return
    misfit = _misfit(site.leaf, found)
    if misfit:
        yield Finding(misfit[0], place, f"{told} {misfit[1]}.")


def _missing(target: Target, schema: Schema, tenant_key: str) -> str:
    """Which step of a path is not there, and what to do."""
    reached = schema
    for number, name in enumerate(target):
        known = at(schema, target[: number + 1], tenant_key)
        if known is not None:
            reached = known
            continue
        owner = written(target[:number]) or "its root"
        if name == "[]":
            return f"is a list in the mapping, but {owner} is none in the schema. Write its fields without a list."
        if reached.get("type") == "array":
            return f"is no field: {owner} is a list in the schema. Write it as a list of blocks."
        close = close_to(name, _properties(reached))
        if TENANT in target[:number] or (name == TENANT and _properties(reached)):
            run = "Or run" if close else "Run"
            cure = f"{close} {run} `capillary-adobe setup`, which adds it to the schema in AEP."
        else:
            cure = close or " Fields of your own stand below _tenant."
        return f"is not in the schema: {owner} has no {name}.{cure}"
    return "is not in the schema."


def _misfit(leaf: Leaf, schema: Schema) -> tuple[Any, str] | None:
    types = _types(schema)
    if types & {"object", "array"}:
        return "error", f"is {_article(*types)} in the schema. Write its fields instead"
    if not leaf.sources:
        return _misfit_of_values([leaf.constant], schema, "the constant {!r}")
    if leaf.choices:
        return _misfit_of_values([target for _, target in leaf.choices], schema, "{!r} of `choose`")
    if leaf.conversion in _TYPES:
        given = _TYPES[leaf.conversion]
        if types and given not in types and not (given == "integer" and "number" in types):
            return "error", f"takes {_takes(types)}, `as: {leaf.conversion}` gives {_article(given)}. {_cure(types)}"
        return None
    if types and "string" not in types:
        return "error", f"takes {_takes(types)}, `as: {leaf.conversion}` gives a text. {_cure(types)}"
    return _misfit_of_text(leaf, schema)


def _misfit_of_text(leaf: Leaf, schema: Schema) -> tuple[Any, str] | None:
    if "enum" in schema or "const" in schema:
        options = schema.get("enum", [schema.get("const")])
        return "error", f"takes one of {', '.join(map(str, options))}. Translate with `choose`"
    format_, pattern = schema.get("format"), schema.get("pattern")
    if leaf.conversion == "moment":
        if format_ not in (None, "date-time"):
            return "error", f"takes the format {format_}, `as: moment` gives date-time. Use a field for a moment"
        return ("error", f"takes text that matches {pattern}, and a moment does not") if pattern else None
    if leaf.conversion in _SAMPLES:
        values, told = _SAMPLES[leaf.conversion]
        return _misfit_of_values(list(values), schema, told)
    if format_ is not None and not _fits_format(leaf, format_):
        return "error", f"takes the format {format_}, which any text is not. {_cure_of_format(format_)}"
    if pattern is not None:
        if validator_of({"type": "string", "pattern": pattern}).is_valid("EUR"):
            return "error", f"takes a currency code ({pattern}). Convert with `as: currency`"
        return "warning", f"takes text that matches {pattern} only; what does not match is quarantined"
    return None


def _fits_format(leaf: Leaf, format_: str) -> bool:
    """Whether every text that the conversion gives has the format."""
    if leaf.conversion != "slug" or format_ not in ("uri", "uri-reference"):
        return False
    return validator_of({"type": "string", "format": format_}).is_valid(f"{leaf.prefix}a")


def _cure_of_format(format_: str) -> str:
    cure = _FORMATS.get(format_, "use another field")
    return cure[0].upper() + cure[1:]


def _misfit_of_values(values: list[Any], schema: Schema, what: str) -> tuple[Any, str] | None:
    validator = validator_of(schema)
    for value in values:
        for error in validator.iter_errors(value):
            return "error", f"does not take {what.format(value)}: {error.message}"
    return None


def _types(schema: Schema) -> set[str]:
    types = schema.get("type")
    if types is None:
        return {"string"} if "enum" in schema else set()
    return {types} if isinstance(types, str) else set(types)


def _takes(types: set[str]) -> str:
    return " or ".join(_article(_WANTED.get(one, one)) for one in sorted(types))


def _article(*names: str) -> str:
    return " or ".join(f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in names)


def _cure(types: set[str]) -> str:
    conversions = {"string": "text", "number": "number", "integer": "integer", "boolean": "boolean"}
    fitting = [f"`as: {conversions[one]}`" for one in sorted(types) if one in conversions]
    return f"Convert with {' or '.join(fitting)}" if fitting else "Use another field"


# Required fields: an object that is written must have them.


def _check_required(
    event: str,
    node: Node,
    above: Target,
    schema: Schema,
    tenant_key: str,
    place: Place | None,
    there: frozenset[Path] = frozenset(),
) -> Iterator[Finding]:
    """Findings on an object; `there` are sources that have a value wherever the object is written."""
    known = at(schema, above, tenant_key)
    if known is None:
        return
    for name in known.get("required", []):
        ours = TENANT if name == tenant_key else name
        if not above and ours in HEAD:
            continue
        told = f"{event}: {written((*above, ours))}"
        if ours not in node.children:
            cure = "Write it too, or leave the others out" if above else "Write it too"
            yield Finding("error", place, f"{told} is required by the schema and no rule writes it. {cure}.")
            continue
        required = node.children[ours]
        rival = next((other for other in node.children.values() if _outlives(other, required, there)), None)
        if rival is not None and isinstance(required, Leaf):
            words = (
                f"{told} is required by the schema and may be without a value where {_told(rival)} has one; such entities "
                "are quarantined. Give both the same sources and conditions"
            )
            yield Finding("warning", required.place, f"{words}.")
    for name, child in node.children.items():
        yield from _check_required_below(event, child, (*above, name), schema, tenant_key, place, there)


def _check_required_below(
    event: str,
    child: Node | Leaf | List,
    target: Target,
    schema: Schema,
    tenant_key: str,
    place: Place | None,
    there: frozenset[Path],
) -> Iterator[Finding]:
    if isinstance(child, Node):
        yield from _check_required(event, child, target, schema, tenant_key, first_place(child) or place, there)
    elif isinstance(child, List):
        for block in child.blocks:
            stands, asked = block.place or place, there | _asked_for(block.when)
            yield from _check_required(event, block.fields, (*target, "[]"), schema, tenant_key, stands, asked)


def _asked_for(tests: tuple[Test, ...]) -> frozenset[Path]:
    """The sources that have a value where conditions hold."""
    return frozenset(test.path for test in tests if not test.negated)


def _outlives(other: Node | Leaf | List, required: Node | Leaf | List, there: frozenset[Path]) -> bool:
    """Whether a field may have a value where the required one has none."""
    if other is required or not isinstance(required, Leaf):
        return False
    if not required.when and there.intersection(required.sources):
        return False
    if not isinstance(other, Leaf):
        return bool(required.when) or bool(required.sources)
    if not set(required.when) <= set(other.when):
        return True
    return bool(required.sources) and not (other.sources and set(other.sources) <= set(required.sources))


def _told(rival: Node | Leaf | List) -> str:
    if isinstance(rival, Leaf) and rival.sources:
        return rival.sources[0].text
    return "another field of the object"
