"""Asset `history_files`: exports of Insights+ as they are found, one partition a version of a file, and what became of each.

Belongs here: the asset, its partitions and their words. Does not belong here: the import (`history_importing.py`), finding
files (`defs/history_sensor.py`) and the checks (`defs/history_checks.py`).
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import dagster as dg
from pydantic import Field

from capillary_adobe.capillary.insights.places import FoundFile, Place, PlaceError, PlaceUnavailable, open_place
from capillary_adobe.capillary.insights.rules import RulesError
from capillary_adobe.capillary.insights.templates import TemplateUnknown
from capillary_adobe.capillary.insights.unreadable import ExportInterrupted, ExportUnreadable
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.history_checks import file_claims, file_results
from capillary_adobe.defs.resources import LandingResource, StateResource
from capillary_adobe.defs.shown import counts, sample, state_table_metadata
from capillary_adobe.history_checks import account_of_file
from capillary_adobe.history_conditions import conditions
from capillary_adobe.history_importing import HistoryImportError, Imported, ImportHindered, import_file
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.settings import InsightsSettings, SettingsError
from capillary_adobe.state.history_files import HistoryFiles
from capillary_adobe.state.history_files import history_files as history_files_table

NAME = "history_files"
GROUP = "history"
HISTORY_FILES = dg.DynamicPartitionsDefinition(name=NAME)
REFUSED_TAG = "capillary_adobe/refused_under"
"""Tag of a run that failed for good: under which settings, so that only others give it another try."""

_FOR_GOOD = (PlaceError, ExportUnreadable, TemplateUnknown, RulesError, SettingsError, HistoryImportError)
_LONGEST_NAME = 100
_UNPLAIN = re.compile(r"[^\w .()+=@/-]|\.(?=\.)")


class ImportConfig(dg.Config):
    """Which file an import takes."""

    location: str = Field(
        default="",
        description=(
            "Path or URL of a file that lies elsewhere than INSIGHTS_URL, as `/srv/exports/2025.zip`, `s3://…` or `sftp://…`; "
            "or of the folder in which lies what the partition names. Empty: it lies at INSIGHTS_URL."
        ),
    )
    again: bool = Field(
        default=False,
        description="Import a version that is imported already once more, as after its objects were removed.",
    )


def partition_key(found: FoundFile) -> str:
    """The partition of a file as found: its name, plain and short, and when it was last changed, UTC."""
    name = _UNPLAIN.sub("_", found.name)
    if name != found.name or len(name) > _LONGEST_NAME:
        # So that two names that look alike then are still two partitions.
        name = f"{name[-_LONGEST_NAME:]} {sha256(found.name.encode()).hexdigest()[:8]}"
    return f"{name} {datetime.fromtimestamp(found.changed_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


_COLUMNS = {
    "version": "SHA-256 of the file's bytes: a changed file is another version",
    "name": "The file's name",
    "place": "Where it was found",
    "size": "Bytes",
    "changed_ms": "When it was changed last, as its place tells",
    "begun_ms": "When its import began",
    "done_ms": "When its import was over",
    "rows": "Rows that the reader counted",
    "failed": "Why its import failed",
    "landing": "Digest of the objects that landed",
}


def build_history_files() -> dg.AssetsDefinition:
    """The asset over the files that were found."""

    @dg.asset(
        name=NAME,
        partitions_def=HISTORY_FILES,
        group_name=GROUP,
        kinds={"csv", "duckdb"},
        metadata=state_table_metadata(history_files_table, _COLUMNS),
        code_version="1",
        check_specs=file_claims(NAME, HISTORY_FILES),
        description=(
            "Exports of Insights+ found at INSIGHTS_URL, one partition a file and change. An import turns the rows of a file "
            "into events under `history/<day>/` of the landing store, and into what is known of customers. Then backfill the "
            "days of `raw_events` and the assets after it. `history_sensor` asks for each new file, and again for what failed. "
            "A failed partition names the cause: mend it, then press Materialize on it, or wait for the sensor. A file that is "
            "imported already is known by its content, and nothing is written twice; `again` in the launchpad does it all "
            "over, as after objects were lost. A file that lies elsewhere: add a partition of any name and set `location`."
        ),
    )
    def history_files(
        context: dg.AssetExecutionContext, config: ImportConfig, landing: LandingResource, state: StateResource
    ) -> dg.MaterializeResult:
        with told_plainly(), _refused_for_good(context):
            started = time.perf_counter()
            setup = ImportSetup.read(landing.open(), state.open())
            place = open_place(config.location or _url(setup.insights), setup.insights)
            found = _named(place, context.partition_key) if config.location else _found(place, context.partition_key)
            imported = import_file(place, found, setup, context.log.info, again=config.again)
            account = account_of_file(imported.file, imported.days, setup.landing)
            return dg.MaterializeResult(
                metadata=_shown(imported, time.perf_counter() - started),
                check_results=file_results(account, imported.days, HistoryFiles(setup.state).days()),
            )

    return history_files


@contextmanager
def _refused_for_good(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Mark a run that failed by its file or the settings, so that the sensor asks for no other that must fail alike."""
    try:
        yield
    except (PlaceUnavailable, ImportHindered, ExportInterrupted):
        raise
    except _FOR_GOOD:
        with suppress(SettingsError):
            context.instance.add_run_tags(context.run.run_id, {REFUSED_TAG: conditions()})
        raise


