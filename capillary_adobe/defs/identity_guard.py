"""Check `no_identity_joins_customers`: what is about to be sent, and which identities several customers share.

Belongs here: the spec, its words, the report without a value. Does not belong here: reading entities back
(`identity_check.py`), the memory of who shares what (`state.identity_uses`).
"""

from __future__ import annotations

from typing import Final

import dagster as dg

from capillary_adobe.defs.checks import claim, result
from capillary_adobe.identity_check import joining
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.settings import IdentitySettings, load
from capillary_adobe.state import State
from capillary_adobe.state.identity_uses import SPANS, FanIn, IdentityUses
from capillary_adobe.tables import Table

CHECK: Final = "no_identity_joins_customers"


def identity_claim(asset: str, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """The claim of an asset whose rows have identities."""
    return claim(
        asset,
        CHECK,
        "No e-mail, phone, external id or card goes out for more customers than IDENTITY_MAX_CUSTOMERS, or AEP would make "
        "one person of them for good. An error blocks delivery: materialize the partition from `customers` on, and report it "
        "if it stays. A warning counts identities that had few enough customers when the entities were made and have more "
        "by now: those that AEP has already are joined there. `fan_in` shows how many customers share an identity, held back "
        "or not; look at it before Profile is enabled.",
        partitions,
        blocking=True,
    )


def identity_result(tables: Lake, state: State, table: Table, part: Slice) -> dg.AssetCheckResult:
    """What the claim comes to for the rows of a slice."""
    settings = load(IdentitySettings)
    uses = IdentityUses(state, settings.max_customers)
    found, shared = joining(tables.read(table, part, ["entity"]), settings, uses), uses.fan_in()
    return result(
        CHECK,
        passed=not found.joined and not found.shared,
        severity=dg.AssetCheckSeverity.ERROR if found.joined else dg.AssetCheckSeverity.WARN,
        looked_at=found.looked_at,
        identities=found.identities,
        joining=found.joined,
        shared_since=found.shared,
        held_back=sum(one.held for one in shared),
        let_through=sum(one.let_through for one in shared),
        worst=max(one.worst for one in shared),
        fan_in=_table(shared),
    )


def _table(shared: list[FanIn]) -> dg.TableMetadataValue:
    """Identities of each kind by how many customers share one."""
    spans = [f"{low}" if low == high else f"{low} to {high}" if high else f"{low} and more" for low, high in SPANS]
    columns = ["identity", *(f"of {span}" for span in spans), "worst", "held back", "let through"]
    records = [
        dg.TableRecord(dict(zip(columns, (one.kind, *one.by_span, one.worst, one.held, one.let_through), strict=True)))
        for one in shared
    ]
    schema = dg.TableSchema(
        columns=[dg.TableColumn(name, type="string" if name == "identity" else "int") for name in columns]
    )
    return dg.MetadataValue.table(records=records, schema=schema)
