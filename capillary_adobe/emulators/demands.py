"""What the datasets demand of an entity: their schema, and more if somebody asks for more.

Belongs here: the validators of both lanes and the extra schema. Does not belong here: the wording of what they find
(`violations`) and what follows from it (`validation`, `promotion`).

Batch ingestion looks at neither pattern nor format, in the schema of the dataset and in the extra one. The extra schema
lasts until it is taken back or the emulator stops.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import jsonschema_rs

from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.emulators.violations import Violation, violation
from capillary_adobe.xdm.schemas import entity_schema

Lane = Literal["streaming", "batch"]

MOST_VIOLATIONS = 5
"""AEP stops after so many in one record."""

_SKIPPED_BY_BATCH = ("pattern", "format")
_HOLD_SCHEMAS_BY_NAME = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas")
_HOLD_VALUES = ("enum", "const", "default", "examples")
_EMAIL = jsonschema_rs.EmailOptions(require_tld=True, allow_domain_literal=False, allow_display_text=False)


class Demands:
    """The validators of every dataset; threads may share it."""

    def __init__(self, tenant: Tenant) -> None:
        self._datasets: dict[tuple[str, Lane], jsonschema_rs.Validator] = {}
        for dataset_id, dataset in tenant.datasets().items():
            schema = entity_schema("events" if dataset.time_series else "profiles", tenant.tenant_id)
            for lane, validator in _validators(schema).items():
                self._datasets[dataset_id, lane] = validator
        self._extra: dict[Lane, jsonschema_rs.Validator] = {}
        self.extra_schema: dict[str, Any] | None = None

    def demand(self, schema: dict[str, Any] | None) -> None:
        """Demand this of every entity that is validated from now on; None takes it back."""
        self._extra = _validators(schema) if schema is not None else {}
        self.extra_schema = schema

    def violations(self, dataset_id: str, lane: Lane, entity: dict[str, Any]) -> list[Violation]:
        """The first things that speak against an entity."""
        validators = [self._datasets[dataset_id, lane]]
        if extra := self._extra.get(lane):
            validators.append(extra)
        broken = [validator for validator in validators if not validator.is_valid(entity)]
        if not broken:
            return []
        errors = itertools.chain.from_iterable(validator.iter_errors(entity) for validator in broken)
        return [violation(error) for error in itertools.islice(errors, MOST_VIOLATIONS)]


def _validators(schema: dict[str, Any]) -> dict[Lane, jsonschema_rs.Validator]:
    return {
        "streaming": jsonschema_rs.validator_for(schema, validate_formats=True, email_options=_EMAIL),
        "batch": jsonschema_rs.validator_for(_as_batch_reads_it(schema)),
    }


def _as_batch_reads_it(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_as_batch_reads_it(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _member(key, value) for key, value in schema.items() if key not in _SKIPPED_BY_BATCH}


def _member(key: str, value: Any) -> Any:
    if key in _HOLD_VALUES:
        return value
    if key in _HOLD_SCHEMAS_BY_NAME and isinstance(value, dict):
        return {name: _as_batch_reads_it(schema) for name, schema in value.items()}
    return _as_batch_reads_it(value)
