"""What an import works with: the organisation whose exports they are said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from capillary_adobe.history_setup import ImportSetup
from capillary_adobe.landing import open_landing_store
from capillary_adobe.profiles.document import CustomerKey, Facts, Stamp
from capillary_adobe.settings import SettingsError
from capillary_adobe.state import Customers, LandedObjects, State

LIVE = "events/2026-11-01/10/1.jsonl"
TOLD = "INSIGHTS_ORG_ID=100485 is no organisation that webhooks have told of; they tell of 7, 100458."


def known(root: Path, *organisations: int, live: bool) -> ImportSetup:
    """The setup where customers of organisations are known, from webhooks or from exports alone."""
    store, state = open_landing_store(str(root / "landing")), State(f"sqlite:///{root}/state.db")
    Customers(state).merge(Facts(CustomerKey(org_id, 5), Stamp(1), {"firstName": "Ann"}) for org_id in organisations)
    store.write(LIVE if live else "history/2026-11-01/1.jsonl", b"{}\n")
    LandedObjects(state).take_day("2026-11-01", store.list("live" if live else "history", "2026-11-01"))
    return ImportSetup.read(store, state)


@pytest.fixture(autouse=True)
def mistyped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTS_ORG_ID", "100485")


def test_a_mistyped_organisation_stops_the_import_that_would_double_everything(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as told:
        known(tmp_path, 7, 100458, live=True)
    assert str(told.value).startswith(TOLD)


def test_one_that_webhooks_have_told_of_is_none(tmp_path: Path) -> None:
    assert known(tmp_path, 7, 100485, live=True).context.org_id == 100485


@pytest.mark.parametrize("organisations", [(), (100458,)])
def test_before_the_first_webhook_nobody_can_tell(tmp_path: Path, organisations: tuple[int, ...]) -> None:
    # Such as after the first import of all, which was mistyped.
    assert known(tmp_path, *organisations, live=False).context.org_id == 100485
