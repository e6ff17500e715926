"""References: what Capillary shows takes the place of what it showed; of names told for several moments the newest counts."""

from __future__ import annotations

import itertools

from capillary_adobe.capillary.api.entities import Program, Store, Tier, Till
from capillary_adobe.state import References, State
from capillary_adobe.state.references import Named


def test_what_is_shown_again_is_replaced_and_what_is_gone_stays(state: State) -> None:
    references = References(state)
    assert references.stores() == []
    first, other = Store(2, "b", "Bee", None, "INR", "Pune"), Store(1, "a", "Ay", "X1")
    references.keep_stores([first, other])
    references.keep_stores([Store(2, "b", "Bee Two", None, active=False)])
    references.keep_tills([Till(5, "t", "Till", 2)])
    references.keep_tills([])
    assert references.stores() == [other, Store(2, "b", "Bee Two", None, active=False)]
    assert references.tills() == [Till(5, "t", "Till", 2)]


def test_the_newest_name_counts_in_whatever_order_they_come(state: State) -> None:
    references = References(state)
    told = [(Tier(7, 1, name), at_us) for name, at_us in (("Old", 10), ("New", 30), ("Newer", 30), ("Middle", 20))]
    for program, order in enumerate(itertools.permutations(told), start=1):
        for tier, at_us in order:
            references.merge_tiers([(tier._replace(program_id=program), at_us)])
    references.merge_tiers((tier._replace(program_id=99), at_us) for tier, at_us in told)
    assert {one.name for one in references.tiers()} == {"Newer"}
    assert len(references.tiers()) == 25


def test_programs_are_shown_with_their_tiers_and_keep_what_events_do_not_tell(state: State) -> None:
    references = References(state)
    references.keep_programs([Program(7, "Circle", True, 0.25, (Tier(7, 2, "Gold"),))], 1_000_000)
    references.merge_programs([Named(7, "Older", 999_999), Named(8, "Other", 5)])
    references.merge_programs([Named(7, "Newer", 1_000_001)])
    references.merge_tiers([(Tier(7, 1, "Silver"), 5), (Tier(7, 2, "Brass"), 5)])
    assert references.programs() == [
        Program(7, "Newer", True, 0.25, (Tier(7, 1, "Silver"), Tier(7, 2, "Gold"))),
        Program(8, "Other"),
    ]
    references.merge_programs([])
