"""Reconciling a day: what Capillary says it sent against what landed.

Belongs here: gathering both sides and the account of it. Does not belong here: the join and the classes
(`sent_and_landed.py`), reading the log (`capillary.api.delivery_log`), printing (`cli_reconcile.py`).

A day is the UTC day in which Capillary took an event in. What landed is looked for on landing days around it, in the
tables and in the objects that no run has read yet.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from capillary_adobe.balance import Accounts
from capillary_adobe.capillary.api.client import CapillaryApi
from capillary_adobe.capillary.api.delivery_log import KEPT_DAYS, DeliveryLog, Extent
from capillary_adobe.capillary.api.token import credential
from capillary_adobe.capillary.api.webhooks import Webhooks
from capillary_adobe.capillary.event_ids import told_event_id
from capillary_adobe.lake import ROWS_PER_GROUP, Lake, Slice
from capillary_adobe.landing import LandingStore, read_landed
from capillary_adobe.sent_and_landed import LANDED, LOST, Judged, JudgedEvent, Judgement
from capillary_adobe.settings import CapillaryApiSettings, CapillaryLogSettings, WebhookSettings, load
from capillary_adobe.state import State
from capillary_adobe.tables import QUARANTINE, RAW_EVENTS, SET_ASIDE, Table

_DAY_MS = 86_400_000
# The bus takes an event up to 30 s after it was stored; an event of the day's last moment stands in the next day's log.
_CLOSELY_AFTER_MS = 300_000
# A day is seven days of repeats, and exports lie under the day in the organisation's zone.
_LANDING_DAYS = (-1, 8)

_COLUMNS: dict[Table, dict[str, str]] = {
    RAW_EVENTS: {
        "event_id": "event_id",
        "event_name": "event_name",
        "lane": "lane",
        "created_ms": "created_ms",
        "request_id": "api_request_id",
        "ref_id": "ref_id",
    },
    SET_ASIDE: {"event_id": "event_id", "lane": "lane"},
    QUARANTINE: {"event_id": "event_id", "lane": "lane", "stage": "stage"},
}


class ReconcileError(Exception):
    """The day cannot be reconciled; the text says why."""


@dataclass(frozen=True)
class Reconciliation:
    """The account of a day. Counts are of distinct events; `lost` names what is missing and what was given up."""

    day: str
    sent: int
    outcomes: dict[str, int]
    by_event_type: dict[str, dict[str, int]]
    by_http_status: dict[str, dict[str, int]]
    """Events that have not landed, by outcome and last HTTP status."""
    lost: list[JudgedEvent]
    not_in_log: dict[str, dict[str, int]]
    """Events of the day that landed and that the log does not name, by event type and lane."""
    matched_by_request: int
    """Events that landed without an id and were told by type, request and reference."""
    unread_objects: int
    without_event_id: int
    """Records of the landing days that tell no id, or were read before ids were stored."""
    log: Extent = field(default_factory=Extent)
    log_rows: int = 0
    """Rows of the day's log that name an event. More than `sent` where Capillary sent one twice."""
    told_by_capillary: int | None = None
    """Events that Capillary itself counts in the day's log."""

    @property
    def nothing_lost(self) -> bool:
        """Whether everything that was sent has landed, or still may."""
        return not self.lost

    @property
    def doubts(self) -> list[str]:
        """What speaks against having read the whole log of the day, in words."""
        found = []
        given = self.log_rows + self.log.without_id + self.log.unreadable
        if self.told_by_capillary is not None and self.told_by_capillary > given:
            found.append(f"Capillary counts {self.told_by_capillary} events, its log gave {given}")
        live = self.not_in_log_by_lane().get("live", 0)
        if live and not self.sent:
            found.append(
                f"it names no event, and {live} landed live: it may be the log of another webhook than the one that posts here "
                "(CAPILLARY_LOG_CONSUMER_GROUP_ID, CAPILLARY_WEBHOOK_NAME)"
            )
        if self.log.cut_spans:
            found.append(f"{self.log.cut_spans} answers may be cut although no shorter span can be asked for")
        if self.log.strays:
            found.append("the log gave rows of another time than was asked for")
        if self.log.unreadable:
            found.append(f"{self.log.unreadable} rows of the log tell no time or are of no known form")
        if self.log.without_id > self.without_event_id:
            found.append(
                f"{self.log.without_id} events of the log carry no id, and only {self.without_event_id} such records landed"
            )
        return found

    def not_in_log_by_lane(self) -> dict[str, int]:
        """Events that landed and that the log does not name, by lane."""
        lanes: Counter[str] = Counter()
        for counts in self.not_in_log.values():
            lanes.update(counts)
        return dict(lanes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO form."""
        shown = asdict(replace(self, lost=[])) | {"nothing_lost": self.nothing_lost, "doubts": self.doubts}
        return shown | {"lost": [_as_dict(one) for one in self.lost]}


def _as_dict(event: JudgedEvent) -> dict[str, Any]:
    shown = vars(event) | {"ingested": iso(event.ingested_ms), "attempted": iso(event.attempted_ms)}
    del shown["ingested_ms"], shown["attempted_ms"]
    return shown


def iso(ms: int | None) -> str | None:
    """A moment as people read it, UTC."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def not_set_up() -> str:
    """Why Capillary's log cannot be asked, in words; empty where it can.

    Raises:
        SettingsError: of CAPILLARY_API_* only some are set, or one is malformed.
    """
    settings = load(CapillaryApiSettings)
    if settings.url is None and settings.key is None and settings.secret is None:
        return (
            "Capillary's API is not set up, so what it sent cannot be held against what landed: set CAPILLARY_API_URL, "
            "CAPILLARY_API_KEY and CAPILLARY_API_SECRET."
        )
    credential(settings)
    return ""


def open_reconciler(store: LandingStore, lake: Lake, state: State) -> Reconciler:
    """The reconciler of our webhook, by the settings.

    Raises:
        SettingsError: Capillary's API is not set up.
        ReconcileError: Capillary knows no webhook of ours.
        CapillaryApiError: Capillary does not answer or refuses.
    """
    settings = load(CapillaryLogSettings)
    api = CapillaryApi(load(CapillaryApiSettings))
    group = settings.consumer_group_id or _consumer_group(api, load(WebhookSettings).name)
    return Reconciler(
        lambda now_ms: DeliveryLog(api, group, settings.page_rows, now_ms),
        store,
        lake,
        state,
        settle_ms=round(settings.settle_minutes * 60_000),
    )


def _consumer_group(api: CapillaryApi, name: str) -> str:
    named = [one for one in Webhooks(api).all() if one.get("name") == name and one.get("consumerGroupId")]
    # One that somebody deactivated keeps its log.
    named.sort(key=lambda one: not one.get("active", True))
    if not named:
        raise ReconcileError(
            f"Capillary knows no webhook by the name {name} (CAPILLARY_WEBHOOK_NAME). Make it with `capillary-adobe "
            "subscribe`, or set CAPILLARY_LOG_CONSUMER_GROUP_ID to the consumerGroupId of the one that posts here."
        )
    return str(named[0]["consumerGroupId"])


class Reconciler:
    """Reconciles days of one webhook. It only reads, so it may run beside anything else."""

    def __init__(
        self,
        log: Callable[[int], DeliveryLog],
        store: LandingStore,
        lake: Lake,
        state: State,
        *,
        settle_ms: int,
        now_ms: int | None = None,
    ) -> None:
        """`log` gives the log of the webhook as at a moment, epoch ms; younger deliveries than `settle_ms` need not be here."""
        self._now_ms = now_ms if now_ms is not None else time.time_ns() // 1_000_000
        self._log = log(self._now_ms)
        self._store = store
        self._lake = lake
        self._accounts = Accounts(store, lake, state)
        self._settle_ms = settle_ms

    def account(self, day: str, progress: Callable[[str], None] = lambda _: None) -> Reconciliation:
        """The account of a day.

        Raises:
            ReconcileError: the day lies ahead, or so far back that Capillary has dropped its log, or there is no room to
                compare it.
            CapillaryApiError: Capillary does not answer, refuses, or answers in a form that is not known.
            LandingError, LakeError, StateError: one of ours cannot be read.
        """
        start_ms = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
        end_ms = start_ms + _DAY_MS
        self._demand_kept(day, start_ms)
        with _room_for(day), Judgement(start_ms, end_ms, self._now_ms - self._settle_ms) as judgement:
            # In this order: what the log calls delivered had landed before, and an object that is read in between is seen
            # in either place.
            progress(f"Reading Capillary's log of {day}")
            judgement.sent(self._log.sendings(start_ms, min(end_ms + _CLOSELY_AFTER_MS, self._now_ms)))
            told = self._log.told_events(start_ms, min(end_ms, self._now_ms) - 1)
            days = self._landing_days(day)
            unread = [found.key for one in days for found in self._accounts.unread(one)]
            without = _Counted()
            if unread:
                progress(f"Reading {len(unread)} landed objects that no run has read yet")
                judgement.landed(without.nameless(self._unread(unread)))
            for one in days:
                progress(f"Comparing with what landed on {one}")
                for table in _COLUMNS:
                    judgement.landed(without.nameless(self._rows(table, one)))
            judgement.judge()
            by_type = judgement.by_type()
            outcomes = {judged.value: sum(n.get(judged, 0) for n in by_type.values()) for judged in Judged}
            return Reconciliation(
                day=day,
                sent=sum(outcomes.values()),
                outcomes=outcomes,
                by_event_type=by_type,
                by_http_status=judgement.by_status(),
                lost=[event for judged in LOST for event in judgement.events(judged)],
                not_in_log=judgement.not_in_log(),
                matched_by_request=judgement.matched_by_request(),
                unread_objects=len(unread),
                without_event_id=without.records,
                log=self._log.extent,
                log_rows=judgement.log_rows(),
                told_by_capillary=told,
            )

    def _demand_kept(self, day: str, start_ms: int) -> None:
        if start_ms > self._now_ms:
            raise ReconcileError(f"{day} lies ahead; give a day up to today, UTC.")
        if start_ms < self._now_ms - KEPT_DAYS * _DAY_MS:
            raise ReconcileError(
                f"Capillary keeps its delivery log for {KEPT_DAYS} days, so {day} cannot be reconciled any more."
            )

    def _landing_days(self, day: str) -> list[str]:
        today = datetime.fromtimestamp(self._now_ms / 1000, UTC).date()
        first, last = (date.fromisoformat(day) + timedelta(days=away) for away in _LANDING_DAYS)
        return [
            one.isoformat()
            for away in range((last - first).days + 1)
            # Objects of the history lane may lie under a day that has begun elsewhere.
            if (one := first + timedelta(days=away)) <= today + timedelta(days=1)
        ]

    def _rows(self, table: Table, day: str) -> Iterator[pa.RecordBatch]:
        names = _COLUMNS[table]
        for batch in self._lake.read(table, Slice(day), list(names.values())):
            rows = pa.Table.from_batches([batch]).rename_columns(list(names))
            if "stage" in names:
                # Entities in quarantine are events of `raw_events`.
                rows = rows.filter(pc.field("stage") == "raw")
            for missing in LANDED:
                if missing.name not in rows.column_names:
                    rows = rows.append_column(missing, pa.nulls(rows.num_rows, missing.type))
            yield from rows.select(LANDED.names).cast(LANDED).to_batches()

    def _unread(self, keys: list[str]) -> Iterator[pa.RecordBatch]:
        ids: list[str | None] = []
        for key, stream in self._store.staged(keys):
            for record in read_landed(key, stream):
                ids.append(told_event_id(record))
                if len(ids) >= ROWS_PER_GROUP:
                    yield _of_ids(ids)
                    ids = []
        yield _of_ids(ids)


@contextmanager
def _room_for(day: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise ReconcileError(
            f"Comparing {day} needs more room for temporary files than there is in {tempfile.gettempdir()}. Make room there, "
            "or set TMPDIR to a folder that has some."
        ) from error


class _Counted:
    """Counts records without an id as they stream by."""

    def __init__(self) -> None:
        self.records = 0

    def nameless(self, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in rows:
            self.records += batch.column("event_id").null_count
            yield batch


def _of_ids(ids: list[str | None]) -> pa.RecordBatch:
    columns = [pa.array(ids, pa.string()), *(pa.nulls(len(ids), one.type) for one in LANDED if one.name != "event_id")]
    return pa.RecordBatch.from_arrays(columns, schema=LANDED)
