"""What a preview shows, and above all what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from capillary_adobe.defs.assets.quarantine import PREVIEW
from capillary_adobe.defs.shown import preview
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.profile_making import STAGE, quarantine_place
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.tables import QUARANTINE

DAY = "2026-11-19"


def test_a_preview_of_quarantine_names_no_customer(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    places = [quarantine_place(CustomerKey(7, 47114711)), "events/2026-11-19/10/1.jsonl"]
    put(lake, *({"stage": STAGE, "object": place, "text": "zelmirabel@quixanthony.org"} for place in places))
    shown = preview(lake, QUARANTINE, Slice(DAY), PREVIEW).value or ""
    assert "47114711" not in shown
    assert "zelmirabel" not in shown
    assert "events/2026-11-19/10/1.jsonl" in shown


def put(lake: Lake, *rows: dict[str, Any]) -> None:
    def usual(column: pa.Field) -> Any:
        return None if column.nullable else 1 if pa.types.is_integer(column.type) else "x"

    whole = [{one.name: usual(one) for one in QUARANTINE.schema} | {"day": DAY} | row for row in rows]
    lake.replace(QUARANTINE, Slice(DAY), pa.Table.from_pylist(whole, QUARANTINE.schema).to_batches())
