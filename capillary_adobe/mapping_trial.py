"""Trying the mapping as an operator does: on files of payloads, and two mappings on a sample of real events.

Belongs here: finding the mapping, the schema, the records and the sample. Does not belong here: what is told of them
(`xdm.trying`) and printing (`cli_trial.py`). Nothing is written, neither lake nor state database.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.landing import Record, read_records
from capillary_adobe.mapping_check import ANY_TENANT, SHIPPED, folder_of, judging
from capillary_adobe.mapping_in_force import resolve
from capillary_adobe.settings import CapillarySettings, StorageSettings, TenantSettings, load
from capillary_adobe.state import RuleStages, State
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.language.mapping_files import load_mapping, shipped
from capillary_adobe.xdm.trying.differing import Difference, Side, concerned, differences
from capillary_adobe.xdm.trying.trial import Trial, Tried, enriched_rows

LIVE: Final = "live"
STDIN: Final = "-"
NEWEST_DAYS: Final = 7
"""Days of the lake that a comparison looks into unless it is told which: a rare event must not cost a look at them all."""

_SECONDS: Final = 5
_NAME: Final = ENRICHED_EVENTS.names.index("event_name")


class TrialError(Exception):
    """A trial cannot be made; the text names the cure."""


@dataclass(frozen=True)
class Compared:
    """Two mappings side by side, what they were tried on, and the difference."""

    one: str
    other: str
    sample: str
    difference: Difference


def try_files(files: Iterable[str], path: str | None, schema: str | None) -> tuple[str, Iterator[Tried]]:
    """What the mapping of a folder makes of the records of files, and in words what it was judged by.

    Raises:
        TrialError: a file cannot be read.
        MappingError: the mapping cannot be used.
        SchemaFileError: the schema cannot be used.
        SettingsError: a setting is malformed.
    """
    mapping, against = load_mapping(folder_of(path)), judging(schema)
    trial = Trial(
        mapping.rules,
        mapping.catalogue,
        TenantSettings(tenant_id=against.tenant_id),
        load(CapillarySettings),
        against.content,
    )
    named = list(files)
    for name in named:
        if name != STDIN:
            _opened(name).close()
    return _judged_by(against.told, against.tenant_id), (
        tried for name in named for tried in trial.of(name, _records(name))
    )


def compare(one: str, other: str | None, days: list[str], count: int, file: str | None) -> Compared:
    """Go from one mapping to another on a sample: of a file, else of the newest days of the lake or of those named.

    A mapping is a folder, `shipped` or `live`; without the second, that of MAPPING_PATH is meant.

    Raises:
        TrialError: there is no second mapping, no sample, or a file cannot be read.
        MappingError: a mapping cannot be used.
        LakeError: the lake cannot be read.
        StateError: the state database cannot be read.
    """
    second = other or folder_of(None)
    if second is None:
        raise TrialError("Nothing to compare with: name two mappings, or set MAPPING_PATH.")
    before, after = _side(one), _side(second)
    settings, tenant = load(CapillarySettings), TenantSettings(tenant_id=judging(SHIPPED).tenant_id)
    rows, sample = _sample(before, after, days, count, file, settings)
    return Compared(one, second, sample, differences(before, after, rows, tenant, settings))


def _side(name: str) -> Side:
    if name == SHIPPED:
        return Side(shipped().rules, shipped().catalogue)
    if name != LIVE:
        mapping = load_mapping(name)
        return Side(mapping.rules, mapping.catalogue)
    state = State(load(StorageSettings).state_url)
    look = state.look(_SECONDS)
    stages = {} if look is None or "rule_stages" in look.missing else RuleStages(state).all()
    in_force = resolve(shipped(), stages, drafts=False)
    return Side(in_force.rules, in_force.catalogue)


def _sample(
    before: Side, after: Side, days: list[str], count: int, file: str | None, settings: CapillarySettings
) -> tuple[Iterable[tuple[Any, ...]], str]:
    """Enriched events that the difference may concern, and what they are in words."""
    wanted = concerned(before, after)
    if file is not None:
        known = {*before.rules, *after.rules}
        both = before.catalogue.with_events(after.catalogue)
        records = enriched_rows(file, _records(file), settings, known, both)
        return (row for row in records if wanted(row[_NAME])), f"the events of {_shown(file)}"
    lake = Lake(load(StorageSettings).lake_url)
    present = lake.days(ENRICHED_EVENTS)
    unknown = sorted(set(days) - set(present))
    if unknown:
        raise TrialError(f"The lake holds no enriched events of {unknown[0]}. Days with events: {_listed(present)}.")
    chosen = sorted(days or present[-NEWEST_DAYS:], reverse=True)
    rows = islice(_of_days(lake, chosen, wanted), count)
    if not chosen:
        return rows, "no event, for the lake holds none; give payloads with --file"
    return rows, f"up to {count} events that the change may concern, {chosen[-1]} to {chosen[0]}, newest days first"


def _of_days(lake: Lake, days: list[str], wanted: Callable[[str], bool]) -> Iterator[tuple[Any, ...]]:
    for day in days:
        for batch in lake.read(ENRICHED_EVENTS, Slice(day)):
            kept = batch.filter(pa.array([wanted(name) for name in batch.column(_NAME).to_pylist()], pa.bool_()))
            yield from zip(*(column.to_pylist() for column in kept.columns), strict=True)


def _records(name: str) -> Iterator[Record]:
    with _opened(name) as stream:
        yield from read_records(stream)


def _opened(name: str) -> BinaryIO:
    if name == STDIN:
        return io.BytesIO(sys.stdin.buffer.read())
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise TrialError(
            f"{name} cannot be read ({error.strerror}). Name a file with payloads, or - for input."
        ) from error


def _shown(file: str) -> str:
    return "the input" if file == STDIN else file


def _listed(days: list[str]) -> str:
    return ", ".join(days[-5:]) + (" and earlier ones" if len(days) > 5 else "") if days else "none"


def _judged_by(told: str, tenant_id: str) -> str:
    if tenant_id != ANY_TENANT:
        return f"Judged by {told}."
    return f"Judged by {told}. No ADOBE_TENANT_ID is known here: _{ANY_TENANT} stands for the tenant's object."
