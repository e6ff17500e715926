"""AEP as the judge: entities through the emulator's inlet or batches, and what its validation reports of each.

Belongs here: sending, reading the reports back, and putting both verdicts into one form. Does not belong here: any
expectation.

The two tell a missing or unknown field at different places (AEP at its parent, naming it in words), AEP stops after five
violations, and looks at identities and time only where the schema holds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from capillary_adobe.adobe.causes import category_of, cause_of
from capillary_adobe.emulators.demands import MOST_VIOLATIONS
from capillary_adobe.xdm.schemas import Kind
from capillary_adobe.xdm.violations import Violation
from capillary_adobe_tests.emulators.platform_client import Platform

Json = dict[str, Any]
Judged = tuple[Kind, Json]
Told = tuple[str, str]
"""Pointer and category."""

_MOST_BYTES = 900_000
_BEYOND_THE_SCHEMA = ("identity", "timestamp")
# A schema lets one pass, so that AEP finds it where it finds identities and the future.
_LEAP_SECOND = ("/timestamp", "format")
_NO_IDENTITIES = ("/identityMap", "presence")
_KEY = re.compile(r"key \[(.*)\] (?:not found|is not permitted)")


@dataclass
class Reports:
    """What AEP says of the entities that it refuses, by `key_of`: at once in its answer, or by its validation."""

    at_once: set[bytes] = field(default_factory=set)
    later: dict[bytes, list[Told]] = field(default_factory=dict)


def streamed(platform: Platform, entities: Iterable[Judged]) -> Reports:
    """Send entities to the inlet and read what becomes of them."""
    found = Reports()
    for chunk in _chunks(platform, entities):
        answer = platform.client.send_many(*chunk)
        assert answer.status_code == 207
        told = answer.json()["responses"]
        assert len(told) == len(chunk)
        kind = "events" if chunk[0]["header"]["datasetId"] == platform.events else "profiles"
        found.at_once |= {
            key_of(kind, one["body"]["xdmEntity"])
            for one, item in zip(chunk, told, strict=True)
            if "xactionId" not in item
        }
    platform.validated()
    found.later = dict(_reports(platform))
    return found


def refused_in_batch(platform: Platform, kind: Kind, entities: Iterable[Json]) -> set[bytes]:
    """The entities, by `key_of`, that one batch leaves out."""
    dataset = platform.events if kind == "events" else platform.profiles
    data = b"\n".join(orjson.dumps(entity) for entity in entities)
    batch, _ = platform.ingest(data, datasetId=dataset, enableErrorDiagnostics=True, partialIngestionPercent=100)
    found: set[bytes] = set()
    for file in platform.get(f"export/batches/{batch}/meta", path="row_errors").json()["data"]:
        listed = platform.get(f"export/batches/{batch}/meta", path=f"row_errors/{file['name'].rpartition('/')[2]}")
        for line in listed.content.splitlines():
            row = orjson.loads(line)
            own = {
                name: value for name, value in row.items() if name not in ("_errors", "_filename", "_corrupt_record")
            }
            found.add(key_of(kind, own))
    return found


def key_of(kind: str, entity: Json) -> bytes:
    """What tells two entities apart; what is broken enough could be of either kind."""
    return kind.encode() + orjson.dumps(entity, option=orjson.OPT_SORT_KEYS)


def differing(predicted: list[Violation], reported: list[Told]) -> set[Told]:
    """What only one of the two says, as far as AEP says everything."""
    ours = {(one.pointer, one.category) for one in predicted}
    theirs = _without_what_follows(set(reported), predicted)
    by_schema = {one for one in ours if one[1] not in _BEYOND_THE_SCHEMA and one != _NO_IDENTITIES}
    whole = [part for part in (ours, by_schema, by_schema - {_LEAP_SECOND}) if part] or [ours]
    return min((_apart(part, theirs, whole=len(reported) < MOST_VIOLATIONS) for part in whole), key=len)


def _apart(ours: set[Told], theirs: set[Told], *, whole: bool) -> set[Told]:
    only_theirs = theirs - ours
    if not whole:
        return only_theirs
    # Of several unknown fields of one object AEP names the first.
    told_of = {where.rpartition("/")[0] for where, category in theirs if category == "unknown"}
    said = {
        (where, category) for where, category in ours if category == "unknown" and where.rpartition("/")[0] in told_of
    }
    return only_theirs | (ours - theirs - said)


def _without_what_follows(reported: set[Told], predicted: list[Violation]) -> set[Told]:
    """Where a value is null, empty or of the wrong type, whatever else is said of it says nothing new."""
    first = {one.pointer: one.category for one in predicted if one.code in ("null_value", "empty_value", "wrong_type")}
    return {(where, category) for where, category in reported if first.get(where) in (None, category)} | {
        (where, first[where]) for where, category in reported if where in first and (where, first[where]) in reported
    }


def _chunks(platform: Platform, entities: Iterable[Judged]) -> Iterator[list[Json]]:
    waiting: defaultdict[str, list[Json]] = defaultdict(list)
    sizes: defaultdict[str, int] = defaultdict(int)
    for kind, entity in entities:
        dataset = platform.events if kind == "events" else platform.profiles
        message = platform.message(entity, dataset)
        size = len(orjson.dumps(message)) * 5 // 4
        if sizes[dataset] + size > _MOST_BYTES:
            yield waiting.pop(dataset)
            sizes[dataset] = 0
        waiting[dataset].append(message)
        sizes[dataset] += size
    yield from waiting.values()


def _reports(platform: Platform) -> Iterator[tuple[bytes, list[Told]]]:
    for kind, dataset in (("events", platform.events), ("profiles", platform.profiles)):
        for batch in platform.failed_batches(dataSet=dataset):
            for record in platform.failed_records(batch):
                items = orjson.loads(record["_errors"])["_streamingValidation"]
                yield key_of(kind, orjson.loads(record["body"])["xdmEntity"]), [_told(item) for item in items]


def _told(item: Json) -> Told:
    where, keyword = item["pointerToViolation"].removeprefix("#"), item["keyword"]
    named = _KEY.search(item["message"]) if keyword in ("required", "additionalProperties") else None
    if named:
        where = f"{where}/{named[1].replace('~', '~0').replace('/', '~1')}"
    if keyword == "identity" and where.startswith("/identityMap//"):
        # The fault is the namespace, which both say in their own way.
        where = "/identityMap/"
    return where, category_of(cause_of(keyword, where))
