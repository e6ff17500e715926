"""Names of programs and tiers for profiles, from what Capillary and the events told of the organisation.

Belongs here: the form in which rendering takes them. Does not belong here: keeping them (`state.references`).
"""

from __future__ import annotations

from capillary_adobe.state import State
from capillary_adobe.state.references import References
from capillary_adobe.xdm.profile_source import ProgramNames


def program_names(state: State) -> ProgramNames:
    """The names as they are known now.

    Raises:
        StateError: the database cannot be read.
    """
    known = References(state)
    programs = known.programs()
    return ProgramNames(
        {str(one.id): one.name for one in programs if one.name},
        {(str(one.program_id), one.number): one.name for one in known.tiers()},
        frozenset(str(one.id) for one in programs if one.is_default),
    )
