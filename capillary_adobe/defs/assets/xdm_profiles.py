"""Asset `xdm_profiles`: the profiles of the customers that changed, whole, valid and ready to send.

Belongs here: the asset, its checks and their words. Does not belong here: rendering (`xdm.profiles`), whose profile is made
(`profile_making.py`).
"""

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import dagster as dg

from capillary_adobe.adobe.messages import Envelope
from capillary_adobe.defs.by_day import backfill_policy, by_day
from capillary_adobe.defs.checks import claim, result, share_result
from capillary_adobe.defs.day_shown import DayShown
from capillary_adobe.defs.identity_guard import identity_claim, identity_result
from capillary_adobe.defs.microbatch import MicroBatchConfig
from capillary_adobe.defs.resources import LakeResource, StateResource
from capillary_adobe.defs.shown import by_cause, counts, definition_metadata, preview, slice_metadata
from capillary_adobe.environment import adobe_settings, tenant_settings
from capillary_adobe.lake import Lake, Slice
from capillary_adobe.profile_check import Coverage, coverage, read_back
from capillary_adobe.profile_making import ProfileCounts, ProfileMaking, keep_settled
from capillary_adobe.program_names import program_names
from capillary_adobe.settings import CapillarySettings, SettingsError, Thresholds, load
from capillary_adobe.settings.customers import IdentitySettings, ProfileSettings
from capillary_adobe.state import State
from capillary_adobe.tables import XDM_PROFILES
from capillary_adobe.xdm.profiles import ProfileStage

NAME = XDM_PROFILES.name
PREVIEW = ["id", "revision", "newest_ms", "size", "lane", "unreadable"]
NOT_SET_UP = (
    "No profile is made, since ADOBE_PROFILES_SCHEMA_ID, ADOBE_PROFILES_DATASET_ID and ADOBE_PROFILES_FLOW_ID are not known. "
    "Run `capillary-adobe setup`, which makes and records them; then every customer's profile follows."
)


