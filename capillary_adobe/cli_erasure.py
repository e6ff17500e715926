"""`capillary-adobe erasure list`, `show` and `approve`.

Belongs here: their options, what is printed, exit codes. Does not belong here: any work; a command calls one function of
the package.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from capillary_adobe.adobe.hygiene import Hygiene
    from capillary_adobe.erasure_orders import ErasureOrders, LandedLines
    from capillary_adobe.state import ErasureCounts, State, WorkOrder

_SHOWN_IDS = 10


@click.group()
def erasure() -> None:
    """Customers who were deleted at Capillary: what is erased, and the work orders for AEP."""


@erasure.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(*, as_json: bool) -> None:
    """List the work orders, asking AEP how far those are that were approved."""
    from capillary_adobe.settings import SettingsError
    from capillary_adobe.state import Erasures

    state = _state()
    orders = _orders(state)
    if any(one.aep_id for one in orders.all()):
        try:
            hygiene = _hygiene(state)
        except SettingsError as error:
            click.echo(str(error), err=True)
        else:
            for problem in orders.follow(hygiene):
                click.echo(problem, err=True)
    counts, found = Erasures(state).counts(), orders.all()
    if as_json:
        click.echo(json.dumps({"customers": _counts(counts), "orders": [_order(one) for one in found]}, indent=2))
        return
    click.echo(f"{counts.noted} customers deleted at Capillary, {counts.waiting} of them not erased yet.")
    click.echo(_table(found) if found else "No work order for AEP.")


@erasure.command()
@click.argument("order_id", type=int, metavar="ORDER")
@click.option("--json", "as_json", is_flag=True, help="For programs, with every id.")
def show(order_id: int, *, as_json: bool) -> None:
    """Show the work order ORDER as it would be posted, and where landed objects still hold its customers' lines."""
    from capillary_adobe.lake_rewriting import RewritableLake
    from capillary_adobe.landing import open_landing_store
    from capillary_adobe.settings import StorageSettings, load

    storage, orders = load(StorageSettings), _orders(_state())
    body = orders.body(order_id)
    landed = orders.landed(order_id, RewritableLake(storage.lake_url), open_landing_store(storage.landing_url))
    if as_json:
        click.echo(json.dumps({"work_order": body, "landed": [one.as_dict() for one in landed]}, indent=2))
        return
    click.echo(json.dumps(_shortened(body), indent=2))
    click.echo(_landed(landed))


@erasure.command()
@click.argument("order_id", type=int, metavar="ORDER")
@click.option("--yes", is_flag=True, help="Do not ask.")
def approve(order_id: int, *, yes: bool) -> None:
    """Post the work order ORDER to AEP, which then deletes the records of its customers for good."""
    state = _state()
    orders = _orders(state)
    body = orders.body(order_id)
    number = len(body["namespacesIdentities"][0]["IDs"])
    if not yes:
        click.confirm(
            f"AEP deletes the records of {number} customers in dataset {body['datasetId']}. This cannot be undone. Go on?",
            abort=True,
        )
    order = orders.approve(order_id, _hygiene(state))
    click.echo(
        f"AEP has taken order {order_id} as {order.aep_id}: {order.status}. AEP may take up to 30 days; `capillary-adobe "
        "erasure list` says how far it is."
    )


def _state() -> State:
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State

    return State(load(StorageSettings).state_url)


def _orders(state: State) -> ErasureOrders:
    from capillary_adobe.erasure_orders import ErasureOrders
    from capillary_adobe.settings import CapillarySettings, ErasureSettings, load

    return ErasureOrders(state, load(ErasureSettings), load(CapillarySettings))


def _hygiene(state: State) -> Hygiene:
    from capillary_adobe.adobe.hygiene import Hygiene
    from capillary_adobe.adobe.platform import Platform
    from capillary_adobe.adobe.token import shared_token
    from capillary_adobe.environment import adobe_settings

    settings = adobe_settings(state)
    return Hygiene(Platform(settings, shared_token(settings)))


def _counts(counts: ErasureCounts) -> dict[str, Any]:
    return {"deleted": counts.noted, "waiting": counts.waiting, "in_no_order": counts.without_order}


def _order(one: WorkOrder) -> dict[str, Any]:
    return {
        "order": one.order_id,
        "customers": one.customers,
        "prepared": _moment(one.prepared_ms),
        "approved": _moment(one.approved_ms),
        "aep_id": one.aep_id,
        "status": one.status,
    }


def _table(found: list[WorkOrder]) -> str:
    from tabulate import tabulate

    rows = [
        [
            one.order_id,
            one.customers,
            _moment(one.prepared_ms),
            _moment(one.approved_ms) or "waits for approval",
            one.aep_id or "",
            one.status or "",
        ]
        for one in found
    ]
    return tabulate(rows, headers=["order", "customers", "prepared", "approved", "at AEP", "status"], tablefmt="simple")


def _shortened(body: dict[str, Any]) -> dict[str, Any]:
    """The order with a few ids of many."""
    [group] = body["namespacesIdentities"]
    more = len(group["IDs"]) - _SHOWN_IDS
    shown = [*group["IDs"][:_SHOWN_IDS], *([f"… and {more} more; --json shows them"] if more > 0 else [])]
    return {**body, "namespacesIdentities": [{**group, "IDs": shown}]}


def _landed(found: list[LandedLines]) -> str:
    from tabulate import tabulate

    if not found:
        return "No landed object holds a line of these customers any more, as far as the tables know."
    rows = [[one.day, one.object, one.lines] for one in found]
    table = tabulate(rows, headers=["landing day", "object", "lines"], tablefmt="simple")
    return (
        f"{table}\nThese objects stay until the retention of the landing store removes them; they are never rewritten."
    )


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
