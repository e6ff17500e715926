"""The schema in force: which one the validator that guards delivery judges by, and how fresh it is.

Belongs here: asking AEP for the tenant's schema at most every so often, and what counts where AEP cannot be asked. Does not
belong here: the call (`adobe.schema_registry`), the rows (`state.schemas`), making a validator of it (`xdm.tenant_schemas`).

| AEP | the cache | what guards |
| --- | --- | --- |
| shows the schema | | that, from then on |
| cannot be asked, or shows what is no usable schema | has one | the cached one |
| cannot be asked, or shows what is no usable schema | has none | the shipped one with the mapping's additions |
| is not set up | | the shipped one with the mapping's additions, without a call |
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from capillary_adobe.adobe.errors import DeliveryError
from capillary_adobe.adobe.schema_registry import IdentityDescriptor, TenantSchema
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import CachedSchema, State, TenantSchemas
from capillary_adobe.xdm.building_blocks import CLASSES
from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.language.additions import extended_schema, identity_fields
from capillary_adobe.xdm.language.rule_model import Rules
from capillary_adobe.xdm.schemas import Kind
from capillary_adobe.xdm.tenant_schemas import SchemaError, fingerprint

RETRY_SECONDS = 60
"""Pause after a try that brought nothing: an outage must not slow every micro-batch down."""

NOT_SET_UP = "AEP is not set up here, so its schema cannot be fetched."


class Registry(Protocol):
    """Whatever shows a tenant's schema in full."""

    def full(self, schema_id: str) -> TenantSchema:
        """The schema, every reference resolved."""
        ...

    def identity_descriptors(self, schema_id: str) -> list[IdentityDescriptor]:
        """Which of its fields are identities."""
        ...


@dataclass(frozen=True)
class Guard:
    """The schema that guards; `tenants_own` is False for the shipped one.

    `problem` says what keeps the tenant's schema, or a newer version of it, from being used; empty for nothing.
    """

    schema: dict[str, Any]
    identity_fields: dict[str, str]
    tenants_own: bool
    version: str
    fetched_ms: int | None
    problem: str


def guard(rules: Rules, tenant_id: str, asked: CachedSchema | None, kind: Kind = "events") -> Guard:
    """What guards delivery, given what is known of the tenant's schema (`refreshed`); None where AEP is not set up."""
    problem = NOT_SET_UP if asked is None else asked.words
    if asked is not None and asked.content is not None:
        try:
            # What another version of the package could use, this one may not.
            Conformance(kind, tenant_id, asked.content)
        except SchemaError as error:
            problem = _not_used(error)
        else:
            own = asked.content, asked.identities
            problem = problem or _of_another_class(asked.content, kind)
            return Guard(
                *own, tenants_own=True, version=asked.version or "", fetched_ms=asked.fetched_ms, problem=problem
            )
    shipped = extended_schema(kind, tenant_id, rules), identity_fields(rules, tenant_id) if kind == "events" else {}
    return Guard(*shipped, tenants_own=False, version="shipped", fetched_ms=None, problem=problem)


def refreshed(
    state: State, settings: AdobeSettings, registry: Registry, max_age_seconds: float, kind: Kind = "events"
) -> CachedSchema | None:
    """The tenant's schema as AEP showed it within the last seconds, or as it could last be fetched.

    None where the tenant has no schema of this kind. AEP's failure is noted in `words` and never raised.

    Raises:
        StateError: the cache cannot be read or written.
    """
    schema_id = settings.events_schema_id if kind == "events" else settings.profiles_schema_id
    if schema_id is None:
        return None
    cache = TenantSchemas(state, settings.sandbox_name)
    known = cache.read(schema_id)
    if known is None or _now_ms() - known.tried_ms >= 1000 * _pause(known, max_age_seconds):
        _fetch(cache, schema_id, kind, settings.tenant_id, registry)
        known = cache.read(schema_id)
    return known


def renew(
    state: State, sandbox: str, tenant_id: str, schema_id: str, registry: Registry, kind: Kind = "events"
) -> None:
    """Fetch a schema that was just changed, so that nothing is judged by what it lacked. A failure is noted, not raised.

    Raises:
        StateError: the cache cannot be read or written.
    """
    _fetch(TenantSchemas(state, sandbox), schema_id, kind, tenant_id, registry)


def _pause(known: CachedSchema, max_age_seconds: float) -> float:
    return min(RETRY_SECONDS, max_age_seconds) if known.words else max_age_seconds


def _fetch(cache: TenantSchemas, schema_id: str, kind: Kind, tenant_id: str, registry: Registry) -> None:
    try:
        found = registry.full(schema_id)
        identities = {one.path: one.namespace for one in registry.identity_descriptors(schema_id)}
        sha = fingerprint(found.content, identities)
        # Compiled here, so that what is in the cache can always guard.
        Conformance(kind, tenant_id, found.content)
    except DeliveryError as error:
        cache.failed(schema_id, kind, str(error), _now_ms())
    except SchemaError as error:
        cache.failed(schema_id, kind, _not_used(error), _now_ms())
    else:
        cache.keep(schema_id, kind, found.version, found.content, identities, sha, _now_ms())


def _of_another_class(content: dict[str, Any], kind: Kind) -> str:
    """What to say of a schema that is none of this kind; it guards all the same, so that nothing is sent to its dataset."""
    found, wanted = content.get("meta:class"), CLASSES[kind].id
    if found in (None, wanted):
        return ""
    return (
        f"AEP's schema is of the class {found}, where {kind} need {wanted}, so nothing conforms. Correct "
        f"ADOBE_{kind.upper()}_SCHEMA_ID, then materialize `xdm_events` again."
    )


def _not_used(error: SchemaError) -> str:
    return f"AEP's schema is not used: {error}. Look at its last change in AEP, and report it if that is right."


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
