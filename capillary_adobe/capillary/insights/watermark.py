"""The watermark: where webhook and export tell of one happening under two names, which of the two counts.

Belongs here: the cut, event type by event type. Does not belong here: the file in which the operator sets it (`rules.py`), and
events that both name alike (`capillary.keys`), which find each other whichever came first.

| told by | before the watermark | at or after it |
| --- | --- | --- |
| export | counts | ignored, `live_covers` |
| webhook | ignored, `history_covers` | counts |

It is decided by the event's own `created_ms` alone, so neither the order in which lines land nor that in which days are worked
on changes it. A line counts as the webhook's by its form: an export of events as JSON, put into the history lane by hand, names
them by `eventId` as the webhook does.
"""

from __future__ import annotations

from capillary_adobe.capillary.envelope import NotAnEvent
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.capillary.person import NotDelivered
from capillary_adobe.settings import RulesSettings, load


class Watermark:
    """Cuts the overlap as the rules file says, which is read once a run.

    Without one, no webhook event is touched and no export event passes that has no shared name.
    """

    def __init__(self, rules: InsightsRules | None = None) -> None:
        self._rules = rules or InsightsRules()
        self._live_from: dict[str, int | None] = {}

    @classmethod
    def of_environment(cls) -> Watermark:
        """As the file of INSIGHTS_RULES has it.

        Raises:
            RulesError: the file cannot be read, or something in it is wrong.
        """
        return cls(InsightsRules.read(load(RulesSettings).rules))

    def shares_log_number(self, event_name: str) -> bool:
        """Whether both lanes name events of a type by the number under which Capillary logged the action."""
        return event_name in self._rules.shared_keys

    def cut(self, event_name: str, created_ms: int, *, exported: bool) -> None:
        """Let an event that has no shared name pass, or say why it must not.

        Raises:
            NotDelivered: reasons `live_covers` and `history_covers`: its twin of the other source counts.
            NotAnEvent: code `no_watermark`: an export's event, and nobody knows from when on webhooks tell of it.
        """
        if event_name not in self._live_from:
            self._live_from[event_name] = self._rules.watermark(event_name)
        live_from = self._live_from[event_name]
        if live_from is None:
            if exported:
                words = _NO_NUMBER if self.shares_log_number(event_name) else _NO_WATERMARK
                raise NotAnEvent("no_watermark", words, event_name)
        elif exported and created_ms >= live_from:
            raise NotDelivered("live_covers")
        elif not exported and created_ms < live_from:
            raise NotDelivered("history_covers")


_NO_WATERMARK = (
    "Webhooks and exports share no name for events of this type, and live_from in the file of INSIGHTS_RULES does not say from "
    "when on webhooks tell of them. Set it there, then materialize the partition again."
)
_NO_NUMBER = (
    "The type stands in shared_keys of the file of INSIGHTS_RULES, but the rows tell no number of the event log or no program, "
    "so the event cannot be told from its webhook. Export these columns too, or give the type a moment in live_from instead."
)
