"""What `capillary_delivery_log` told of a day when it was drawn last, for the delivery report.

Belongs here: reading that from Dagster, which alone keeps it. Does not belong here: comparing (`delivery_log.py`), and what
follows from it (`reporting.answers`).
"""

from __future__ import annotations

import dagster as dg

from capillary_adobe.defs.delivery_log import NAME
from capillary_adobe.reporting.figures import SentLog


def sent_log(instance: dg.DagsterInstance, day: str) -> SentLog | None:
    """What it told of a day; None if it was never drawn, or a person reported it in the UI and nothing was compared."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(NAME), asset_partitions=[day])
    records = instance.fetch_materializations(wanted, limit=1).records
    made = records[0].asset_materialization if records else None
    told = {name: value.value for name, value in made.metadata.items()} if made is not None else {}
    if "problem" in told:
        return SentLog(day, problem=str(told["problem"]))
    if "sent" not in told:
        return None

    def number(name: str) -> int:
        found = told.get(name)
        return found if isinstance(found, int) else 0

    return SentLog(
        day,
        sent=number("sent"),
        lost=number("lost_events"),
        on_their_way=number("retrying") + number("just_sent"),
        doubts=str(told.get("doubts", "")),
    )


def sent_log_at_home(day: str) -> SentLog | None:
    """The same of the instance that DAGSTER_HOME names; one that does not answer is told, and hides nothing else."""
    try:
        with dg.DagsterInstance.get() as instance:
            return sent_log(instance, day)
    except Exception as error:  # noqa: BLE001 - its storage may be any database, with any driver's errors
        kind = type(error).__name__
        return SentLog(
            day,
            problem=(
                f"What Capillary says it sent cannot be told: Dagster's instance of DAGSTER_HOME does not answer ({kind}); "
                "`capillary-adobe doctor` tells more"
            ),
        )
