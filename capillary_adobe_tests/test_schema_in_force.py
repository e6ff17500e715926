"""Which schema guards: the tenant's, the one fetched last, or the shipped one, and how often AEP is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.schema_registry import IdentityDescriptor, SchemaRegistry, TenantSchema
from capillary_adobe.adobe.token import AccessToken
from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.schema_in_force import NOT_SET_UP, guard, refreshed
from capillary_adobe.settings import AdobeSettings, load
from capillary_adobe.state import CachedSchema, State, TenantSchemas
from capillary_adobe.xdm.conformance import Conformance
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import with_tenant
from capillary_adobe.xdm.language.rules import load_rules

DAY = 86_400.0


@dataclass
class Counted:
    """The emulator's registry, counting how often it is asked."""

    registry: SchemaRegistry
    asked: list[str] = field(default_factory=list)

    def full(self, schema_id: str) -> TenantSchema:
        self.asked.append(schema_id)
        return self.registry.full(schema_id)

    def identity_descriptors(self, schema_id: str) -> list[IdentityDescriptor]:
        return self.registry.identity_descriptors(schema_id)


@dataclass
class Aep:
    """An emulator, the settings for it, and its registry."""

    settings: AdobeSettings
    registry: Counted

    def settings_elsewhere(self) -> Counted:
        """A registry where nothing listens."""
        lost = self.settings.model_copy(update={"platform_url": "http://127.0.0.1:9", "retry_budget_seconds": 0.0})
        return Counted(SchemaRegistry(Platform(lost, AccessToken(self.settings))))

    def add_field(self, name: str, **schema: str) -> None:
        """Somebody adds a field to the tenant's object in AEP."""
        registry, own = self.registry.registry, self.settings.tenant_id
        parts = [part["$ref"] for part in (registry.plain("schemas", self.settings.events_schema_id) or {})["allOf"]]
        [group] = [part for part in parts if f"/{own}/mixins/" in part]
        path = f"/definitions/fields/properties/_{own}/properties/{name}"
        registry.patch("fieldgroups", group, [{"op": "add", "path": path, "value": schema}])


@pytest.fixture
def aep(tmp_path: Path) -> Iterator[Aep]:
    with RunningEmulator(tmp_path / "aep") as emulator:
        values = {name.removeprefix("ADOBE_").lower(): value for name, value in emulator.environment.items()}
        settings = load(AdobeSettings, **values)
        yield Aep(settings, Counted(SchemaRegistry(Platform(settings, AccessToken(settings)))))


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def fetched(state: State, aep: Aep, registry: Counted, max_age_seconds: float) -> CachedSchema:
    found = refreshed(state, aep.settings, registry, max_age_seconds)
    assert found is not None
    return found


def test_the_tenants_schema_guards_and_is_asked_for_once_in_its_time(aep: Aep, state: State) -> None:
    first = fetched(state, aep, aep.registry, DAY)
    assert fetched(state, aep, aep.registry, DAY) == first
    assert aep.registry.asked == [aep.settings.events_schema_id]

    found = guard(load_rules(), aep.settings.tenant_id, first)
    assert (found.tenants_own, found.version, found.problem) == (True, "1.0", "")
    assert found.schema == first.content
    assert found.fetched_ms == first.fetched_ms


def test_a_change_is_another_content(aep: Aep, state: State) -> None:
    first = fetched(state, aep, aep.registry, 0)
    again = fetched(state, aep, aep.registry, 0)
    assert (again.sha, again.version) == (first.sha, first.version)
    aep.add_field("memberId", type="string")
    later = fetched(state, aep, aep.registry, 0)
    assert (later.version, later.sha == first.sha) == ("1.1", False)


