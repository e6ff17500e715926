"""What the datasets demand of an entity: their schema, the rules beyond it, and more if somebody asks for more.

Belongs here: the rules of every dataset in both lanes, kept as long as they hold, and the extra schema. Does not belong
here: how strict a schema is (`strictness`), the rules beyond it (`record_rules`), the wording of what they find
(`violations`) and what follows from it (`validation`, `promotion`).

The rules beyond the schema are applied to what follows the schema. The extra schema lasts until it is taken back or the
emulator stops.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from capillary_adobe.emulators.behaviour import Behaviour
from capillary_adobe.emulators.effective_schema import effective_schema
from capillary_adobe.emulators.namespaces import namespace_by_id
from capillary_adobe.emulators.record_rules import RecordRules
from capillary_adobe.emulators.sandboxes import Resources
from capillary_adobe.emulators.strictness import Lane, of_lane, strict
from capillary_adobe.emulators.targets import Target, Targets
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.violations import Violation, violation

MOST_VIOLATIONS = 5
"""AEP stops after so many in one record."""

_LANES: tuple[Lane, ...] = ("streaming", "batch")
_EMAIL = jsonschema_rs.EmailOptions(require_tld=True, allow_domain_literal=False, allow_display_text=False)
_NO_SCHEMA = Violation("#", "schema", "the dataset or its schema does not exist any more")

Validators = dict[Lane, jsonschema_rs.Validator]


@dataclass(frozen=True)
class _Rules:
    """The rules of a dataset, the schema they were made of, and when that was last looked at."""

    revision: tuple[int, ...]
    looked_at: float
    schema: dict[str, Any] | None
    validators: Validators
    record: RecordRules


class Demands:
    """The rules of every dataset; threads may share it."""

    def __init__(self, tenant: Tenant, behaviour: Behaviour, targets: Targets) -> None:
        self._tenant_id = tenant.tenant_id
        self._cache_seconds = behaviour.schema_cache_seconds
        self._targets = targets
        self._lock = threading.Lock()
        self._rules: dict[str, _Rules] = {}
        self._extra: Validators = {}
        self.extra_schema: dict[str, Any] | None = None

    def demand(self, schema: dict[str, Any] | None) -> None:
        """Demand this of every entity that is validated from now on; None takes it back."""
        self._extra = _validators(schema) if schema is not None else {}
        self.extra_schema = schema

    def violations(self, dataset_id: str, lane: Lane, entity: dict[str, Any], received_ms: int) -> list[Violation]:
        """The first things that speak against an entity that came at a moment."""
        rules = self._of(dataset_id)
        if not rules.validators:
            return [_NO_SCHEMA]
        validators = [rules.validators[lane]]
        if extra := self._extra.get(lane):
            validators.append(extra)
        broken = [validator for validator in validators if not validator.is_valid(entity)]
        if not broken:
            return rules.record.violations(entity, lane, received_ms)[:MOST_VIOLATIONS]
        errors = itertools.chain.from_iterable(validator.iter_errors(entity) for validator in broken)
        return [violation(error) for error in itertools.islice(errors, MOST_VIOLATIONS)]

    def _of(self, dataset_id: str) -> _Rules:
        revision, now = self._targets.revision, time.monotonic()
        rules = self._rules.get(dataset_id)
        if rules is not None and (rules.revision == revision or now - rules.looked_at < self._cache_seconds):
            return rules
        with self._lock:
            rules = self._made(self._targets.get(dataset_id), revision, now, rules)
            self._rules[dataset_id] = rules
        return rules

    def _made(self, target: Target, revision: tuple[int, ...], now: float, before: _Rules | None) -> _Rules:
        resources = self._targets.resources(target)
        if resources is None:
            return _Rules(revision, now, None, {}, RecordRules(time_series=False))
        schema = effective_schema(resources, target.schema_id, self._tenant_id)
        record = _record_rules(target, resources)
        if before is not None and before.schema == schema:
            return _Rules(revision, now, schema, before.validators, record)
        return _Rules(revision, now, schema, _validators(strict(schema)) if schema else {}, record)


def _validators(schema: dict[str, Any]) -> Validators:
    return {
        lane: jsonschema_rs.validator_for(
            of_lane(schema, lane), validate_formats=lane == "streaming", email_options=_EMAIL
        )
        for lane in _LANES
    }


def _record_rules(target: Target, resources: Resources) -> RecordRules:
    fields: dict[str, str] = {}
    primary = None
    for descriptor in resources.all("descriptors"):
        if descriptor["@type"] != "xdm:descriptorIdentity" or descriptor["xdm:sourceSchema"] != target.schema_id:
            continue
        path = descriptor["xdm:sourceProperty"]
        # A namespace may be named by its number too.
        named = str(descriptor["xdm:namespace"])
        by_number = namespace_by_id(resources, named) if descriptor["xdm:property"] == "xdm:id" else None
        fields[path] = by_number["code"] if by_number else named
        primary = path if descriptor.get("xdm:isPrimary") is True else primary
    return RecordRules(target.time_series, fields, primary)
