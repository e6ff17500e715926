"""The looks at Capillary's API: whether its client gets a token, and whether the webhook is as it should be.

Belongs here: what the two answers mean to an operator. Does not belong here: the token call (`capillary.api`) and the
comparison of webhooks (`subscribing`).
"""

from __future__ import annotations

from capillary_adobe.capillary.api.client import CapillaryApi
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.doctor.findings import Verdict, fail, ok, skipped, split_cure, warn
from capillary_adobe.settings import CapillaryApiSettings, SettingsError, WebhookSettings, load
from capillary_adobe.subscribing import Action, open_subscription

_SECONDS = 2.0
_TOKEN_SECONDS = 4.0


def capillary_api() -> Verdict:
    """Whether Capillary gives a token for the client; nothing else is asked."""
    settings = load(CapillaryApiSettings)
    given = [settings.url, settings.key, settings.secret]
    if given == [None] * 3:
        return skipped("Not set up (CAPILLARY_API_URL); deliveries do not need it.")
    if None in given:
        return fail(
            "Of CAPILLARY_API_URL, CAPILLARY_API_KEY and CAPILLARY_API_SECRET only some are set.",
            "Set all three, or none.",
        )
    token = AccessToken(settings.model_copy(update={"timeout_seconds": _TOKEN_SECONDS}))
    token.value()
    return ok(f"Capillary gives a token, good for {token.seconds_left:.0f} seconds.")


def webhook() -> Verdict:
    """Whether the webhook at Capillary is the one that the settings describe."""
    settings = load(CapillaryApiSettings)
    if load(WebhookSettings).url is None or settings.url is None:
        return skipped("Not set up (CAPILLARY_WEBHOOK_URL and CAPILLARY_API_*).")
    quick = settings.model_copy(update={"timeout_seconds": _SECONDS, "retry_seconds": 0.0})
    try:
        plan = open_subscription(CapillaryApi(quick, AccessToken(quick))).plan()
    except SettingsError as error:
        # What only the webhook needs is none of the settings that the look at all of them asks for.
        return fail(*split_cure(str(error)))
    if plan.action is Action.BLOCKED:
        return fail("The webhook cannot be as the settings describe it.", plan.why)
    if plan.action is Action.CREATE:
        return warn(f"Capillary has no webhook {plan.wanted.name}.", "Run `capillary-adobe subscribe`.")
    if plan.action is Action.CHANGE:
        fields = ", ".join(change.field for change in plan.changes)
        return warn(f"The webhook {plan.wanted.name} differs: {fields}.", "Run `capillary-adobe subscribe --plan`.")
    if plan.notes:
        return warn(
            f"The webhook {plan.wanted.name} is as it should be, but: {plan.notes[0]}", "See docs/subscribing.md."
        )
    return ok(f"The webhook {plan.wanted.name} is as it should be; event types: {len(plan.wanted.events)}.")
