"""A trial of the mapping on payloads of the operator's own: nothing is landed, stored, claimed or sent.

Belongs here: taking records the whole road in memory, and what is told of each. Does not belong here: the road's stages,
and printing (`cli_trial.py`). Values are for the eyes of who gave them: nothing here logs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import orjson

from capillary_adobe.capillary.catalogue import Catalogue
from capillary_adobe.capillary.enrichment import enrich
from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.person import NotDelivered
from capillary_adobe.capillary.raw import raw_batch
from capillary_adobe.capillary.sorting import Candidate, Origin, Sorting
from capillary_adobe.lake import Slice
from capillary_adobe.landing import Record
from capillary_adobe.reasons import IGNORED_REASONS
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.tables import ENRICHED_EVENTS
from capillary_adobe.xdm.entities import Entity, EntityStage
from capillary_adobe.xdm.identities import customer_identity
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.origins import Origins
from capillary_adobe.xdm.language.rule_model import GENERIC, Rules
from capillary_adobe.xdm.trying.source_lines import SourceLine, Went, made_without_payload, source_lines
from capillary_adobe.xdm.trying.tracing import trace

_AT: Final = {name: place for place, name in enumerate(ENRICHED_EVENTS.names)}
_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Fault:
    """What AEP would find wrong with an entity, and the rule to look at."""

    pointer: str
    category: str
    keyword: str
    value_type: str
    code: str
    words: str
    cure: str
    rule: str | None


@dataclass(frozen=True)
class Tried:
    """One record of a file. `outcome` is `mapped`, `failed` (AEP would refuse the entity), `quarantined` or `ignored`."""

    file: str
    line: int
    part: int
    event: str | None
    outcome: str
    code: str = ""
    words: str = ""
    event_type: str = ""
    rule: str | None = None
    entity: dict[str, Any] | None = None
    sources: tuple[SourceLine, ...] = ()
    others: tuple[tuple[str, Went], ...] = ()
    unreadable: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    repeats: tuple[int, int] | None = field(default=None)
    """Line and part of the record before that is the same event, of which only the first is delivered."""

    @property
    def good(self) -> bool:
        """Whether the record would be delivered, or is deliberately not."""
        return self.outcome in ("mapped", "ignored")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _Road:
    """The road up to enriched events, for the records of one file as if they landed now."""

    def __init__(self, file: str, settings: CapillarySettings, mapped: Collection[str], catalogue: Catalogue) -> None:
        moment = datetime.now(UTC)
        self._file = file
        self._settings = settings
        self._sorting = Sorting(settings, mapped, catalogue.find)
        self._origin = Origin("live", moment.strftime("events/%Y-%m-%d/%H/trial"), round(moment.timestamp() * 1000))

    def outcomes(self, records: Iterable[Record]) -> Iterator[Tried | tuple[Any, ...]]:
        """The enriched event of each record, or why there is none; in order."""
        remaining = iter(records)
        while part := list(islice(remaining, _AT_ONCE)):
            sorted_out = [self._sorted(record) for record in part]
            rows = self._enriched([one for one in sorted_out if isinstance(one, Candidate)])
            for one in sorted_out:
                yield next(rows) if isinstance(one, Candidate) else one

    def _sorted(self, record: Record) -> Candidate | Tried:
        name: str | None = None
        try:
            event_type, envelope = self._sorting.event(record, self._origin.lane)
            name = event_type.name
            return self._sorting.candidate(self._origin, record, event_type, envelope)
        except NotAnEvent as refused:
            event = refused.event_name or name
            return Tried(self._file, record.line, record.part, event, "quarantined", refused.code, refused.detail)
        except NotDelivered as ignored:
            words = IGNORED_REASONS.get(ignored.reason, "")
            return Tried(self._file, record.line, record.part, name, "ignored", ignored.reason, words)

    def _enriched(self, candidates: list[Candidate]) -> Iterator[tuple[Any, ...]]:
        if not candidates:
            return
        day = self._origin.key.split("/")[1]
        for batch in enrich([raw_batch(Slice(day), candidates)], self._settings):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def enriched_rows(
    file: str, records: Iterable[Record], settings: CapillarySettings, mapped: Collection[str], catalogue: Catalogue
) -> Iterator[tuple[Any, ...]]:
    """The enriched events of a file as if it landed now, without what is no event to deliver."""
    outcomes = _Road(file, settings, mapped, catalogue).outcomes(records)
    return (one for one in outcomes if not isinstance(one, Tried))


class Trial:
    """One mapping, ready to be tried; `schema` is the tenant's own where that is to judge."""

    def __init__(
        self,
        rules: Rules,
        catalogue: Catalogue,
        tenant: TenantSettings,
        settings: CapillarySettings,
        schema: dict[str, Any] | None = None,
    ) -> None:
        self._rules = rules
        self._catalogue = catalogue
        self._tenant_id = tenant.tenant_id
        self._settings = settings
        judging = schema or extended_schema("events", tenant.tenant_id, rules)
        self._stage = EntityStage(rules, tenant, settings, catalogue, judging)
        self._origins = Origins(rules)

    def of(self, file: str, records: Iterable[Record]) -> Iterator[Tried]:
        """What becomes of the records of a file as if they landed now."""
        seen: dict[str, tuple[int, int]] = {}
        road = _Road(file, self._settings, set(self._rules), self._catalogue)
        for one in road.outcomes(records):
            yield one if isinstance(one, Tried) else self._tried(file, one, seen)

    def _tried(self, file: str, row: tuple[Any, ...], seen: dict[str, tuple[int, int]]) -> Tried:
        name, key = row[_AT["event_name"]], row[_AT["event_key"]]
        place = row[_AT["line"]], row[_AT["part"]]
        entity = self._stage.entity(row)
        body = orjson.loads(entity.text) if entity.text else {}
        told = self._told(row, name, body) if entity.text else ((), ())
        faults = tuple(self._faults(name, entity))
        variant = (self._rules.get(name) or self._rules[GENERIC])[entity.variant]
        first = seen.setdefault(key, place)
        return Tried(
            file,
            *place,
            name,
            "failed" if faults else "mapped",
            faults[0].code if faults else "",
            event_type=entity.event_type,
            rule=variant.place.in_line if variant.place else None,
            entity=body or None,
            sources=told[0],
            others=told[1],
            unreadable=tuple(entity.unreadable),
            faults=faults,
            repeats=first if first != place else None,
        )

    def _told(
        self, row: tuple[Any, ...], name: str, body: dict[str, Any]
    ) -> tuple[tuple[SourceLine, ...], tuple[tuple[str, Went], ...]]:
        data = orjson.loads(row[_AT["data"]])
        with_org = self._settings.identity_with_org
        identity = customer_identity(row[_AT["org_id"]], row[_AT["customer_id"]], with_org=with_org)
        variants = self._rules.get(name) or self._rules[GENERIC]
        found = trace(variants, data, (*row, identity), self._tenant_id)
        event_type = self._catalogue.find(name)
        return tuple(source_lines(data, found.uses, event_type, body)), tuple(made_without_payload(data, found.uses))

    def _faults(self, name: str, entity: Entity) -> Iterator[Fault]:
        for one in entity.violations:
            place = self._origins.place(name, entity.variant, one.pointer)
            yield Fault(
                one.pointer,
                one.category,
                one.keyword,
                one.value_type,
                one.code,
                one.detail,
                one.cure,
                place.in_line if place else None,
            )
