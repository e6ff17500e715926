"""Work orders for AEP: what one would say, where a person approves it, and what the landing store still holds.

Belongs here: putting an order together, approving and following it. Does not belong here: erasing (`erasing.py`), AEP's
address and answers (`adobe.hygiene`), what is printed (`cli_erasure.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from capillary_adobe.adobe.errors import DeliveryError
from capillary_adobe.adobe.hygiene import Hygiene, is_over, work_order
from capillary_adobe.erasing_rows import RowFinder
from capillary_adobe.lake_rewriting import RewritableLake
from capillary_adobe.landing import LandingStore
from capillary_adobe.landing.store import LANE_FOLDERS
from capillary_adobe.settings import CapillarySettings, ErasureSettings
from capillary_adobe.state import Erasures, State, WorkOrder, now_ms
from capillary_adobe.state.erasures import ORDERS_LOCK
from capillary_adobe.tables import RAW_EVENTS, SET_ASIDE
from capillary_adobe.xdm.identities import CUSTOMER, customer_identity


class ErasureError(Exception):
    """An order cannot be shown or approved; the text says why and what to do."""


@dataclass(frozen=True)
class LandedLines:
    """Lines of erased customers that a landed object still holds."""

    day: str
    object: str
    lines: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class ErasureOrders:
    """The work orders of an installation."""

    def __init__(self, state: State, erasure: ErasureSettings, capillary: CapillarySettings) -> None:
        self._state = state
        self._erasures = Erasures(state)
        self._settings = erasure
        self._with_org = capillary.identity_with_org

    def all(self) -> list[WorkOrder]:
        """Every order, oldest first."""
        return self._erasures.orders()

    def body(self, order_id: int) -> dict[str, Any]:
        """The order as it would be posted.

        Raises:
            ErasureError: there is none of this number.
        """
        order = self._order(order_id)
        prepared = datetime.fromtimestamp(order.prepared_ms / 1000, UTC).isoformat(timespec="milliseconds")
        ids = [
            customer_identity(key.org_id, key.customer_id, with_org=self._with_org)
            for key in self._erasures.customers_of(order_id)
        ]
        return work_order(
            f"Customers deleted at Capillary, order {order_id} of {prepared.replace('+00:00', 'Z')}",
            f"Delete the records of {order.customers} customers who were deleted at Capillary.",
            CUSTOMER,
            ids,
            self._settings.work_order_dataset,
            self._settings.work_order_action,
        )

    def landed(self, order_id: int, lake: RewritableLake, store: LandingStore) -> list[LandedLines]:
        """The landed objects that still hold lines of the order's customers, as the tables know them.

        Raises:
            ErasureError: there is no such order.
            LakeError, LandingError: tables or landing store cannot be read.
        """
        self._order(order_id)
        keys = self._erasures.customers_of(order_id)
        rows = RowFinder(lake)
        found: list[LandedLines] = []
        for day in lake.days(RAW_EVENTS):
            events = rows.of_customers(day, keys)
            by_object: dict[str, int] = {}
            for table in (RAW_EVENTS, SET_ASIDE):
                for some in events.chunks(500):
                    for batch in rows.with_values(table, day, "event_key", some):
                        for key in batch["object"].to_pylist():
                            by_object[key] = by_object.get(key, 0) + 1
            there = {one.key for lane in LANE_FOLDERS for one in store.list(lane, day)} if by_object else set[str]()
            found += [LandedLines(day, key, n) for key, n in sorted(by_object.items()) if key in there]
        return found

    def approve(self, order_id: int, hygiene: Hygiene) -> WorkOrder:
        """Post an order to AEP; once only, however often it is approved.

        Raises:
            ErasureError: there is no such order, or it was approved before.
            DeliveryError: AEP refuses it, or gives no answer; it can be approved again.
        """
        with self._state.day_lock(ORDERS_LOCK):
            order = self._order(order_id)
            if order.approved_ms is not None:
                raise ErasureError(
                    f"Order {order_id} was approved before, and AEP knows it as {order.aep_id}. `capillary-adobe erasure "
                    "list` says how far it is."
                )
            taken = hygiene.post(self.body(order_id))
            self._erasures.approve(order_id, taken.aep_id, taken.status, now_ms())
        return self._order(order_id)

    def follow(self, hygiene: Hygiene) -> list[str]:
        """Ask AEP how far its open orders are; returns why it could not be asked of some."""
        problems: list[str] = []
        for order in self.all():
            if order.aep_id is None or is_over(order.status or ""):
                continue
            try:
                found = hygiene.look(order.aep_id)
            except DeliveryError as error:
                problems.append(f"Order {order.order_id}: {error}")
            else:
                self._erasures.note_status(order.order_id, found.status, now_ms())
        return problems

    def _order(self, order_id: int) -> WorkOrder:
        order = self._erasures.order(order_id)
        if order is None:
            known = ", ".join(str(one.order_id) for one in self.all()) or "none"
            raise ErasureError(
                f"There is no work order {order_id}. Known: {known}. The job `erase_deleted_customers` prepares them."
            )
        return order
