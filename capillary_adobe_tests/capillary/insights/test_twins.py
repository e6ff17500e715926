"""One happening, told by webhook and by export: the same entity, but for what only one of the two can know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.insights.templates import event_types
from capillary_adobe_tests.capillary.insights.becoming import told
from capillary_adobe_tests.capillary.insights.lines import Json, entities, history_line, raw_row
from capillary_adobe_tests.capillary.insights.tellings import Twins
from capillary_adobe_tests.capillary.insights.twins import HAPPENINGS
from capillary_adobe_tests.examples import examples

OWN: Final = "_acme.capillary"

OF_THE_ENVELOPE: Final = {
    f"{OWN}.{name}" for name in ("eventId", "refId", "apiRequestId", "loyaltyEventId", "createdAt")
}
"""What names the delivery and not the happening; an export has none of it, and its `createdAt` is the event's own moment."""
OF_POINTS: Final = {
    # When it happened, and when it was stored.
    "timestamp",
    f"{OWN}.entity.type",
    f"{OWN}.entity.id",
    f"{OWN}.program.isDefault",
    f"{OWN}.program.pointsToCurrencyRatio",
}
OF_BALANCES: Final = {f"{OWN}.points.balance", f"{OWN}.points.lifetime"}

MAY_DIFFER: Final[dict[str, set[str]]] = {
    "transactionAdded": OF_THE_ENVELOPE,
    "pointsIssued": OF_THE_ENVELOPE
    | OF_POINTS
    | OF_BALANCES
    | {f"{OWN}.points.promised[].{name}" for name in ("conversionDate", "externalTrigger")},
    "pointsRedeemed": OF_THE_ENVELOPE
    | OF_POINTS
    | {f"{OWN}.points.balance", f"{OWN}.redemption.redemptionId", f"{OWN}.redemption.isGroup"}
    # The redemption's own text id is in no export; the bill's number, which the payload has elsewhere, is.
    | {f"{OWN}.trigger.name", f"{OWN}.trigger.identifiers[].key", f"{OWN}.trigger.identifiers[].value"},
    "pointsExpired": OF_THE_ENVELOPE | OF_POINTS,
    "issuedPointsReversed": OF_THE_ENVELOPE | OF_POINTS | OF_BALANCES,
    "redeemedPointsReversed": OF_THE_ENVELOPE | OF_POINTS | {f"{OWN}.points.balance"},
    "pointsTransferredInitiated": OF_THE_ENVELOPE | OF_POINTS | {f"{OWN}.points.balance"},
    "manualPointsAdjustment": OF_THE_ENVELOPE | {"timestamp"},
    "tierUpgraded": OF_THE_ENVELOPE | OF_POINTS | {f"{OWN}.tier.number", f"{OWN}.tier.previousNumber"},
    "tierDowngraded": OF_THE_ENVELOPE | OF_POINTS | {f"{OWN}.tier.number", f"{OWN}.tier.previousNumber"},
    "tierRenewed": OF_THE_ENVELOPE | OF_POINTS | {f"{OWN}.tier.number"},
    "loyaltyCustomerMerge": OF_THE_ENVELOPE | {"timestamp", f"{OWN}.trigger.name"},
}
"""The paths that may differ, by event type; docs/history.md says why. Numbers of tiers do where rows have names alone."""

SHARED: Final = {"transactionAdded", "pointsRedeemed", "loyaltyCustomerMerge"}


class Both(NamedTuple):
    """The entities of webhook and export, and their event keys."""

    live: Json
    exported: Json
    live_key: str
    exported_key: str

    @property
    def different(self) -> set[str]:
        return set(differences(self.live, self.exported))


