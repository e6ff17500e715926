"""Looks at what the installation stores: landing store, lake, free space, state database.

Belongs here: whether it can be read and written. Does not belong here: what is stored. A look leaves nothing behind.
"""

from __future__ import annotations

import shutil
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

from capillary_adobe.doctor.findings import Verdict, fail, ok, split_cure, warn
from capillary_adobe.lake import Lake
from capillary_adobe.landing import LandingStore, open_landing_store
from capillary_adobe.landing.store import LANE_FOLDERS
from capillary_adobe.object_store import keeps_what_is_there, s3_client
from capillary_adobe.s3_address import ObjectStoreError, S3Address, is_s3
from capillary_adobe.settings import StorageSettings, load
from capillary_adobe.state import State
from capillary_adobe.tables import TABLES

_LITTLE: Final = 5 * 2**30
_TOO_LITTLE: Final = 500 * 2**20
_RIGHTS: Final = "Give the user that runs Dagster the right to it, or name another folder"


def landing() -> Verdict:
    """Whether landed objects can be listed, read, and written where this machine takes them in."""
    url = load(StorageSettings).landing_url
    return _landing_in_bucket(url) if is_s3(url) else _landing_in_folder(url)


def _landing_in_folder(url: str) -> Verdict:
    days = _days_listed_and_read(open_landing_store(url))
    root = Path(url)
    fault = write_fault(root)
    if not root.exists():
        if fault:
            return fail(f"LANDING_URL={url} cannot be made ({fault}).", f"{_RIGHTS} in LANDING_URL.")
        return warn(
            f"LANDING_URL={url} does not exist yet.",
            "Nothing has landed here. Start what writes into it, or correct the address.",
        )
    if not root.is_dir():
        return fail(f"LANDING_URL={url} is no folder.", "Name the folder that events land in.")
    if fault:
        words = f"LANDING_URL={url} can be read and not written ({fault})."
        return warn(words, "Fine where another machine writes into it; else give the user the right to write.")
    return ok(f"LANDING_URL={url} can be read and written; {days} days have landed.")


def _landing_in_bucket(url: str) -> Verdict:
    client = s3_client(connect_seconds=1.5, read_seconds=3, attempts=1)
    days = _days_listed_and_read(open_landing_store(url, client))
    try:
        keeps = keeps_what_is_there(client, S3Address.parse(url, "LANDING_URL"))
    except ObjectStoreError as error:
        words = f"LANDING_URL={url} can be read and not written."
        return warn(words, f"Fine where another machine writes into it; else: {error}")
    words = f"LANDING_URL={url} can be read and written; {days} days have landed"
    if not keeps:
        return warn(
            f"{words}; its store replaces objects although told not to.",
            "Fine while names never repeat, as those of the receiver; else take a store with conditional writes.",
        )
    return ok(f"{words}.")


def _days_listed_and_read(store: LandingStore) -> int:
    """How many days have landed; an object of each lane is opened."""
    days = {day for lane in LANE_FOLDERS for day in store.days(lane)}
    for lane in LANE_FOLDERS:
        for found in islice((one for day in reversed(store.days(lane)) for one in store.list(lane, day)), 1):
            with store.open(found.key) as stream:
                stream.read(1)
    return len(days)


def lake() -> Verdict:
    """Whether the tables can be read and written."""
    url = load(StorageSettings).lake_url
    tables = Lake(url)
    if is_s3(url):
        refused = _refused_for_tables(url)
        if refused:
            return refused
    present = [table for table in TABLES if len(tables.schema(table))]
    fault = "" if is_s3(url) else write_fault(Path(url))
    if fault:
        return fail(f"LAKE_URL={url} cannot be written ({fault}).", f"{_RIGHTS} in LAKE_URL.")
    for table in present:
        stored = set(tables.schema(table).names)
        lost = [column.name for column in table.columns if column.required and column.name not in stored]
        if lost:
            return fail(
                f"The table {table.name} lacks the column {lost[0]}.",
                "Another program or a later version wrote it. Give the installation a folder of its own in LAKE_URL.",
            )
    return ok(f"LAKE_URL={url} can be written; {len(present)} of {len(TABLES)} tables are there.")


def _refused_for_tables(url: str) -> Verdict | None:
    """Why no table may be in a bucket; None where it may. Asked with less patience than the lake has."""
    address = S3Address.parse(url, "LAKE_URL")
    client = s3_client(connect_seconds=1.5, read_seconds=3, attempts=1)
    try:
        keeps = keeps_what_is_there(client, address)
    except ObjectStoreError as error:
        return fail(*split_cure(f"LAKE_URL={error}"))
    if keeps:
        return None
    return fail(
        f"The store of LAKE_URL={url} ignores If-None-Match, so that of two runs at once one would lose its rows.",
        "Name a store with conditional writes in LAKE_URL, such as Amazon S3, or a local folder.",
    )


def disk() -> Verdict:
    """Whether there is room where the installation writes."""
    storage = load(StorageSettings)
    urls = {"LANDING_URL": storage.landing_url, "LAKE_URL": storage.lake_url}
    places = {name: Path(url) for name, url in urls.items() if not is_s3(url)} | {"TMPDIR": _temporary()}
    return judge_space({name: shutil.disk_usage(nearest(path)).free for name, path in places.items()})


def judge_space(free: dict[str, int]) -> Verdict:
    """The verdict on free bytes by place."""
    place, least = min(free.items(), key=lambda one: one[1])
    words = f"{least / 2**30:.1f} GiB are free at {place}."
    cure = (
        "Make room: a run that finds none fails half-way and is repeated. docs/operating.md says what may be deleted."
    )
    if least < _TOO_LITTLE:
        return fail(words, cure)
    return warn(words, cure) if least < _LITTLE else ok(words)


def state() -> Verdict:
    """Whether the state database answers, can be written, and is of this version."""
    found = State(load(StorageSettings).state_url).look(seconds=3)
    if found is None:
        return warn(
            "STATE_URL names a database that does not exist yet.", "The first run makes it; nothing is to be done."
        )
    if found.missing:
        shown = ", ".join(found.missing[:3]) + (" and others" if len(found.missing) > 3 else "")
        return warn(
            f"{found.version} answers and is of an earlier version: it lacks {shown}.",
            "The next run adds it; nothing is to be done.",
        )
    return ok(f"{found.version} answers and has every table.")


def write_fault(folder: Path) -> str:
    """Why nothing can be written into the folder, or into the one that it would be made in; empty where it can."""
    try:
        place = nearest(folder)
        if not place.is_dir():
            return f"{place} is no folder"
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as hidden:
            probe = Path(hidden) / "probe.tmp"
            probe.write_bytes(b"probe")
            if probe.read_bytes() != b"probe":
                return "what was written reads otherwise"
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def nearest(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    whole = path.absolute()
    return next(one for one in (whole, *whole.parents) if one.exists())


def _temporary() -> Path:
    return Path(tempfile.gettempdir())