def _url(settings: InsightsSettings) -> str:
    if settings.url is None:
        raise SettingsError(
            "INSIGHTS_URL is missing. Set it in the environment or in .env: where exports arrive. Or name one file as "
            "`location` in the launchpad."
        )
    return settings.url


def _found(place: Place, key: str) -> FoundFile:
    """The file of INSIGHTS_URL that a partition names."""
    found = next((one for one in place.files() if partition_key(one) == key), None)
    if found is None:
        raise dg.Failure(
            f"INSIGHTS_URL holds no file that is {key}: it was removed, renamed or changed since, and what has changed is a "
            "partition of its own. Put it back, or name the file as `location` in the launchpad.",
            allow_retries=False,
        )
    return found


def _named(place: Place, key: str) -> FoundFile:
    """The file of an address: of several that which the partition names."""
    files = list(place.files())
    found = files[0] if len(files) == 1 else next((one for one in files if partition_key(one) == key), None)
    if found is None:
        raise dg.Failure(
            "`location` must name one file, and is empty or a folder without what the partition names. Write its whole path "
            "or URL.",
            allow_retries=False,
        )
    return found


def _shown(imported: Imported, seconds: float) -> dict[str, Any]:
    days, rows = imported.event_days, imported.file.rows
    return {
        "file": imported.file.name,
        "version": imported.file.version[:12],
        "follows_version": (imported.follows or "none")[:12],
        "already_imported": imported.already,
        "templates": ", ".join(imported.templates) or "none",
        "rows": rows,
        "events": imported.events,
        "quarantined": sum(imported.quarantined.values()),
        "ignored": sum(imported.ignored.values()),
        "events_by_type": counts("event type", imported.by_event_type),
        "quarantined_by_code": counts("code", imported.quarantined),
        "ignored_by_reason": counts("reason", imported.ignored),
        "ignored_files": ", ".join(imported.ignored_files) or "none",
        "first_day": days[0] if days else "none",
        "last_day": days[-1] if days else "none",
        "days": len(days),
        "first_day_before_history_start": imported.first_before_start or "none",
        "totals": sample([{"sum": name, "value": f"{total:f}"} for name, total in imported.totals.items()]),
        "objects": imported.objects,
        "facts_of_customers": imported.facts,
        "changed_customers": imported.changed_customers,
        "file_bytes": imported.file.size,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds, 1) if seconds and not imported.already else 0.0,
    }
