"""Packing: requests below the limit, whole messages in order, entities byte for byte."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.adobe.messages import Envelope, Message
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.state import State
from capillary_adobe_tests.adobe.conftest import StartInlet
from capillary_adobe_tests.adobe.sending import deliver, entity_id, rows, settings_for

TENANT = Tenant.demo()
SETTINGS = settings_for(TENANT.environment("http://127.0.0.1:1"))
ENVELOPE = Envelope.of_events(SETTINGS)
ODD = 'é ﷽ 𒀀 👩‍👩‍👧 \u2028\u2029\ufeff\u0000\u200f"\\/ \u202e end'

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=400)
documents = st.dictionaries(st.text(max_size=20), scalars | st.lists(scalars, max_size=5), max_size=8)


@given(st.lists(documents, max_size=40), st.integers(2_000, 40_000))
def test_every_request_is_within_the_limit_and_loses_nothing(found: list[dict[str, Any]], limit: int) -> None:
    messages = [Message(entity_id(number), orjson.dumps(document)) for number, document in enumerate(found)]
    packed = list(ENVELOPE.pack(iter(messages), limit))
    assert [message for request in packed for message in request] == messages
    for request in packed:
        body = ENVELOPE.body(request)
        assert len(body) <= limit or len(request) == 1
        read = orjson.loads(body)["messages"]
        assert [message["body"]["xdmEntity"] for message in read] == [orjson.loads(m.entity) for m in request]
        assert all(message["header"]["datasetId"] == TENANT.events_dataset_id for message in read)
        assert all(message["header"]["schemaRef"] == message["body"]["xdmMeta"]["schemaRef"] for message in read)
        assert all(m.entity in body for m in request)


@given(st.lists(st.integers(0, 3_000), min_size=2, max_size=60))
def test_a_request_is_closed_only_when_the_next_message_does_not_fit(sizes: list[int]) -> None:
    messages = [Message(entity_id(n), b'"' + b"x" * size + b'"') for n, size in enumerate(sizes)]
    limit = 20_000
    packed = list(ENVELOPE.pack(messages, limit))
    for request, following in pairwise(packed):
        assert len(ENVELOPE.body([*request, following[0]])) > limit - 2


def test_a_message_over_the_limit_goes_alone() -> None:
    messages = [Message(entity_id(n), b'"' + b"x" * size + b'"') for n, size in enumerate([10, 50_000, 10])]
    assert [len(request) for request in ENVELOPE.pack(messages, 20_000)] == [1, 1, 1]


@pytest.mark.parametrize("escaped", [True, False])
def test_odd_texts_arrive_byte_for_byte(state: State, scripted: StartInlet, escaped: bool) -> None:
    inlet = scripted()
    text = orjson.dumps({"_id": entity_id(0), "note": ODD, ODD: [1.0, -0.0, 1e300, 2**53]}).decode()
    if escaped:
        text = text.replace("é", "\\u00e9").replace("/", "\\/")
    deliver(settings_for(inlet.environment), state, rows([(entity_id(0), text)]))
    (asked,) = inlet.asked
    assert text.encode() in asked.body
    assert orjson.loads(asked.body)["messages"][0]["body"]["xdmEntity"]["note"] == ODD
