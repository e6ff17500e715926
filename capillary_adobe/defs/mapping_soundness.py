"""The check of the mapping at every load: what is in force and every draft, held against the schema that guards.

Belongs here: the check's spec, words and result. Does not belong here: checking (`xdm.checking`) and how drafts fare on
events (`draft_trial.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dagster as dg

from capillary_adobe.defs.checks import claim, result
from capillary_adobe.mapping_in_force import InForce
from capillary_adobe.schema_in_force import Guard
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe.xdm.checking.mapping import check_mapping, of_error
from capillary_adobe.xdm.language.rule_model import MappingError, Rules

CHECK = "mapping_is_sound"
_MOST_TOLD = 20


def soundness_claim(partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """The claim that the check of the mapping finds no error."""
    return claim(
        XDM_EVENTS.name,
        CHECK,
        "Every rule in force and every draft fits the schema that judges entities, by target, source, unit and identity. A "
        "warning: entities that such a rule makes badly go to quarantine by themselves. `findings` names the line and the "
        "cure of each; `capillary-adobe mapping check` finds the same in a mapping folder. If AEP's schema lacks fields, run "
        "`capillary-adobe setup`.",
        partitions,
    )


def soundness_result(
    force: InForce, tenant_id: str, judge: Guard, guard_for: Callable[[Rules], Guard]
) -> dg.AssetCheckResult:
    """What the check finds; `judge` guards delivery, `guard_for` gives what would guard with other rules."""
    errors = dict.fromkeys(
        [*_errors(force, force.rules, tenant_id, lambda: judge), *_drafts(force, tenant_id, guard_for)]
    )
    told = list(errors)[:_MOST_TOLD]
    more = [f"and {len(errors) - _MOST_TOLD} more"] if len(errors) > _MOST_TOLD else []
    return result(
        CHECK,
        passed=not errors,
        severity=dg.AssetCheckSeverity.WARN,
        errors=len(errors),
        findings="\n".join([*told, *more]) or "none",
    )


def _drafts(force: InForce, tenant_id: str, guard_for: Callable[[Rules], Guard]) -> list[str]:
    return _errors(force, dict(force.drafts), tenant_id, lambda: guard_for(force.folder.rules)) if force.drafts else []


def _errors(force: InForce, rules: Rules, tenant_id: str, judge: Callable[[], Guard]) -> list[str]:
    try:
        found = check_mapping(replace(force.folder, rules=rules), judge().schema, tenant_id)
    except MappingError as error:
        found = of_error(error)
    return [str(finding) for finding in found if finding.severity == "error"]
