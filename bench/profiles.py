"""How fast profiles are rendered, and made into the table: `python -m bench.profiles [customers]`.

Belongs here: figures of rendering alone and of a whole run over customers that are due. Does not belong here: delivery.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capillary_adobe.lake import Lake, Slice
from capillary_adobe.profile_making import MOST_DUE, ProfileCounts, ProfileMaking
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.settings.customers import IdentitySettings, ProfileSettings
from capillary_adobe.state import State
from capillary_adobe.state.customers import Customers
from capillary_adobe.xdm.profiles import ProfileStage
from capillary_adobe_tests.xdm.documents import FULL

ORG = 100458


def fields(number: int) -> dict[str, Any]:
    """What is known of a customer: all that a profile can hold."""
    own = {
        "email": f"customer{number}@acme-family.com",
        "mobile": f"91965{number:07d}",
        "external_id": f"EXT-{number}",
        "program.973.points": number,
    }
    return FULL | own


def facts(customers: int) -> Iterator[Facts]:
    """One fact a customer."""
    for number in range(1, customers + 1):
        yield Facts(CustomerKey(ORG, number), Stamp(1_795_165_200_000_000 + number), fields(number))


def main(customers: int) -> None:
    """Print the figures."""
    stage = ProfileStage(
        TenantSettings(tenant_id="acme"), CapillarySettings(), IdentitySettings(card="plain"), ProfileSettings()
    )
    documents = [(one.key, one.document) for one in facts(min(customers, 5000))]
    began = time.process_time()
    bytes_ = sum(len(stage.render(key, document).text) for key, document in documents)
    seconds = time.process_time() - began
    print(f"rendered: {len(documents) / seconds:,.0f} profiles per CPU second, {bytes_ // len(documents):,} bytes each")
    with tempfile.TemporaryDirectory() as folder:
        state, lake = State(f"sqlite:///{Path(folder) / 'state.db'}"), Lake(str(Path(folder) / "lake"))
        Customers(state).merge(facts(customers))
        making = ProfileMaking(lake, state, stage, 1)
        keys = dict.fromkeys((CustomerKey(ORG, number) for number in range(1, customers + 1)), "live")
        for told, wanted, part in (
            (f"a slice of {customers:,} customers", keys, Slice("2026-11-20", "b1")),
            (f"{min(customers, MOST_DUE):,} of all who are due", None, Slice("2026-11-20", "lookups-1")),
        ):
            counts = ProfileCounts()
            began, busy = time.perf_counter(), time.process_time()
            making.make(part, wanted, 1_900_000_000_000, 0, counts)
            seconds, busy = time.perf_counter() - began, time.process_time() - busy
            print(f"{told}, into the table: {counts.made / busy:,.0f} profiles per CPU second, {seconds:.1f} s in all")
        state.engine.dispose()
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
