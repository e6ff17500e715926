"""Importing a file of history from the command line as a run that stands in the UI.

Belongs here: running the job of imports in this process, and what came of it. Does not belong here: what the job does
(`assets/history_files.py`), imports without Dagster (`history_importing.py`).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster import DagsterError

from capillary_adobe.capillary.insights.places import FoundFile
from capillary_adobe.defs.assets.history_files import HISTORY_FILES, ImportConfig, partition_key
from capillary_adobe.defs.assets.history_files import NAME as FILES
from capillary_adobe.defs.build import IMPORT_JOB, build_defs
from capillary_adobe.history_importing import HistoryImportError, Imported
from capillary_adobe.state import HistoryFiles


def import_as_run(found: FoundFile, location: str, files: HistoryFiles, *, again: bool) -> Imported:
    """Import a file in a run of the instance in DAGSTER_HOME; `location` is where it was found, empty for INSIGHTS_URL.

    Raises:
        HistoryImportError: the run failed; the text is the one that an operator reads in the UI.
    """
    try:
        with dg.DagsterInstance.get() as instance:
            key = partition_key(found)
            instance.add_dynamic_partitions(HISTORY_FILES.name or FILES, [key])
            config = ImportConfig(location=location, again=again)
            quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
            result = (
                build_defs()
                .resolve_job_def(IMPORT_JOB)
                .execute_in_process(
                    instance=instance,
                    partition_key=key,
                    run_config=dg.RunConfig(ops={FILES: config}, loggers=quiet),
                    raise_on_error=False,
                )
            )
    except DagsterError as error:
        raise HistoryImportError(f"Dagster cannot run the import ({error}). Check DAGSTER_HOME.") from error
    if not result.success:
        raise HistoryImportError(_words(result))
    return _imported(_told(result), files)


def _imported(told: dict[str, Any], files: HistoryFiles) -> Imported:
    """What the run told, with the counts that the ledger keeps."""
    file = next(one for one in files.all() if one.version.startswith(told["version"]))
    before = files.before(file)
    first_before_start = told["first_day_before_history_start"]
    return Imported(
        file,
        files.days(file.version),
        already=told["already_imported"],
        follows=before.version if before is not None else None,
        objects=told["objects"],
        facts=told["facts_of_customers"],
        changed_customers=told["changed_customers"],
        ignored_files=told["ignored_files"].split(", ") if told["ignored_files"] != "none" else [],
        first_before_start=None if first_before_start == "none" else first_before_start,
        seconds=told["seconds"],
    )


def _told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def _words(result: dg.ExecuteInProcessResult) -> str:
    failures = (event.step_failure_data for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    told = (failure.user_failure_data for failure in failures)
    words = next((one.description for one in told if one is not None and one.description), None)
    return words or f"Run {result.run_id} failed; the UI shows its events."
