"""The looks at Capillary's API: whether its client gets a token and may look things up, and whether the webhook is right.

Belongs here: what the answers mean to an operator. Does not belong here: the token call (`capillary.api`) and the
comparison of webhooks (`subscribing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from capillary_adobe.capillary.api.client import CapillaryApi, CapillaryApiError, PermanentCapillaryApiError
from capillary_adobe.capillary.api.customers import CustomerApi
from capillary_adobe.capillary.api.organisation import OrganisationApi
from capillary_adobe.capillary.api.token import AccessToken
from capillary_adobe.capillary.api.transactions import TransactionApi
from capillary_adobe.doctor.findings import Verdict, fail, ok, skipped, split_cure, warn
from capillary_adobe.settings import CapillaryApiSettings, SettingsError, WebhookSettings, load
from capillary_adobe.settings.customers import LookupSettings
from capillary_adobe.subscribing import Action, open_subscription

_SECONDS = 2.0
_TOKEN_SECONDS = 4.0
_NOBODY = 1


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


def rights() -> Verdict | list[Verdict]:
    """Whether the client may read what look-ups ask for. Nobody bears the numbers that are asked for."""
    settings, lookups = load(CapillaryApiSettings), load(LookupSettings)
    if settings.url is None:
        return skipped("Not set up (CAPILLARY_API_URL); events and profiles go without look-ups.")
    quick = settings.model_copy(update={"timeout_seconds": _SECONDS, "retry_seconds": 0.0})
    api = CapillaryApi(quick, AccessToken(quick))
    faults = list(_without_right(api, lookups))
    if faults:
        return faults
    asked = [what for what, wanted in (("customers", lookups.customers), ("bills", lookups.transactions)) if wanted]
    return ok(f"The client may read {', '.join(['stores', 'programs', *asked])}.")


def _without_right(api: CapillaryApi, lookups: LookupSettings) -> Iterator[Verdict]:
    organisation, customers = OrganisationApi(api), CustomerApi(api, lookups)
    in_bulk = lookups.customers_per_call > 1
    looks: list[tuple[str, bool, Callable[[], object]]] = [
        ("stores", True, organisation.look_at_stores),
        ("programs", True, organisation.programs),
        ("customers", lookups.customers and not in_bulk, lambda: customers.one(_NOBODY)),
        ("customers by v1.1", lookups.customers and in_bulk, lambda: customers.several([_NOBODY])),
        ("bills", lookups.transactions, lambda: TransactionApi(api).one(str(_NOBODY))),
    ]
    for what, wanted, look in looks:
        if not wanted:
            continue
        try:
            look()
        except PermanentCapillaryApiError as error:
            yield fail(f"The client may not read {what} (status {error.status}).", split_cure(str(error))[1])
        except CapillaryApiError as error:
            yield warn(f"Whether the client may read {what} is unknown.", str(error))


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