def build_xdm_profiles(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the given partitions."""

    @dg.asset(
        name=NAME,
        partitions_def=partitions,
        backfill_policy=backfill_policy(),
        deps=["customers", "customer_lookups"],
        group_name="delivery",
        kinds={"deltalake", "python", "json"},
        metadata=definition_metadata(XDM_PROFILES),
        code_version="1",
        check_specs=_claims(partitions),
        description=(
            "One row per customer whose profile changed: the whole XDM Individual Profile, made of the customer's merged "
            "document, its JSON valid against the schema and AEP's rules; what fails goes to `quarantine` (stage `profile`). "
            "Only the newest revision is made, so materializing an old partition again sends no old values. Materialize the "
            "partition after `customers`; the job `resend_profiles` has every profile made and sent once more."
        ),
    )
    def xdm_profiles(
        context: dg.AssetExecutionContext, config: MicroBatchConfig, lake: LakeResource, state: StateResource
    ) -> Iterator[Any]:
        stage = cache(lambda: _stage(state.open()))

        def make(day: str) -> DayShown:
            started = time.perf_counter()
            part = config.slice(day)
            tables, database = lake.open(), state.open()
            if not wanted(database):
                return _nothing(tables, database, part)
            identities, profiles = load(IdentitySettings), load(ProfileSettings)
            making = ProfileMaking(tables, database, stage(), identities.max_customers)
            found = ProfileCounts()
            with database.day_lock(part.day):
                keys = making.keys(part)
                making.make(part, keys, time.time_ns() // 1_000_000, round(profiles.spacing_seconds * 1000), found)
                seconds = time.perf_counter() - started
                back = read_back(tables, part, stage())
                covered = coverage(tables, database, part, keys)
            return DayShown(
                metadata={
                    "made": found.made,
                    "kept": found.kept,
                    "nothing_to_send": found.nothing,
                    "profile_bytes": found.bytes,
                    "over_advised_size": found.over_advised,
                    "quarantined": sum(found.quarantined.values()),
                    "unreadable": sum(found.unreadable.values()),
                    "quarantined_by_code": counts("code", found.quarantined),
                    "quarantined_by_cause": by_cause(found.faults.by_cause, found.faults.not_listed),
                    "unreadable_fields": counts("field", found.unreadable),
                    "preview": preview(tables, XDM_PROFILES, part, PREVIEW),
                    **slice_metadata(tables, XDM_PROFILES, part, seconds, found.made + found.kept),
                },
                check_results=[
                    result(
                        "stored_profiles_conform",
                        passed=not back.faults and back.rows == found.made + found.kept,
                        rows=back.rows,
                        looked_at=back.looked_at,
                        faults=counts("fault", back.faults),
                        first_fault=back.first,
                    ),
                    _coverage_result(covered),
                    _known_result(covered),
                    identity_result(tables, database, XDM_PROFILES, part),
                    share_result(
                        "few_profiles_quarantined",
                        sum(found.quarantined.values()),
                        found.made + sum(found.quarantined.values()),
                        load(Thresholds).max_quarantined_share,
                        at_least=load(Thresholds).min_quarantined,
                        by_code=counts("code", found.quarantined),
                        by_cause=by_cause(found.faults.by_cause, found.faults.not_listed),
                    ),
                ],
            )

        yield from by_day(context, config, state.open, make)

    return xdm_profiles


def _stage(state: State) -> ProfileStage:
    return ProfileStage(
        tenant_settings(state),
        load(CapillarySettings),
        load(IdentitySettings),
        load(ProfileSettings),
        program_names(state),
    )


def wanted(state: State) -> bool:
    """Whether there is a dataset for profiles; what else of AEP's is not set, delivery tells."""
    try:
        return Envelope.of_profiles(adobe_settings(state)) is not None
    except SettingsError:
        return False


def _nothing(tables: Lake, state: State, part: Slice) -> DayShown:
    with state.day_lock(part.day):
        keep_settled(tables, state, part)
    return DayShown(
        metadata={
            "made": 0,
            "why": NOT_SET_UP,
            "dagster/partition_row_count": tables.count(XDM_PROFILES, Slice(part.day)),
        },
        check_results=[
            identity_result(tables, state, XDM_PROFILES, part),
            *(
                result(name, passed=True, why=NOT_SET_UP)
                for name in (
                    "stored_profiles_conform",
                    "profile_coverage",
                    "fresh_customers_are_known",
                    "few_profiles_quarantined",
                )
            ),
        ],
    )


def _coverage_result(covered: Coverage) -> dg.AssetCheckResult:
    return result(
        "profile_coverage",
        passed=covered.without == 0,
        severity=dg.AssetCheckSeverity.WARN,
        customers=covered.customers,
        settled=covered.settled,
        on_their_way=covered.on_their_way,
        without=covered.without,
    )


def _known_result(covered: Coverage) -> dg.AssetCheckResult:
    return result(
        "fresh_customers_are_known",
        passed=covered.unknown == 0,
        customers=covered.customers,
        unknown=covered.unknown,
    )


def _claims(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        claim(
            NAME,
            "stored_profiles_conform",
            "A sample of the stored profiles is read back and judged by the schema and AEP's rules, and no id occurs twice. "
            "Blocks delivery: AEP would refuse them later and elsewhere. Look at the first fault, then materialize the "
            "partition from `xdm_profiles` on.",
            partitions,
            blocking=True,
        ),
        claim(
            NAME,
            "profile_coverage",
            "Every customer with an event has a profile that has its outcome at AEP or is on its way. `without` counts "
            "those who have none: look in `quarantine`, stage `profile`, mend the cause, then run the job `resend_profiles`.",
            partitions,
        ),
        claim(
            NAME,
            "fresh_customers_are_known",
            "Every customer with an event has a document. If this fails, a run died before `customers` had merged the events: "
            "materialize the partition from `customers` on.",
            partitions,
        ),
        identity_claim(NAME, partitions),
        claim(
            NAME,
            "few_profiles_quarantined",
            "A warning as soon as a profile of the run is in quarantine, an error above CHECK_MAX_QUARANTINED_SHARE. "
            "`by_cause` names each fault with the line of the mapping and the cure.",
            partitions,
        ),
    ]
