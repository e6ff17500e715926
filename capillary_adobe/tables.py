"""The tables of the lake: their names, columns and what each column means.

Belongs here: one `Table` per Delta table, the single source for the files, for the column schema shown in Dagster and
for the schema checks. Does not belong here: reading and writing (`lake.py`) and the rules that fill the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, whether it must have a value, and its meaning."""

    name: str
    type: pa.DataType
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Table:
    """One Delta table, partitioned by `day`; `bulk` columns hold text that no filter looks into."""

    name: str
    columns: tuple[Column, ...]
    bulk: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema; nullability follows `Column.required`."""
        return pa.schema([pa.field(c.name, c.type, nullable=not c.required) for c in self.columns])

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]


_TEXT = pa.string()
_COUNT = pa.int64()
_MOMENT = pa.int64()

_DAY = Column("day", _TEXT, "Landing day (UTC), the partition: YYYY-MM-DD")
_BATCH = Column("batch_id", _TEXT, "Micro-batch that wrote the row, or `day` for a run over the whole day")
_LANE = Column("lane", _TEXT, "`live` for webhook events, `history` for exports")
_OBJECT = Column("object", _TEXT, "Key of the landed object")
_LINE = Column("line", _COUNT, "Line within the object, from 1")
_PART = Column("part", _COUNT, "Record within the line, from 0; above 0 only where a line holds several")
_LANDED = Column("landed_ms", _MOMENT, "When the object landed, epoch ms")
_EVENT_KEY = Column("event_key", _TEXT, "Idempotency key of the event: hex SHA-256")
_EVENT_NAME = Column("event_name", _TEXT, "Capillary event type, in the catalogue's spelling")

_EVENT_COLUMNS = (
    _DAY,
    _BATCH,
    _LANE,
    _OBJECT,
    _LINE,
    _PART,
    _LANDED,
    _EVENT_KEY,
    _EVENT_NAME,
    Column("event_id", _TEXT, "`eventId` of the envelope", required=False),
    Column("org_id", _COUNT, "Capillary organisation"),
    Column("created_ms", _MOMENT, "When Capillary stored the event, epoch ms"),
    Column("ref_id", _TEXT, "`refId` of the envelope; not unique", required=False),
    Column("api_request_id", _TEXT, "`apiRequestId` of the envelope; shared by a request's events", required=False),
    Column("loyalty_event_id", _TEXT, "`loyaltyEventId` of the envelope", required=False),
    Column(
        "event_log_id", _COUNT, "`eventLogId` of the envelope; puts events of one millisecond in order", required=False
    ),
    Column("customer_id", _TEXT, "Capillary customer the event is about"),
    Column("envelope", _TEXT, "Shape the event arrived in: A to E, or H of a line that an import made"),
    Column("data", _TEXT, "The event's own fields, JSON"),
)

RAW_EVENTS = Table("raw_events", _EVENT_COLUMNS, bulk=("data",))

ENRICHED_EVENTS = Table(
    "enriched_events",
    (
        *_EVENT_COLUMNS,
        Column("store_code", _TEXT, "Code of the store", required=False),
        Column("store_name", _TEXT, "Name of the store", required=False),
        Column("store_external_id", _TEXT, "The brand's own id of the store", required=False),
        Column("till_code", _TEXT, "Code of the till", required=False),
        Column("till_name", _TEXT, "Name of the till", required=False),
        Column("program_id", _TEXT, "Loyalty program", required=False),
        Column("program_name", _TEXT, "Name of the program", required=False),
        Column("tier_number", _COUNT, "Tier after the event", required=False),
        Column("tier_name", _TEXT, "Name of that tier", required=False),
        Column("previous_tier_number", _COUNT, "Tier before the event", required=False),
        Column("previous_tier_name", _TEXT, "Name of that tier", required=False),
        Column(
            "currency", _TEXT, "ISO 4217 code of the amounts: the payload's, else the organisation's", required=False
        ),
        Column("zone", _TEXT, "Zone in which dates without one are read"),
        Column("missing", pa.list_(pa.field("element", _TEXT)), "What the payload should have told and did not"),
        Column(
            "person_id",
            _TEXT,
            "Customer whose profile the event belongs to: after a merge the survivor",
            required=False,
        ),
        Column(
            "held_identities",
            pa.list_(pa.field("element", _TEXT)),
            "Identities of the payload that several customers share, which the entity must not carry",
            required=False,
        ),
        Column(
            "looked_up",
            _TEXT,
            "What is known from elsewhere, JSON: `customer`, the loyalty as of the event, and `transaction`, its details",
            required=False,
        ),
        Column("waits_for", _TEXT, "`customer` or `transaction` while a look-up is awaited", required=False),
    ),
    bulk=("data", "looked_up"),
)

XDM_EVENTS = Table(
    "xdm_events",
    (
        _DAY,
        _BATCH,
        _LANE,
        _OBJECT,
        _LINE,
        _LANDED,
        _EVENT_KEY,
        _EVENT_NAME,
        Column("id", _TEXT, "XDM `_id` of the entity: hex SHA-256"),
        Column("event_type", _TEXT, "XDM `eventType`"),
        Column("size", _COUNT, "Bytes of the entity's JSON"),
        Column(
            "unreadable", pa.list_(pa.field("element", _TEXT)), "Source fields left out because no value could be read"
        ),
        Column("entity", _TEXT, "The XDM entity, JSON, valid and ready to send"),
        Column("rule", _TEXT, "Fingerprint of the mapping rule that made it", required=False),
        Column("draft", pa.bool_(), "True where that rule was a draft, so that the entity is not sent", required=False),
        Column("waits_for", _TEXT, "`customer` or `transaction` while a look-up is awaited", required=False),
    ),
    bulk=("entity",),
)

XDM_PROFILES = Table(
    "xdm_profiles",
    (
        _DAY,
        _BATCH,
        _LANE,
        Column("id", _TEXT, "Id of the record in the ledger: hex SHA-256 of organisation, customer and revision"),
        Column("org_id", _COUNT, "Capillary organisation"),
        Column("customer_id", _COUNT, "Capillary customer"),
        Column("revision", _COUNT, "Revision of the customer's document that the record was made of"),
        Column("newest_ms", _MOMENT, "Source time of the newest value in it, epoch ms"),
        Column("size", _COUNT, "Bytes of the record's JSON"),
        Column("unreadable", pa.list_(pa.field("element", _TEXT)), "Values left out because AEP would not take them"),
        Column("entity", _TEXT, "The XDM record, JSON, whole, valid and ready to send"),
    ),
    bulk=("entity",),
)

INGESTION_STATUS = Table(
    "ingestion_status",
    (
        _DAY,
        _BATCH,
        _LANE,
        _EVENT_NAME,
        _EVENT_KEY,
        Column("id", _TEXT, "XDM `_id` of the entity"),
        Column("kind", _TEXT, "`events` or `profiles`"),
        Column("status", _TEXT, "`accepted`, `rejected`, `failed` or `pending`; of a profile also `superseded`"),
        Column("code", _COUNT, "HTTP status or AEP's status of the message", required=False),
        Column("detail", _TEXT, "AEP's words, or why the entity is still pending", required=False),
        Column("request_id", _TEXT, "Request, file of a batch or verdict that brought it there", required=False),
        Column("aep_id", _TEXT, "Id of the receipt or of the batch at AEP", required=False),
        Column("attempts", _COUNT, "Requests and files that carried it so far"),
        Column(
            "landed_ms", _MOMENT, "When the object landed, epoch ms; of a profile the source time of its newest value"
        ),
        Column(
            "answered_ms", _MOMENT, "When AEP answered, epoch ms; without an answer, when it was sent", required=False
        ),
        Column("cause", _TEXT, "Why AEP refused it, as `capillary-adobe replay --cause` takes it", required=False),
        Column("doubtful", _COUNT, "Sendings whose answer was lost, so that AEP may have taken them", required=False),
    ),
)

QUARANTINE = Table(
    "quarantine",
    (
        _DAY,
        _BATCH,
        _LANE,
        Column(
            "stage", _TEXT, "`raw` for a line, `xdm` for an entity, `profile` for a profile, `aep` for what AEP refused"
        ),
        Column("code", _TEXT, "Reason code; docs/troubleshooting.md has the cure of each"),
        Column("detail", _TEXT, "Plain words, without values"),
        Column("pointer", _TEXT, "Place within the record, a JSON pointer", required=False),
        _OBJECT,
        _LINE,
        _PART,
        Column("event_name", _TEXT, "Event type as sent, if it could be read", required=False),
        Column("event_key", _TEXT, "Idempotency key, if it could be made", required=False),
        Column("event_id", _TEXT, "`eventId` of a line, if it could be read", required=False),
        Column("text", _TEXT, "The original text, whole up to 1 MiB"),
        Column("category", _TEXT, "Kind of fault as AEP sorts them; see docs/troubleshooting.md", required=False),
        Column("keyword", _TEXT, "Keyword of the schema, or the rule, that is broken", required=False),
        Column("value_type", _TEXT, "JSON type of the value at fault; `absent` where there is none", required=False),
        Column("rule", _TEXT, "Line of the mapping that made the value", required=False),
        Column("cure", _TEXT, "What to do about it", required=False),
    ),
    bulk=("text",),
)

SET_ASIDE = Table(
    "set_aside",
    (
        _DAY,
        _BATCH,
        _LANE,
        Column("kind", _TEXT, "`duplicate` or `ignored`"),
        Column("reason", _TEXT, "Why an ignored event is not delivered; for a duplicate, the day of the first landing"),
        _OBJECT,
        _LINE,
        _PART,
        _EVENT_NAME,
        Column("event_key", _TEXT, "Idempotency key", required=False),
        Column("event_id", _TEXT, "`eventId` of the envelope", required=False),
        Column(
            "replaced", pa.bool_(), "True where this line had been taken for the first and gave way to an earlier one"
        ),
    ),
)

TABLES = (RAW_EVENTS, ENRICHED_EVENTS, XDM_EVENTS, XDM_PROFILES, INGESTION_STATUS, QUARANTINE, SET_ASIDE)
