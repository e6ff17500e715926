"""From enriched events to XDM entities, each one valid or in quarantine with its reason.

Belongs here: putting the head of an entity together, calling the mapping, judging the result. Does not belong here:
the mapping itself (`language`), identities and the schema's rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from capillary_adobe.capillary.catalogue import Catalogue, shipped_catalogue
from capillary_adobe.capillary.person import identifiers_of
from capillary_adobe.capillary.values import utc
from capillary_adobe.landing.store import latest_event_ms
from capillary_adobe.profiles.identities import identities_of_event
from capillary_adobe.settings import CapillarySettings, IdentitySettings, TenantSettings, load
from capillary_adobe.spool import Spool
from capillary_adobe.tables import ENRICHED_EVENTS, XDM_EVENTS
from capillary_adobe.xdm.conformance import Conformance, Violation, over_advised
from capillary_adobe.xdm.faults import FaultCounts
from capillary_adobe.xdm.identities import customer_identity, identity_map
from capillary_adobe.xdm.language.additions import identity_fields
from capillary_adobe.xdm.language.compiler import Mapped, compile_rules
from capillary_adobe.xdm.language.rule_lines import RuleLines
from capillary_adobe.xdm.language.rules import GENERIC, Rules


@dataclass
class EntityCounts:
    """What became of the events of a run."""

    entities: int = 0
    bytes: int = 0
    over_advised: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    faults: FaultCounts = field(default_factory=FaultCounts)
    by_event_type: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


class Entity(NamedTuple):
    """An entity and what was noticed on the way."""

    event_type: str
    text: bytes
    unreadable: list[str]
    violations: list[Violation]
    variant: int = 0


# Room for what the inlet wraps around an entity: AEP measures the request, not the entity.
ENVELOPE_BYTES = 2048

LOOKED_UP: Final = "lookedUp"
"""Where a mapping rule finds what is known of an event from elsewhere than its payload."""

_EVENT = {name: place for place, name in enumerate(ENRICHED_EVENTS.names)}
_CARRIED = ("day", "batch_id", "lane", "object", "line", "landed_ms", "event_key", "event_name")


MadeBy = Callable[[str], tuple[str | None, bool]]
"""The fingerprint of the rule that makes an event's entities, and whether it is a draft."""


