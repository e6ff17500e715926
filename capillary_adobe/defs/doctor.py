"""The doctor's looks at Dagster: the instance, its daemon, its pools.

Belongs here: what only Dagster can tell. Does not belong here: everything else the doctor looks at (`doctor`).
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from capillary_adobe.doctor.findings import LOCAL_SECONDS, Check, Verdict, fail, ok, skipped, warn

_SHIPPED = "Copy dagster.yaml of the repository into the folder that DAGSTER_HOME names, and restart Dagster."
_NEEDS_INSTANCE = "Needs Dagster's instance; `dagster` tells why there is none."


class DagsterLooks:
    """The looks, at one instance."""

    def __init__(self) -> None:
        self._instance: dg.DagsterInstance | None = None

    def checks(self) -> list[Check]:
        """Every look, in order."""
        return [
            # In a new DAGSTER_HOME the first to load the instance makes its databases.
            Check("dagster", self.instance, seconds=LOCAL_SECONDS),
            Check("dagster daemon", self.daemon),
            Check("dagster pools", self.pools),
        ]

    def instance(self) -> Verdict:
        """Whether the instance that DAGSTER_HOME names loads and its storage answers."""
        try:
            instance = dg.DagsterInstance.get()
            instance.get_runs_count()
        except dg.DagsterError as error:
            first = str(error).strip().splitlines()[0].rstrip(". ").replace("$DAGSTER_HOME", "DAGSTER_HOME")
            return fail(
                f"Dagster's instance does not load: {first[:200]}.",
                "Set DAGSTER_HOME to the whole path of a folder that exists, with the repository's dagster.yaml in it.",
            )
        except Exception as error:  # noqa: BLE001 - its storage may be any database, with any driver's errors
            return fail(
                f"The storage of Dagster's instance does not answer ({type(error).__name__}).",
                "Check the `storage` part of dagster.yaml, and that its database runs.",
            )
        self._instance = instance
        return ok(f"Dagster {dg.__version__} loads its instance.")

    def daemon(self) -> Verdict:
        """Whether the daemon lives: without it no micro-batch is asked for."""
        if self._instance is None:
            return skipped(_NEEDS_INSTANCE)
        statuses = self._instance.get_daemon_statuses()
        ill = sorted(name.lower() for name, status in statuses.items() if status.required and not status.healthy)
        if not ill:
            return ok("The daemon is alive.")
        silent = "all of it" if len(ill) == len(statuses) else ", ".join(ill)
        return warn(
            f"The daemon gives no sign of life ({silent}).",
            "Start `dagster-daemon run` with the same DAGSTER_HOME; without it nothing runs by itself.",
        )

    def pools(self) -> Verdict | list[Verdict]:
        """Whether the instance is configured as the shipped dagster.yaml has it, where that matters for delivery."""
        if self._instance is None:
            return skipped(_NEEDS_INSTANCE)
        pools = self._instance.get_concurrency_config().pool_config
        granularity = pools.pool_granularity.value if pools.pool_granularity else "none"
        return judge_pools(granularity, pools.default_pool_limit, self._instance.get_settings("run_monitoring"))


def judge_pools(granularity: str, limit: int | None, monitoring: Any) -> Verdict | list[Verdict]:
    """The verdict on the instance's pools and on what frees a killed run's place in them."""
    faults: list[Verdict] = []
    if granularity != "op":
        faults.append(fail(f"Pools are counted by {granularity}, not by op: their limit does not hold.", _SHIPPED))
    if not limit:
        faults.append(warn("Pools have no default limit: any number of runs delivers at once.", _SHIPPED))
    monitored = type(monitoring) is dict and monitoring.get("enabled")
    if not monitored or not monitoring.get("free_slots_after_run_end_seconds"):
        faults.append(warn("Nothing gives back the pool place of a run that was killed.", _SHIPPED))
    return faults or ok(f"Pools are counted by op, {limit} at once, and a killed run's place is given back.")
