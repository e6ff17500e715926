"""Names of programs and tiers for profiles: what the references hold, in the form that rendering takes."""

from __future__ import annotations

from pathlib import Path

from capillary_adobe.capillary.api.entities import Program, Tier
from capillary_adobe.program_names import program_names
from capillary_adobe.state import State
from capillary_adobe.state.references import Named, References
from capillary_adobe.xdm.profile_source import ProgramNames


def test_names_are_told_by_the_ids_that_documents_have(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    assert program_names(state) == ProgramNames()
    references = References(state)
    references.keep_programs([Program(id=973, name="Acme Club", is_default=True, points_to_currency=None, tiers=())], 5)
    references.merge_programs([Named(5, "Partners", 7)])
    references.merge_tiers([(Tier(973, 2, "Gold"), 1)])

    assert program_names(state) == ProgramNames(
        {"973": "Acme Club", "5": "Partners"}, {("973", 2): "Gold"}, frozenset({"973"})
    )
