"""An organisation that imports exports: folders, a setup, and files to import.

Belongs here: what the tests of imports share. Does not belong here: assertions.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.insights.places import FoundFile, open_place
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.history_importing import Imported, import_file
from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.landing import open_landing_store
from capillary_adobe.settings import HistorySettings, InsightsSettings, ProfileSettings
from capillary_adobe.state import HistoryFiles, State

ORG = 100458
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
ZONE = ZoneInfo("Asia/Kolkata")
BILLS = "bill_id,user_id,bill_amount,event_date,event_time,line_item_id,item_code,line_item_amount"
TIERS = "id,user_id,event_date,event_time,change_action,slab_name,slab_number,previous_slab_name,program_id"
MEMBERS = "user_id,first_name,current_points,lifetime_points,program_id"


def csv(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def bill(number: int, day: str = "2026-09-01", customer: int = 77, amount: str = "10.50", item: int = 1) -> str:
    return f"{number},{customer},{amount},{day},10:00:00,{number * 100 + item},SKU-{item},5.25"


def tier(number: int, day: str = "2026-09-01", customer: int = 77, name: str = "Gold", program: int = 3) -> str:
    return f"{number},{customer},{day},10:00:00,UPGRADE,{name},2,Silver,{program}"


def zipped(**files: bytes) -> bytes:
    with io.BytesIO() as made:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                # Without the time of day: the same files are the same zip.
                archive.writestr(zipfile.ZipInfo(f"{name}.csv"), content)
        return made.getvalue()


@dataclass
class Importer:
    """Imports in folders of its own; `rules` is the text of a rules file, `said` what was told on the way."""

    root: Path
    state_url: str = ""
    rules: str = "live_from: {default: 2026-11-01}"
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: date = date(2025, 1, 1)
    now: float = NOW
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.arrived.mkdir(parents=True, exist_ok=True)
        self.state_url = self.state_url or f"sqlite:///{self.root}/state.db"
        self.state = State(self.state_url)
        self.files = HistoryFiles(self.state)

    @property
    def arrived(self) -> Path:
        return self.root / "arrived"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def setup(self) -> ImportSetup:
        rules = self.root / "rules.yaml"
        rules.write_text(self.rules)
        read = InsightsRules.read(rules, ZONE)
        return ImportSetup(
            landing=open_landing_store(str(self.root / "landing")),
            state=self.state,
            insights=InsightsSettings(work_folder=self.work, settle_seconds=0, **self.settings),
            rules=read,
            context=read.context(ORG, ZONE, "INR"),
            history=HistorySettings(start=self.start),
            profiles=ProfileSettings(),
            erasure_label="Deleted",
            max_customers=5,
            clock=lambda: self.now,
        )

    def put(self, name: str, content: bytes, changed: float = NOW - 86_400) -> FoundFile:
        path = self.arrived / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (changed, changed))
        return FoundFile(name, len(content), int(changed * 1000))

    def take(self, found: FoundFile, **more: Any) -> Imported:
        setup = self.setup
        return import_file(open_place(str(self.arrived), setup.insights), found, setup, self.said.append, **more)

    def import_(self, name: str, content: bytes, **more: Any) -> Imported:
        return self.take(self.put(name, content), **more)

    def landed(self) -> dict[str, bytes]:
        """What the landing store holds, by key."""
        root = self.root / "landing"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.gz"))}

    def lines(self) -> list[tuple[str, dict[str, Any]]]:
        """Day and line of all that has landed, in the order of the store."""
        return [
            (key.split("/")[1], json.loads(line))
            for key, content in self.landed().items()
            for line in gzip.decompress(content).splitlines()
        ]

    def elsewhere(self, root: Path) -> Importer:
        """The same with nothing imported yet."""
        return replace(self, root=root, state_url="", said=[])
