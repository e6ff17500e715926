"""The demo's traffic as the mapping gets it.

Belongs here: the events of a demo day that are delivered. Does not belong here: any expectation.
"""

from __future__ import annotations

from datetime import date
from functools import cache

import orjson

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.envelope import NotAnEvent, unwrap
from capillary_adobe.capillary.person import NotDelivered, customer_id
from capillary_adobe.demo.traffic import day_of_events
from capillary_adobe_tests.capillary.events import DAY, Json


@cache
def delivered_events(count: int, seed: int) -> list[Json]:
    """Of so many events of a demo day those that a person is named in, at most once each."""
    found: dict[str, Json] = {}
    for _, line in day_of_events(date.fromisoformat(DAY), count, seed=seed):
        try:
            value = orjson.loads(line)
            envelope = unwrap(value)
            event_type = shipped_catalogue().find(envelope.event_name)
            assert event_type is not None
            customer_id(event_type, envelope.data)
        except (orjson.JSONDecodeError, NotAnEvent, NotDelivered, AssertionError):
            continue
        found[line.decode()] = value
    return list(found.values())
