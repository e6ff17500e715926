"""`capillary-adobe profiles`: having profiles made and sent again.

Belongs here: its options, what is printed. Does not belong here: making profiles (`profile_making.py`), sending them.
"""

from __future__ import annotations

import click


@click.group()
def profiles() -> None:
    """The profiles of customers."""


@profiles.command()
@click.option("--org", metavar="ID", type=click.IntRange(0), help="Organisation at Capillary of the customers named.")
@click.option(
    "--customer", "customers", metavar="ID", type=click.IntRange(0), multiple=True, help="Customer; may be repeated."
)
@click.option("--all", "everybody", is_flag=True, help="Every customer.")
def resend(org: int | None, customers: tuple[int, ...], *, everybody: bool) -> None:
    """Have profiles made and sent once more, as they are now.

    For when AEP has lost them, or what profiles hold has changed. They go with the next runs of refresh_customers.
    """
    from capillary_adobe.profiles.document import CustomerKey
    from capillary_adobe.settings import StorageSettings, load
    from capillary_adobe.state import State
    from capillary_adobe.state.customers import Customers

    if everybody == bool(customers):
        raise click.UsageError("Name customers with --org and --customer, or every one with --all.")
    if customers and org is None:
        raise click.UsageError("Give --org too: a customer id says nothing without its organisation.")
    known = Customers(State(load(StorageSettings).state_url))
    keys = None if everybody else [CustomerKey(org or 0, one) for one in customers]
    if keys is not None and (strangers := set(keys) - set(known.settled_revisions(keys))):
        listed = ", ".join(str(one.customer_id) for one in sorted(strangers))
        raise click.ClickException(
            f"Not known in organisation {org}: {listed}. No event and no look-up has told of them."
        )
    asked = known.send_again(keys)
    click.echo(f"{asked} profile{'' if asked == 1 else 's'} will be made and sent again.")
