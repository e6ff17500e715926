"""Drafts as a step tries them, and the check that shows how they fare.

Belongs here: putting a trial together with this installation's settings, the check's spec, words and result. Does not
belong here: trying (`xdm.trying`), which rules are drafts (`mapping_in_force.py`) and publishing (`life_cycle.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from capillary_adobe.defs.checks import claim, result
from capillary_adobe.defs.shown import sample
from capillary_adobe.mapping_in_force import InForce
from capillary_adobe.schema_in_force import Guard
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.tables import XDM_EVENTS
from capillary_adobe.xdm.entities import EntityStage
from capillary_adobe.xdm.language.rule_model import GENERIC, Rules
from capillary_adobe.xdm.trying.drafts import Trial

CHECK = "drafts_conform"


def trial_of(
    force: InForce,
    tenant: TenantSettings,
    settings: CapillarySettings,
    guard_for: Callable[[Rules], Guard],
) -> Trial:
    """The trial of every draft; `guard_for` gives what judges the entities of a mapping."""
    folder = force.folder

    def make_stage() -> EntityStage:
        rules: Rules = {**force.drafts, GENERIC: folder.rules[GENERIC]}
        judge = guard_for(folder.rules)
        return EntityStage(rules, tenant, settings, folder.catalogue, judge.schema, identities=judge.identity_fields)

    rules = {**force.rules, **force.drafts}
    return Trial(force.tried, frozenset(force.drafts), rules, make_stage)


def trial_claim(partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """The claim that no draft failed."""
    return claim(
        XDM_EVENTS.name,
        CHECK,
        "No draft of a mapping rule failed on the run's events, and the tenant's mapping can be used. Drafts are never sent, "
        "so delivery goes on. If it fails, `drafts` names the first causes with their lines, `problem` what could not be used: "
        "mend the mapping folder; `capillary-adobe mapping stages` tells when a draft can go live.",
        partitions,
    )


def trial_result(trial: Trial, force: InForce) -> dg.AssetCheckResult:
    """How the drafts fared."""
    problems = [*force.problems, *([trial.problem] if trial.problem else [])]
    failed = sum(evidence.failed for evidence in trial.found.values())
    return result(
        CHECK,
        passed=not failed and not problems,
        severity=dg.AssetCheckSeverity.WARN,
        failed=failed,
        problem="\n".join(problems) or "none",
        drafts=drafts_shown(trial),
    )


def drafts_shown(trial: Trial) -> dg.MarkdownMetadataValue:
    """A line a draft: what it was tested on in this run, and why it failed first."""
    return sample(
        [
            {
                "event": event,
                "rule": mark,
                "tested": evidence.tested,
                "failed": evidence.failed,
                "first causes": "; ".join(f"{cause}: {n}" for cause, n in evidence.causes.most_common()) or "none",
            }
            for (event, mark), evidence in sorted(trial.found.items())
        ]
    )
