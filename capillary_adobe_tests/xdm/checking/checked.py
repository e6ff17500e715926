"""Checking a folder of mapping files in a test.

Belongs here: the folder that the tests of the check add to, and how it is checked. Does not belong here: any expectation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from capillary_adobe.xdm.checking.findings import Finding
from capillary_adobe.xdm.checking.mapping import check_mapping
from capillary_adobe.xdm.language.additions import extended_schema
from capillary_adobe.xdm.language.mapping_files import with_tenant

EVENTS = """
wallet:
  walletToppedUp: {}
custom_sources:
  walletToppedUp: [amount, "bonuses[].kind", extra]
  "*": [everywhere]
namespaces: [memberCard]
"""


def check(files: dict[str, str], schema: dict[str, Any] | None = None, only: str | None = None) -> list[Finding]:
    """The findings on a folder; with `only`, on one event alone, which is quicker."""
    mapping = with_tenant({"events.yaml": EVENTS, **files})
    if only is not None:
        mapping = replace(mapping, rules={only: mapping.rules[only]})
    return check_mapping(mapping, schema or extended_schema("events", "acme", mapping.rules), "acme")


def found(fields: str, event: str = "pointsIssued", schema: dict[str, Any] | None = None) -> list[str]:
    """The findings on the fields that are added to an event, the fields beginning in line 3."""
    return [str(one) for one in check({"own.yaml": f"{event}:\n  fields:\n    {fields}\n"}, schema, event)]