class EntityStage:
    """The compiled mapping and the rules an entity must keep.

    `schema` is the one that guards, else the shipped one; `identities` are the fields that AEP reads as such, by
    path, with their namespaces, else those that the mapping says are; `policy` says which identities of a customer are
    sent and in which form, else the environment does.
    """

    def __init__(
        self,
        rules: Rules,
        tenant: TenantSettings,
        settings: CapillarySettings,
        catalogue: Catalogue | None = None,
        schema: dict[str, Any] | None = None,
        made_by: MadeBy = lambda _: (None, False),
        identities: Mapping[str, str] | None = None,
        policy: IdentitySettings | None = None,
    ) -> None:
        self._made_by = made_by
        self._catalogue = catalogue or shipped_catalogue()
        self._transforms = compile_rules(rules, tenant.tenant_id)
        self._lines = RuleLines(rules)
        fields = identity_fields(rules, tenant.tenant_id) if identities is None else identities
        self._conformance = Conformance("events", tenant.tenant_id, schema, fields)
        self._with_org = settings.identity_with_org
        self._policy = policy or load(IdentitySettings)
        self._skew_ms = settings.clock_skew_seconds * 1000

    def transform(
        self,
        enriched: Iterable[pa.RecordBatch],
        quarantine: Spool,
        counts: EntityCounts,
        observe: Callable[[tuple[Any, ...], Entity], None] = lambda _row, _entity: None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows of `xdm_events` for enriched rows, in the same order; what fails goes to the spool.

        `observe` is shown each enriched row with its entity.
        """
        for batch in enriched:
            rows = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
            entities = [self.entity(row) for row in rows]
            good = [place for place, entity in enumerate(entities) if not entity.violations]
            for row, entity in zip(rows, entities, strict=True):
                observe(row, entity)
                if entity.violations:
                    self._refuse(row, entity, quarantine, counts)
                else:
                    self._count(entity, counts)
            marks = [self._made_by(rows[place][_EVENT["event_name"]]) for place in good]
            yield _batch(batch, good, [entities[place] for place in good], marks)

    def entity(self, row: tuple[Any, ...]) -> Entity:
        """The entity of one enriched row; it depends on the row alone."""
        unreadable: list[str] = []
        try:
            payload = _with_looked_up(orjson.loads(row[_EVENT["data"]]), row[_EVENT["looked_up"]])
            name = row[_EVENT["event_name"]]
            transform = self._transforms.get(name) or self._transforms[GENERIC]
            identity = customer_identity(row[_EVENT["org_id"]], _person(row), with_org=self._with_org)
            mapped = transform(payload, (*row, identity), unreadable)
            body = self._with_head(row, name, payload, mapped)
            text = orjson.dumps(body)
        except Exception as error:  # noqa: BLE001 - whatever one event does to the mapping, the others go on
            detail, cure = f"the mapping stopped with {type(error).__name__}", "report event type and payload's shape"
            return Entity("", b"", unreadable, [Violation("mapping_failed", "", "mapping", detail, cure=cure)])
        violations = self.judge(body, len(text), row[_EVENT["object"]], row[_EVENT["landed_ms"]])
        return Entity(body["eventType"], text, unreadable, violations, mapped.variant)

    def judge(self, body: dict[str, Any], size: int, key: str, landed_ms: int) -> list[Violation]:
        """What AEP would find wrong with an entity of `size` bytes, landed at `landed_ms` in the object `key`."""
        latest_ms = min(latest_event_ms(key), landed_ms) + self._skew_ms
        return self._conformance.violations(body, size + ENVELOPE_BYTES, latest_ms)

    def _with_head(self, row: tuple[Any, ...], name: str, payload: dict[str, Any], mapped: Mapped) -> dict[str, Any]:
        event_type = self._catalogue.find(name)
        holder = identifiers_of(event_type, payload) if event_type and not mapped.customer_id_only else None
        return {
            "_id": row[_EVENT["event_key"]],
            "timestamp": utc(mapped.timestamp_ms),
            "eventType": mapped.event_type.replace(GENERIC, name[:1].lower() + name[1:]),
            "producedBy": "system",
            "identityMap": identity_map(
                row[_EVENT["org_id"]],
                _person(row),
                identities_of_event(holder),
                self._policy,
                with_org=self._with_org,
                held=row[_EVENT["held_identities"]] or (),
                others=[row[_EVENT["customer_id"]]],
            ),
            **mapped.fields,
        }

    def _count(self, entity: Entity, counts: EntityCounts) -> None:
        counts.entities += 1
        counts.bytes += len(entity.text)
        counts.over_advised += over_advised(len(entity.text))
        counts.by_event_type[entity.event_type] += 1
        counts.unreadable.update(entity.unreadable)

    def _refuse(self, row: tuple[Any, ...], entity: Entity, quarantine: Spool, counts: EntityCounts) -> None:
        first, name = entity.violations[0], row[_EVENT["event_name"]]
        rules = [self.rule_of(name, entity, violation) for violation in entity.violations]
        counts.quarantined[first.code] += 1
        for violation, rule in zip(entity.violations, rules, strict=True):
            counts.faults.add(name, violation, rule)
        carried = {name: row[_EVENT[name]] for name in (*_CARRIED, "part") if name != "landed_ms"}
        quarantine.add(
            {
                **carried,
                "stage": "xdm",
                "code": first.code,
                "detail": "; ".join(violation.words for violation in entity.violations)[:2000],
                "pointer": first.pointer,
                "text": (entity.text or row[_EVENT["data"]].encode())[: 2**20].decode("utf-8", "replace"),
                "category": first.category,
                "keyword": first.keyword,
                "value_type": first.value_type or None,
                "rule": rules[0],
                "cure": first.cure or None,
            }
        )

    def rule_of(self, event: str, entity: Entity, violation: Violation) -> str | None:
        """The line of the mapping that a violation goes back to; None for the head of an entity, which no rule writes."""
        return self._lines.of_variant(event, entity.variant, violation.pointer, violation.category)


def _with_looked_up(payload: Any, looked_up: str | None) -> Any:
    """The payload with what is known from elsewhere, under `lookedUp`, where no payload can say it itself."""
    if type(payload) is dict:
        payload.pop(LOOKED_UP, None)
        if looked_up is not None:
            payload[LOOKED_UP] = orjson.loads(looked_up)
    return payload


def _person(row: tuple[Any, ...]) -> str:
    """The customer whose event it is: after a merge the survivor, not the one whom the event names."""
    return row[_EVENT["person_id"]] or row[_EVENT["customer_id"]]


def _batch(
    enriched: pa.RecordBatch, good: list[int], entities: list[Entity], marks: list[tuple[str | None, bool]]
) -> pa.RecordBatch:
    kept = enriched.take(pa.array(good, pa.int64()))
    columns = [kept.column(name) for name in _CARRIED]
    columns += [
        kept.column("event_key"),
        pa.array([entity.event_type for entity in entities], pa.string()),
        pa.array([len(entity.text) for entity in entities], pa.int64()),
        pa.array([entity.unreadable for entity in entities], XDM_EVENTS.schema.field("unreadable").type),
        pa.array([entity.text for entity in entities], pa.binary()).cast(pa.string()),
        pa.array([rule for rule, _ in marks], pa.string()),
        pa.array([draft for _, draft in marks], pa.bool_()),
        kept.column("waits_for"),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=XDM_EVENTS.schema)
