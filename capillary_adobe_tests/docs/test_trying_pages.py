"""What the pages say of `doctor`, `mapping test` and `mapping diff` against the code.

Belongs here: tables that name checks, outcomes and options. Does not belong here: the commands themselves.
"""

from __future__ import annotations

import re

import pytest

from capillary_adobe.cli_trial import diff
from capillary_adobe.defs.doctor import DagsterLooks
from capillary_adobe.doctor.findings import LOCAL_SECONDS, SECONDS
from capillary_adobe.doctor.order import checks
from capillary_adobe.mapping_trial import NEWEST_DAYS
from capillary_adobe.xdm.language.additions import additions
from capillary_adobe.xdm.language.rules import CONVERSIONS, parse_rules
from capillary_adobe.xdm.trying.tracing import Outcome
from capillary_adobe_tests.docs.pages import page, plain, rows, section


def test_every_look_of_the_doctor_is_described_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without it the looks at exports are one line.
    monkeypatch.setenv("INSIGHTS_URL", "exports")
    written = section(page("troubleshooting.md"), "## The doctor")
    described = [name for row in rows(written) for name in re.findall(r"`([^`]+)`", row[0])]
    assert described == [check.name for check in checks(DagsterLooks().checks())]
    assert f"at most {SECONDS:g} seconds" in written
    assert f"at most {LOCAL_SECONDS:g}," in written


def test_every_reason_for_dropping_a_field_is_described() -> None:
    table = [plain(row[0]) for row in rows(section(page("mapping.md"), "## Trying the mapping")) if len(row) == 2]
    told = {plain(str(one)) for one in Outcome if one not in (Outcome.WRITTEN, Outcome.LOOKED_AT)}
    assert told | {"no rule uses it", "only used for", "no identity"} <= set(table)


def test_the_days_of_a_comparison_are_as_described() -> None:
    assert f"the newest {NEWEST_DAYS} days" in section(page("mapping.md"), "## Comparing two mappings")
    [option] = [one for one in diff.params if one.name == "days"]
    assert f"the newest {NEWEST_DAYS} days" in str(getattr(option, "help", ""))


def test_every_conversion_has_its_type_on_the_page() -> None:
    table = rows(section(page("mapping.md"), "### Types of your own fields"))
    by_conversion = {name: row[1] for row in table for name in re.findall(r"`(\w+)`", row[0]) if name in CONVERSIONS}
    assert set(by_conversion) == set(CONVERSIONS)
    words = {"number": "double", "integer": "long", "boolean": "boolean", "string": "string"}
    for name, told in by_conversion.items():
        text = f"pointsIssued:\n  event_type: a.b\n  fields:\n    _tenant.a: {{from: b, as: {name}}}\n"
        schema = additions(parse_rules({"own.yaml": text}))["_tenant"]["properties"]["a"]
        assert told.startswith(schema.get("format", words[schema["type"]]))
