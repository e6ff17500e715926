"""AEP's messages, made safe to show.

Belongs here: one rule that keeps what a message says about the form of a record and cuts what it repeats of its values.
Does not belong here: which part of an answer is a message (`platform.py`, `catalog.py`, `data_access.py`).
Source of the wordings: the messages of github.com/everit-org/json-schema, which AEP's validation repeats, and
experienceleague.adobe.com/docs/experience-platform/ingestion/quality/error-diagnostics.html.

The rule. A message is read chunk by chunk, as blanks divide it, brackets, quotes and stops around a chunk aside. A chunk
stays if it is

- made of words that validators use (`_VOCABULARY`),
- a code of AEP's, such as DCVS-1111-400,
- a JSON pointer into the schema's fields that begins with '#',
- a name that follows "key", "field", "column" or the like, as long as nothing was cut before it: a text that a person
  wrote may use these words too, or
- a number that counts errors, rows, records, files or bytes.

Everything else becomes an ellipsis. A list of what may stay is safer than a list of what must go: a value can look like
anything, and stands in a message with and without quotes.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 300
"""Characters of a message that are kept."""

CUT: Final = "…"

# Not among them: "true" and "false". What a field says of a person with one of these is a value.
_VOCABULARY: Final = frozenset(
    """
    a able absent actual additional after against all allowed already also an and any are array as associated at
    attribute attributes batch be been before below body boolean both but by bytes can can't cannot cast character
    characters class code column columns compatible const constraint contain contained contains conversion convert
    converted corrupt corrupted could couldn't count data dataset date datetime decimal decode deserialize detail
    details diagnostic diagnostics did do does doesn't double due duplicate each either element elements email empty
    encoding encountered entity enum equal error errors exactly exceed exceeded exceeds exception exclusive exist
    exists expected extraneous fail failed failure field fields file files fix float for form format formatted found
    from function greater guardrail guardrails has have header hit hostname id identity if ignored ims in
    incompatible incorrect ingest ingested ingestion inlet instance int integer integers invalid ipv4 ipv6 is it
    item items its json jsonarray jsonobject key keys kind larger least length less limit long longer malformed many
    map mapping match matched matches matching max maximum maxitems maxlength message messages min minimum minitems
    minlength missing more most multiple must name namespace no node non none not null nullable number numbers
    numeric object of on one only or org out over parse parsed parser parsing partial path pattern payload permitted
    please pointer position present primary primitive processed processing properties property provided range re
    read record records reference regex rejected required resend resource review row rows same schema schemas see
    send sent shall short should size smaller some source specified string strings struct structure subschema
    subschemas successfully than that the their there this threshold time timestamp to token too type types unable
    unexpected unique uniqueitems unknown unparsable unreadable unsupported uri url utf uuid valid validate
    validated validation value values violation violations was were when where which while with without wrong xdm
    xdmentity xdmmeta xml you your zero
    """.split()  # noqa: SIM905 - a paragraph of words is easier to look through than a list
)

_NAMING: Final = frozenset(
    (
        "key",
        "keys",
        "field",
        "fields",
        "property",
        "properties",
        "column",
        "columns",
        "attribute",
        "attributes",
        "element",
        "namespace",
    )
)
_COUNTED: Final = frozenset(
    ("error", "errors", "row", "rows", "record", "records", "file", "files", "byte", "bytes", "schema", "threshold")
)

_CHUNK: Final = re.compile(r"""([\[({<"'`]*)(.*?)([\])}>"'`.,:;!?]*)""", re.DOTALL)
_CODE: Final = re.compile(r"[A-Z]{3,12}-\d{3,5}-\d{3}")
_NAME: Final = re.compile(r"(?!.*\d{5})[A-Za-z_$][A-Za-z0-9_$]{0,63}(?:[./:][A-Za-z0-9_$]{1,64}){0,20}")
_STEP: Final = re.compile(r"(?!.*\d{5})[A-Za-z0-9_$:.~-]{1,100}")
_COUNT: Final = re.compile(r"\d{1,15}")
_CODES: Final = re.compile(r"(?![0-9]{7})[A-Za-z0-9_$][A-Za-z0-9_$.-]{0,63}")
_JOINED: Final = re.compile(r"[/,:=\-]")
_RUN: Final = re.compile(rf"{CUT}(?:\s*{CUT})+")


def safe_words(message: str) -> str:
    """The message without the values that it repeats, and no longer than `LONGEST`."""
    chunks = [_parts(chunk) for chunk in message[: 20 * LONGEST].split()]
    kept: list[str] = []
    cut = names_next = False
    for place, (opening, core, closing) in enumerate(chunks):
        following = chunks[place + 1][1].lower() if place + 1 < len(chunks) else ""
        stays = not core or _may_stay(core, following) or (names_next and _NAME.fullmatch(core) is not None)
        cut = cut or not stays
        names_next = not cut and not opening and core.lower() in _NAMING
        kept.append(f"{opening}{core if stays else CUT}{closing}")
    words = _RUN.sub(CUT, " ".join(kept))
    return words if len(words) <= LONGEST else f"{words[:LONGEST].rpartition(' ')[0]} {CUT}"


def safe_pointer(pointer: str) -> str:
    """A JSON pointer without its leading '#', steps that are no field's name or place cut."""
    steps = pointer.removeprefix("#").split("/")[:60]
    return "/".join(step if not step or _STEP.fullmatch(step) else CUT for step in steps)[:LONGEST]


def safe_code(code: object) -> str:
    """A keyword or a code of AEP's; empty for what cannot be one."""
    text = str(code) if isinstance(code, str | int) and not isinstance(code, bool) else ""
    return text if _CODES.fullmatch(text) else ""


def code_within(message: str) -> str:
    """The first code that a message carries; empty for none."""
    found = _CODE.search(message)
    return found[0] if found else ""


def _parts(chunk: str) -> tuple[str, str, str]:
    match = _CHUNK.fullmatch(chunk)
    return (match[1], match[2], match[3]) if match else ("", chunk, "")


def _may_stay(core: str, following: str) -> bool:
    lowered = core.lower()
    return (
        lowered in _VOCABULARY
        or (core.isascii() and all(part in _VOCABULARY for part in _JOINED.split(lowered)))
        or _CODE.fullmatch(core) is not None
        or _is_pointer(core)
        or (following in _COUNTED and _COUNT.fullmatch(core) is not None)
    )


def _is_pointer(core: str) -> bool:
    steps = core.split("/")
    return steps[0] == "#" and all(_STEP.fullmatch(step) for step in steps[1:])
