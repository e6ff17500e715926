"""The check of the mapping at every load, as the check of the asset shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from capillary_adobe.emulators.aep import RunningEmulator
from capillary_adobe.tables import QUARANTINE
from capillary_adobe_tests.defs.installation import Installation, summary
from capillary_adobe_tests.defs.rule_stages import DAY, FIELDS, RULES_FILE, OwnMapping, add_fields, own_mapping
from capillary_adobe_tests.defs.test_life_cycle import check_of
from capillary_adobe_tests.defs.test_road import sale

CHECK = "mapping_is_sound"


@pytest.fixture
def tenant(installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OwnMapping:
    return own_mapping(installation, monkeypatch, tmp_path)


def test_the_shipped_mapping_is_sound(installation: Installation, emulator: RunningEmulator) -> None:
    installation.land(f"events/{DAY}/10/1.jsonl", sale(1))
    assert check_of(installation.run(DAY), CHECK) == (True, {"errors": 0, "findings": "none"})


def test_drafts_are_checked_before_an_event_has_met_them(tenant: OwnMapping, emulator: RunningEmulator) -> None:
    installation = tenant.installation
    installation.land(f"events/{DAY}/10/1.jsonl", sale(1))
    passed, told = check_of(installation.run(DAY), CHECK)
    # The schema in AEP has none of the fields yet: two of a draft beside a live rule, one of an event type of its own.
    assert (passed, told["errors"]) == (False, 3)
    assert all(name in told["findings"] for name in ("shoeSize", "favouriteStore", "stamps"))
    assert all(line.startswith("rules.yaml:") for line in told["findings"].splitlines())
    assert summary(emulator.base_url)["by_event_type"] == {"commerce.purchases": 1}
    assert installation.rows(QUARANTINE, DAY) == []
    add_fields(emulator, FIELDS)
    tenant.forget_schema()
    assert check_of(installation.run(DAY), CHECK)[0]


def test_a_rule_that_no_schema_can_hold_is_told_with_its_cure(tenant: OwnMapping, emulator: RunningEmulator) -> None:
    add_fields(emulator, FIELDS)
    tenant.write(rules=RULES_FILE.replace("_tenant.shoeSize", "commerce.order.shoeSize"))
    tenant.installation.land(f"events/{DAY}/10/1.jsonl", sale(1))
    passed, told = check_of(tenant.installation.run(DAY), CHECK)
    assert (passed, told["errors"]) == (False, 1)
    assert told["findings"].startswith("rules.yaml:3:")
