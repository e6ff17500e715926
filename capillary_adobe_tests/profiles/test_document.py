"""Documents: the merge is the same whatever the order, and its two forms, in memory and packed, agree."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.profiles.document import (
    DELETED,
    CustomerKey,
    Facts,
    Register,
    Stamp,
    advanced,
    merged,
    packed,
    unpacked,
)
from capillary_adobe_tests.examples import examples

many = settings(max_examples=examples(150), deadline=None)
stamps = st.builds(Stamp, st.integers(0, 2), st.integers(0, 1), st.sampled_from(["", "a"]))
# True, 1 and 1.0 are the same to Python and not to Capillary.
values = st.sampled_from([None, True, 1, 1.0, "a", "b", {"b": 1, "a": 2}, {"a": 2, "b": 1}, [1]])
fields = st.sampled_from(["email", "mobile", "status", "card.1"])
documents = st.dictionaries(fields, st.builds(Register, stamps, values))
deleted = st.builds(lambda stamp: {DELETED: Register(stamp, True)}, stamps)
any_document = st.one_of(documents, documents, documents, deleted)


def test_the_newest_value_of_each_field_wins() -> None:
    key = CustomerKey(1, 1)
    older = Facts(key, Stamp(1, 9, "z"), {"email": "old", "mobile": "1"}).document
    newer = Facts(key, Stamp(2, 0, ""), {"email": "new"}).document
    assert {name: register.value for name, register in merged(newer, older).items()} == {"email": "new", "mobile": "1"}


def test_of_one_moment_the_greater_sequence_wins_and_then_the_greater_tie() -> None:
    def won(*stamps: Stamp) -> Any:
        found: dict[str, Register] = {}
        for stamp in stamps:
            found = merged(found, {"email": Register(stamp, stamp)})
        return found["email"].value

    assert won(Stamp(1, 2, "a"), Stamp(1, 1, "b")) == Stamp(1, 2, "a")
    assert won(Stamp(1, 1, "a"), Stamp(1, 1, "b")) == Stamp(1, 1, "b")


def test_a_deletion_takes_everything_whatever_its_time() -> None:
    gone = {DELETED: Register(Stamp(1), True)}
    assert merged({"email": Register(Stamp(2), "new")}, gone) == gone
    assert merged(gone, {"email": Register(Stamp(2), "new")}) == gone


@many
@given(found=st.lists(any_document, min_size=1, max_size=4))
def test_no_order_and_no_repetition_changes_what_is_known(found: list[dict[str, Register]]) -> None:
    outcomes = set()
    for order in itertools.permutations([*found, found[0]]):
        known: dict[str, Register] = {}
        for one in order:
            known = merged(known, one)
        outcomes.add(packed(known))
    assert len(outcomes) == 1


@many
@given(one=any_document, two=any_document, three=any_document)
def test_parts_may_be_merged_first(one: Any, two: Any, three: Any) -> None:
    assert packed(merged(merged(one, two), three)) == packed(merged(one, merged(two, three)))


@many
@given(document=any_document)
def test_a_document_comes_back_as_it_was_packed(document: dict[str, Register]) -> None:
    assert unpacked(packed(document)) == document
    assert packed(dict(reversed(document.items()))) == packed(document)


@many
@given(old=any_document, new=any_document)
def test_merging_into_the_packed_document_is_merging(old: dict[str, Register], new: dict[str, Register]) -> None:
    text, before, after = advanced(packed(old), new)
    whole = merged(old, new)
    assert text == packed(whole)
    kept = {name: register for name, register in old.items() if name not in before}
    assert packed(kept | dict(after)) == text
    assert all(packed({name: whole[name]}) != packed({name: old[name]}) for name in after if name in old)
