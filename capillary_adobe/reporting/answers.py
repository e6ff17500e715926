"""The three questions of the report, each answered by a level and a few sentences.

Belongs here: judging the figures, and the words. Does not belong here: the figures, and whether a day is closed (`closing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capillary_adobe.backfill_progress import expected_end, moment
from capillary_adobe.closing import judge
from capillary_adobe.reporting.charts import seconds
from capillary_adobe.reporting.figures import DeliveryReport
from capillary_adobe.reporting.standing import Level
from capillary_adobe.state import Outcome


@dataclass(frozen=True)
class Answer:
    """A question and its answer: a word, then what is to be said of it."""

    question: str
    level: Level
    short: str
    sentences: list[str]

    @property
    def words(self) -> str:
        """Question and answer in a line."""
        return " ".join([self.question, self.short, *self.sentences])


def answers(report: DeliveryReport) -> list[Answer]:
    """All three, in the order in which they are read."""
    return [_flowing(report), _stuck(report), _yesterday(report)]


def _flowing(report: DeliveryReport) -> Answer:
    question, waits = "Is everything flowing?", report.backlog
    why = [*waits.outages, *([waits.paused] if waits.paused else [])]
    errors = sum(one.severity == "error" for one in report.alerts)
    if report.alerts:
        why.append(
            f"{len(report.alerts)} alerts stand, {errors} of them errors; `capillary-adobe alerts list` names them"
        )
    today = report.today.account
    so_far = f"{today.landed_lines:,} lines landed today so far, {today.delivery[Outcome.ACCEPTED]:,} events accepted"
    speed = report.latency
    if speed:
        so_far += f"; from landing to AEP p50 {seconds(speed['p50'] or 0)} s, p95 {seconds(speed['p95'] or 0)} s"
        so_far += "" if report.latency_day == report.today.day else f" on {report.latency_day}"
    if waits.outages or errors:
        return _answer(question, "bad", "No.", [*why, so_far])
    if why:
        return _answer(question, "warn", "No: it is paused." if waits.paused else "With a hitch.", [*why, so_far])
    return _answer(question, "ok", "Yes.", [so_far])


def _stuck(report: DeliveryReport) -> Answer:
    question = "What is stuck, and why?"
    broken, waiting = list(_broken(report)), list(_waiting(report))
    if broken:
        return _answer(question, "bad", "Something needs a hand.", [*broken, *waiting])
    if waiting:
        return _answer(question, "warn", "Some of it waits.", waiting)
    return _answer(question, "ok", "Nothing.", [])


def _broken(report: DeliveryReport) -> Iterator[str]:
    for one in report.unbalanced:
        named = ", ".join(f"{name} {n}" for name, n in one.account.differences.items())
        yield f"{one.day} does not balance: {named}"
    if report.failed:
        yield f"{report.failed:,} entities failed with their request or batch; the next run sends them"
    history = report.backlog.history
    if history is not None and history.failed:
        yield f"{len(history.failed)} days of history failed, the first on {history.failed[0].day}"


def _waiting(report: DeliveryReport) -> Iterator[str]:
    waits = report.backlog
    if report.unread_objects and report.oldest_unread_ms is not None:
        since = moment(report.oldest_unread_ms)
        yield f"{report.unread_objects:,} landed objects are not read yet, the oldest since {since}"
    half = [one.day for one in report.days if not one.account.balanced and report.at_work(one.day)]
    if half:
        yield f"a run is at work on {', '.join(half)}, or is to come; until then the books are open"
    pending = report.open + report.open_profiles - report.failed
    if pending > 0:
        held = f", {report.held:,} of them held for an operator" if report.held else ""
        yield f"{pending:,} events and profiles are pending{held}"
    if waits.held_micro_batches:
        yield f"{waits.held_micro_batches} micro-batches wait for the end of the pause"
    if waits.older_days:
        yield f"runs are still to come on older days, the first {waits.older_days[0]}"
    if waits.batches_at_aep and waits.oldest_batch_ms is not None:
        yield f"{waits.batches_at_aep} batches wait for AEP's verdict, the oldest since {moment(waits.oldest_batch_ms)}"
    if waits.history is not None and waits.history.days_left:
        yield f"{waits.history.days_left} days of history are not through; expected end {expected_end(waits.history)}"


def _yesterday(report: DeliveryReport) -> Answer:
    question, account = f"Did {report.yesterday.day} arrive completely?", report.yesterday.account
    found = judge(account, report.backlog.paused)
    sentences = [found.words]
    lost = found.lossy and not report.at_work(account.day)
    level: Level = "ok" if found.closed else "bad" if lost else "warn"
    sent = report.sent
    if sent is None:
        sentences.append("What Capillary says it sent on that day has not been compared yet")
    elif sent.problem:
        sentences.append(sent.problem)
    elif sent.lost:
        level = "bad"
        sentences.append(f"Of {sent.sent:,} events that Capillary says it sent, {sent.lost:,} have not landed")
    elif sent.on_their_way:
        level = "warn" if level == "ok" else level
        sentences.append(
            f"Of {sent.sent:,} events that Capillary says it sent, {sent.on_their_way:,} were still on their way when that was "
            "compared; materialize capillary_delivery_log of the day to compare again"
        )
    else:
        sentences.append(f"All of the {sent.sent:,} events that Capillary says it sent have landed")
    if sent is not None and sent.doubts:
        level = "warn" if level == "ok" else level
        sentences.append(f"Capillary's log of the day may not be whole: {sent.doubts}")
    return _answer(question, level, "Yes." if level == "ok" else "Not yet." if level == "warn" else "No.", sentences)


def _answer(question: str, level: Level, short: str, sentences: Sequence[str]) -> Answer:
    return Answer(question, level, short, [f"{one[:1].upper()}{one[1:].removesuffix('.')}." for one in sentences])