def both(some: list[Twins], shared: tuple[str, ...] = ()) -> list[Both]:
    events = [told(one.template, *one.rows) for one in some]
    assert [event.event_name for event in events] == [one.event_name for one in some]
    live = [raw_row(one.webhook, "live", shared) for one in some]
    exported = [
        raw_row(history_line(event, one.template), "history", shared) for one, event in zip(some, events, strict=True)
    ]
    # In one go: each enrichment opens a database.
    made = entities(
        [
            *((row, one.details) for row, one in zip(live, some, strict=True)),
            *((row, event.data.get("exported")) for row, event in zip(exported, events, strict=True)),
        ]
    )
    keys = ([row["event_key"] for row in rows] for rows in (live, exported))
    return [Both(*four) for four in zip(made[: len(some)], made[len(some) :], *keys, strict=True)]


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The paths at which two values differ; `[]` stands for every element."""
    if isinstance(one, dict) or isinstance(other, dict):
        ours, theirs = (value if isinstance(value, dict) else {} for value in (one, other))
        for name in ours.keys() | theirs.keys():
            yield from differences(ours.get(name), theirs.get(name), f"{path}.{name}" if path else name)
    elif isinstance(one, list) or isinstance(other, list):
        ours, theirs = (value if isinstance(value, list) else [] for value in (one, other))
        for place in range(max(len(ours), len(theirs))):
            mine, its = (value[place] if place < len(value) else None for value in (ours, theirs))
            yield from differences(mine, its, f"{path}[]")
    elif one != other:
        yield path


MANY: Final = settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    # Each look opens a database; shrinking would take minutes of them.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.mark.parametrize("name", sorted(MAY_DIFFER))
def test_webhook_and_export_are_one_entity(name: str) -> None:
    seen: set[str] = set()

    @MANY
    @given(st.lists(HAPPENINGS[name], min_size=1, max_size=12))
    def compare(some: list[Twins]) -> None:
        for one, made in zip(some, both(some), strict=True):
            assert made.different <= MAY_DIFFER[name] | (set() if name in SHARED else {"_id"})
            assert (made.live_key == made.exported_key) == (name in SHARED)
            assert (made.live["_id"], made.exported["_id"]) == (made.live_key, made.exported_key)
            numbered = all("tier_number" in row for row in one.rows)
            assert not numbered or not any(path.startswith(f"{OWN}.tier.") for path in made.different)
            assert float(_total(one)) == float(_said(one))
            seen.update(made.different)

    compare()
    # The list is no longer than it has to be.
    assert seen >= MAY_DIFFER[name]


def test_every_event_of_an_export_has_twins() -> None:
    assert set(HAPPENINGS) == set(MAY_DIFFER) == set(event_types())


@pytest.mark.parametrize("name", ["pointsIssued", "pointsExpired", "manualPointsAdjustment", "tierUpgraded"])
def test_with_a_shared_key_the_number_of_the_log_makes_them_one_event(name: str) -> None:
    @MANY
    @given(st.lists(HAPPENINGS[name], min_size=1, max_size=4))
    def compare(some: list[Twins]) -> None:
        for made in both(some, (name,)):
            # The payload of an adjustment names no program, by which one entry of the log could be told from another.
            assert (made.live_key == made.exported_key) == (name != "manualPointsAdjustment")
            assert ("_id" in made.different) == (made.live_key != made.exported_key)

    compare()


_TOTALS: Final = {
    "transactionAdded": "amount",
    "pointsIssued": "totalPointsIssued",
    "pointsRedeemed": "totalPointsRedeemed",
    "pointsExpired": "pointsExpired",
    "issuedPointsReversed": "totalIssuedPointsReversed",
    "redeemedPointsReversed": "redeemedPointsReversed",
    "pointsTransferredInitiated": "totalPointsTransferred",
    "manualPointsAdjustment": "totalPoinstDeducted",
}


def _total(one: Twins) -> Any:
    """What the export's totals say of the happening, be it money or points; 0 where it is neither."""
    totals = told(one.template, *one.rows).totals
    return totals.get("amount", totals.get("points", 0))


def _said(one: Twins) -> Any:
    """What the payload says of it."""
    return one.data[_TOTALS[one.event_name]] if one.event_name in _TOTALS else 0
