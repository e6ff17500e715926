"""`capillary-adobe receive`.

Belongs here: the command. Does not belong here: receiving (`landing.receiver`).
"""

from __future__ import annotations

import click


@click.command()
def receive() -> None:
    """Take what Capillary posts to the webhook, and land it in LANDING_URL. Needs RECEIVE_SECRET; stops on Ctrl-C.

    Address, limits and credentials are the RECEIVE_* variables. The log is JSON lines on standard error. /healthz, /readyz
    and /metrics tell how it is.
    """
    from capillary_adobe.landing.receiver.serving import receive as serve
    from capillary_adobe.settings import ReceiverSettings, StorageSettings, load, load_all

    load_all(ReceiverSettings, StorageSettings)
    serve(load(ReceiverSettings), load(StorageSettings).landing_url)
