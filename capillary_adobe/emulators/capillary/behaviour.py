"""How the emulator of Capillary behaves: its pace, its limits, its choices where the documentation leaves one.

Belongs here: what a user of the emulator may choose. Does not belong here: anything that acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Behaviour:
    """What may be chosen; the defaults are what docs.capillarytech.com says, where it says anything.

    `time_scale` shortens or stretches the pauses between two attempts and the time until an event is given up; the
    pauses double from `first_pause_seconds` to `longest_pause_seconds`, jittered, and their length is not published.
    `answer_seconds` is how long the service waits for a webhook. Statuses in `never_again` lose an event at once; of the
    others that are no success only 429 is documented, and all are retried.

    `denied` are resources that the API client has no right to: Customer, Transaction, Organization, Webhooks.
    `sees_personal_data` is its tick for sensitive information; without it names and contacts are masked.
    `customers_per_call` is the largest batch of v1.1. `tells_survivor` says whether a question for a merged customer is
    answered with the survivor (91009) or refused (8069). `lists_tills` says whether tills may be listed as stores are.

    `requests_per_minute` answers 429 above it, 0 never; demo and test clusters allow 1,000. `errors_with_200` answers
    what is wrong with a request with status 200 and `errors`, as Capillary's older services do. Names of webhooks "should be
    unique"; `unique_names` says whether that is enforced. `offset_minutes` is the
    offset of the log's times. Of the log the latest `log_rows` stay, for `log_days`.
    """

    token_seconds: int = 3600
    time_scale: float = 1.0
    answer_seconds: float = 30.0
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 300.0
    give_up_seconds: float = 7 * DAY_SECONDS
    never_again: frozenset[int] = frozenset({400})
    requests_per_minute: int = 0
    errors_with_200: bool = False
    unique_names: bool = True
    offset_minutes: int = 330
    denied: frozenset[str] = frozenset()
    sees_personal_data: bool = True
    customers_per_call: int = 100
    tells_survivor: bool = True
    lists_tills: bool = True
    log_rows: int = 200_000
    log_days: int = 30
