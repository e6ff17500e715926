"""Second looks at profiles: do those stored conform when read back, and who of the customers has one?

Belongs here: figures over one slice. Does not belong here: making profiles (`profile_making.py`), showing the figures
(`defs`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.parts import in_parts
from capillary_adobe.profile_making import STAGE
from capillary_adobe.profiles.document import CustomerKey
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe.tables import QUARANTINE, XDM_PROFILES
from capillary_adobe.xdm.profiles import ProfileStage
from capillary_adobe.xdm.sampling import ReadBack

_PER_BATCH: Final = 200
_AT_ONCE: Final = 1000


@dataclass
class Coverage:
    """The customers of a slice by how far their profile has come."""

    customers: int = 0
    settled: int = 0
    """A profile of theirs, perhaps an older one, has its outcome; or they were deleted and need none."""
    on_their_way: int = 0
    without: int = 0
    unknown: int = 0
    """They have no document."""


def read_back(lake: Lake, part: Slice, stage: ProfileStage) -> ReadBack:
    """Read a sample of each stored batch and judge it as AEP would; count ids and customers that occur twice."""
    found = ReadBack()
    ids: Counter[str] = Counter()
    for batch in lake.read(XDM_PROFILES, part, ["id", "size", "entity"]):
        found.rows += batch.num_rows
        ids.update(batch.column("id").to_pylist())
        for row in batch.take(list(range(0, batch.num_rows, max(1, batch.num_rows // _PER_BATCH)))).to_pylist():
            found.looked_at += 1
            try:
                record = orjson.loads(row["entity"])
            except orjson.JSONDecodeError:
                found.fault("not_json", "a record is no JSON")
                continue
            for violation in stage.judge(record, row["size"]):
                found.fault(violation.code, violation.words)
    repeated = sum(n - 1 for n in ids.values() if n > 1)
    if repeated:
        found.faults["id_occurs_twice"] = repeated
    return found


def coverage(lake: Lake, state: State, part: Slice, keys: Mapping[CustomerKey, str] | None) -> Coverage:
    """How far the profiles of a slice's customers have come; of the customers with a row where `keys` is None."""
    made: set[CustomerKey] = set()
    for batch in lake.read(XDM_PROFILES, part, ["org_id", "customer_id"]):
        made |= {CustomerKey(*pair) for pair in zip(*(column.to_pylist() for column in batch.columns), strict=True)}
    found, customers, refused = Coverage(), Customers(state), _refused(lake, part) - made
    for some in in_parts(made if keys is None else keys, _AT_ONCE):
        revisions = customers.settled_revisions(some)
        open_ones = [key for key in some if key in revisions and not revisions[key] and key not in made]
        documents = customers.documents(open_ones)
        for key in some:
            found.customers += 1
            if key not in revisions or (key in documents and not documents[key]):
                found.unknown += 1
            elif key in documents or key in refused:
                found.without += 1
            elif key in made:
                found.on_their_way += 1
            else:
                found.settled += 1
    return found


def _refused(lake: Lake, part: Slice) -> set[CustomerKey]:
    """Customers of whom no valid profile could be made."""
    found: set[CustomerKey] = set()
    for batch in lake.read(QUARANTINE, replace(part, stage=STAGE), ["object"]):
        for named in batch.column("object").to_pylist():
            _, org_id, customer_id = named.split("/")
            found.add(CustomerKey(int(org_id), int(customer_id)))
    return found
