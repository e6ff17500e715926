"""Asset `schema_conformance`: whether what was sent lately would still pass by the schema that AEP holds now.

Belongs here: the asset, its check and their words. Does not belong here: noticing a change (`defs/schema_sensor.py`) and
judging (`xdm.revalidation`).
"""

from __future__ import annotations

import dagster as dg

from capillary_adobe.adobe import TransientDeliveryError
from capillary_adobe.defs.checks import result
from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import AdobeResource, LakeResource, StateResource
from capillary_adobe.defs.shown import by_cause, counts
from capillary_adobe.environment import adobe_settings
from capillary_adobe.mapping_in_force import in_force
from capillary_adobe.schema_in_force import refreshed
from capillary_adobe.settings import CapillarySettings, MappingSettings, SchemaSettings, load
from capillary_adobe.state import TenantSchemas
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.rule_lines import RuleLines
from capillary_adobe.xdm.revalidation import DAYS, PER_EVENT, Revalidated, revalidate

NAME = "schema_conformance"
GROUP = "schema"
CHECK = "recent_entities_fit_tenant_schema"


def build_schema_conformance() -> dg.AssetsDefinition:
    """The asset; without partitions, since a schema knows nothing of landing days."""

    @dg.asset(
        name=NAME,
        deps=[XDM_EVENTS.name],
        group_name=GROUP,
        kinds={"adobe"},
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=NAME,
                description=(
                    f"Up to {PER_EVENT} entities of each event type, of the last {DAYS} days with any, pass by the schema that "
                    "AEP holds now. If not, the schema was changed in AEP, and events like these go to quarantine from now on: "
                    "`by_cause` names what the change refuses. Take the change back in AEP, or mend the mapping."
                ),
            )
        ],
        description=(
            "A sample of stored entities, judged anew by the schema as AEP shows it. `schema_sensor` asks for it when the "
            "schema has changed; press Materialize to look at once. It sends and moves nothing."
        ),
    )
    def schema_conformance(lake: LakeResource, state: StateResource, adobe: AdobeResource) -> dg.MaterializeResult:
        with told_plainly():
            tables, database = lake.open(), state.open()
            settings = adobe_settings(database)
            known = refreshed(database, settings, adobe.schema_registry(settings), load(SchemaSettings).seconds)
            if known is None or known.content is None or known.sha is None:
                raise TransientDeliveryError(
                    f"AEP's schema of the events could not be fetched. {known.words if known else ''}"
                )
            mapping = in_force(database, load(MappingSettings))
            stage = EntityStage(
                mapping.rules,
                settings,
                load(CapillarySettings),
                mapping.catalogue,
                known.content,
                identities=known.identities,
            )
            found = revalidate(tables, stage, RuleLines(mapping.rules))
            TenantSchemas(database, settings.sandbox_name).checked(known.schema_id, known.sha)
            return dg.MaterializeResult(
                metadata={
                    "schema": known.schema_id,
                    "version": known.version or "unknown",
                    "looked_at": sum(found.looked_at.values()),
                    "would_be_refused": sum((+found.refused).values()),
                    "by_event": counts("event", found.looked_at),
                },
                check_results=[_checked(found, known.version or "unknown")],
            )

    return schema_conformance


def _checked(found: Revalidated, version: str) -> dg.AssetCheckResult:
    refused = +found.refused
    return result(
        CHECK,
        passed=not refused,
        severity=dg.AssetCheckSeverity.WARN,
        version=version,
        looked_at=sum(found.looked_at.values()),
        would_be_refused=sum(refused.values()),
        by_event=counts("event", refused),
        by_cause=by_cause(found.faults.by_cause, found.faults.not_listed),
    )