def test_without_an_answer_what_was_fetched_last_guards_and_nobody_waits_for_the_next_try(
    aep: Aep, state: State
) -> None:
    fetched(state, aep, aep.registry, DAY)
    nowhere = aep.settings_elsewhere()
    stale = fetched(state, aep, nowhere, 0)
    assert "Schema Registry" in stale.words
    found = guard(load_rules(), aep.settings.tenant_id, stale)
    assert (found.tenants_own, found.version) == (True, "1.0")
    assert found.problem == stale.words

    # Within the pause after a failure AEP is left alone.
    assert fetched(state, aep, nowhere, DAY).tried_ms == stale.tried_ms
    assert len(nowhere.asked) == 1


def test_a_schema_that_cannot_be_compiled_changes_nothing_and_says_so(aep: Aep, state: State) -> None:
    aep.add_field("broken", type="string", pattern="[")
    first = fetched(state, aep, aep.registry, 0)
    assert first.content is None
    assert first.words.startswith("AEP's schema is not used: the schema cannot be compiled")
    assert not guard(load_rules(), aep.settings.tenant_id, first).tenants_own


def test_a_schema_that_another_version_has_kept_and_this_one_cannot_use_does_not_guard(aep: Aep, state: State) -> None:
    schema_id, sandbox = aep.settings.events_schema_id, aep.settings.sandbox_name
    fetched(state, aep, aep.registry, DAY)
    TenantSchemas(state, sandbox).keep(
        schema_id, "events", "1.0", {"type": "object"}, {}, "sha", time.time_ns() // 10**6
    )
    found = guard(load_rules(), aep.settings.tenant_id, fetched(state, aep, aep.registry, DAY))
    assert not found.tenants_own
    assert found.problem.startswith("AEP's schema is not used: the schema describes no object with fields")
    assert found.schema == extended_schema("events", aep.settings.tenant_id, load_rules())


@pytest.mark.parametrize("configured", [True, False])
def test_without_any_schema_of_aep_the_shipped_one_guards_with_the_mappings_own_fields(
    aep: Aep, state: State, configured: bool
) -> None:
    asked = fetched(state, aep, aep.settings_elsewhere(), 0) if configured else None
    shoes = "pointsIssued:\n  fields:\n    _tenant.shoeSize: {from: shoeSize, as: integer}\n"
    rules = with_tenant({"mine.yaml": shoes}).rules
    found = guard(rules, "acme", asked)
    assert (found.tenants_own, found.version, found.fetched_ms) == (False, "shipped", None)
    assert ("Schema Registry" in found.problem) if configured else found.problem == NOT_SET_UP
    assert found.schema == extended_schema("events", "acme", rules)
    judge = Conformance("events", "acme", found.schema, found.identity_fields)
    entity = {"_acme": {"shoeSize": "big"}}
    assert ("wrong_type", "/_acme/shoeSize") in {(one.code, one.pointer) for one in judge.violations(entity, 900)}


def test_where_the_tenant_has_no_profile_schema_nothing_is_asked(aep: Aep, state: State) -> None:
    without = aep.settings.model_copy(update={"profiles_schema_id": None})
    assert refreshed(state, without, aep.registry, 0, "profiles") is None
    assert aep.registry.asked == []
    assert refreshed(state, aep.settings, aep.registry, 0, "profiles") is not None
    assert aep.registry.asked == [aep.settings.profiles_schema_id]


def test_a_schema_of_another_class_is_named_as_the_cause(state: State, aep: Aep) -> None:
    mistyped = aep.settings.model_copy(update={"events_schema_id": aep.settings.profiles_schema_id})
    found = guard(load_rules(), aep.settings.tenant_id, refreshed(state, mistyped, aep.registry, DAY))
    assert found.tenants_own
    assert "is of the class https://ns.adobe.com/xdm/context/profile," in found.problem
    assert "ADOBE_EVENTS_SCHEMA_ID" in found.problem
    right = guard(load_rules(), aep.settings.tenant_id, refreshed(state, aep.settings, aep.registry, DAY))
    assert right.problem == ""
