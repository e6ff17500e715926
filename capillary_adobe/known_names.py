"""Names of stores, tills, programs and tiers for the enrichment of events, from the organisation's reference data.

Belongs here: the form in which the enrichment takes them. Does not belong here: keeping them (`state.references`).
"""

from __future__ import annotations

from capillary_adobe.capillary.names import Names
from capillary_adobe.state import State
from capillary_adobe.state.references import References


def known_names(state: State) -> Names:
    """The names that are known now.

    Raises:
        StateError: the database cannot be read.
    """
    known = References(state)
    stores = known.stores()
    code_of = {store.id: store.code for store in stores}
    return Names(
        tills=[(till.id, till.code, till.name, code_of.get(till.store_id or 0)) for till in known.tills()],
        stores=[(store.code, store.name, store.external_id) for store in stores],
        programs=[(program.id, program.name) for program in known.programs()],
        tiers=[(tier.program_id, tier.number, tier.name) for tier in known.tiers()],
    )
