"""The batch lane: the days of a run through batch ingestion, from what is still to be sent to AEP's verdict on it.

Belongs here: the order of a run: what was left open, what is to be sent, one wait for the verdicts of all days, and what is
left after them. Does not belong here: filling a batch, and whose hands it is in (`batch_filling.py`), judging it
(`batch_judging.py`), and the choice between streaming and batches (`delivery.py`).

AEP's Profile takes 90 batches a day and sandbox (experienceleague.adobe.com/docs/experience-platform/profile/guardrails.html),
so days do not get a batch each: a run fills one with all of its days and begins another only when the first has as much as
AEP advises.
"""

from __future__ import annotations

from collections.abc import Sequence

from capillary_adobe.adobe.batch_filling import BatchFilling, DayOf, DayToSend
from capillary_adobe.adobe.batch_judging import BatchJudge, CountsOf, Failures, Progress
from capillary_adobe.adobe.counts import DeliveryCounts
from capillary_adobe.adobe.errors import DeliveryError
from capillary_adobe.adobe.platform import Platform
from capillary_adobe.settings import AdobeSettings
from capillary_adobe.state import SentBatches, State

# A batch in which AEP named the bad rows is made anew without them at once; one that keeps failing is left to a person.
_ROUNDS = 3


class BatchLane:
    """Batches of the events dataset."""

    def __init__(self, settings: AdobeSettings, state: State, platform: Platform) -> None:
        self._settings = settings
        self._state = state
        self._platform = platform
        self._register = SentBatches(state)
        self._judge = BatchJudge(settings, state, platform)

    def judge_open(self, day: str, counts: DeliveryCounts, progress: Progress) -> None:
        """Wait for AEP's verdict on the complete batches of a day, no longer than `ADOBE_BATCH_WAIT_SECONDS`.

        What it says of the other days of such a batch is noted and counted, too.

        Raises:
            DeliveryError: AEP failed a batch without naming rows, or gave up on it.
        """
        failures = self._judge.judge_open([day], lambda _: counts, progress, wait=True)
        if day in failures:
            raise failures[day]

    def look(self, days: Sequence[str], counts_of: CountsOf, progress: Progress, *, wait: bool = False) -> Failures:
        """Read AEP's verdict on the complete batches of these days; the failures by day."""
        return self._judge.judge_open(days, counts_of, progress, wait=wait)

    def abandon_open(self, day: str, counts_of: CountsOf, progress: Progress) -> None:
        """Have AEP drop the day's unfinished batches that nobody fills, so that their entities can go another way.

        Raises:
            DeliveryError: AEP cannot be reached, or does not let go of one.
        """
        with self._filling(_nobody, counts_of, progress) as filling:
            filling.abandon(day)

    def send(self, sendings: Sequence[DayToSend], day_of: DayOf, counts_of: CountsOf, progress: Progress) -> Failures:
        """Send what is unsettled of days, and wait once for the verdicts on all of them; the failures by day.

        `day_of` gives any day: a batch that was left open may hold files of others than these.
        """
        days = [sending.day for sending in sendings]
        rest, failures = list(sendings), Failures()
        for _ in range(_ROUNDS):
            rejected = _rejected(days, counts_of)
            self._send_once(rest, failures, day_of, counts_of, progress)
            for day, error in self._judge.judge_open(days, counts_of, progress, wait=True).items():
                failures.setdefault(day, error)
            # Only where AEP failed a whole batch for rows that it named is something left that can be sent at once.
            if _rejected(days, counts_of) == rejected:
                break
            rest = [one for one in rest if one.day not in failures and next(one.unsettled(), None) is not None]
            if not rest:
                break
        return failures

    def _send_once(
        self, sendings: Sequence[DayToSend], failures: Failures, day_of: DayOf, counts_of: CountsOf, progress: Progress
    ) -> None:
        """Fill batches and complete them. What keeps one from being filled is no day's fault: no further day is tried."""
        with self._filling(day_of, counts_of, progress) as filling:
            left = list(sendings)
            try:
                while left:
                    filling.add(left[0])
                    del left[0]
                filling.complete()
            except DeliveryError as error:
                undone = filling.days_in_hand | {one.day for one in left if self._has_open(one)}
                for day in sorted(undone):
                    failures.setdefault(day, error)

    def _has_open(self, sending: DayToSend) -> bool:
        return bool(self._register.unfinished(sending.day)) or next(sending.unsettled(), None) is not None

    def _filling(self, day_of: DayOf, counts_of: CountsOf, progress: Progress) -> BatchFilling:
        return BatchFilling(self._settings, self._state, self._platform, self._judge, day_of, counts_of, progress)


def _rejected(days: Sequence[str], counts_of: CountsOf) -> int:
    return sum(counts_of(day).outcomes["rejected"] for day in days)


def _nobody(_day: str) -> DayToSend | None:
    """Where no day needs to be read."""
    return None
