"""Settings of the customers: how they are looked up, which identities they get, what their profiles hold, how they are erased.

Belongs here: the fields. Does not belong here: anything that acts on them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from capillary_adobe.settings.kinds import DataPaths, Form, Names, Text
from capillary_adobe.settings.source import environment

IdentityPolicy = Literal["plain", "sha256", "drop"]

FIELDS_OF_PERSON = (
    "gender",
    "birth_date",
    "language",
    "zone",
    "address.street1",
    "address.city",
    "address.state",
    "address.postal_code",
    "address.country",
)
"""What of a person an organisation keeps in fields of its own."""


@lru_cache(maxsize=8)
def _fields_of_person(value: str) -> tuple[tuple[str, str], ...]:
    """PROFILE_FIELDS, read: (ours, the name at Capillary).

    Raises:
        ValueError: a pair is none, or names a field that a profile does not have.
    """
    found: list[tuple[str, str]] = []
    for pair in filter(None, (one.strip() for one in value.split(","))):
        ours, sign, theirs = (part.strip() for part in pair.partition("="))
        if not sign or not theirs or ours not in FIELDS_OF_PERSON:
            raise ValueError(
                f"give pairs such as gender=gender,birth_date=dob, where the left side is one of {', '.join(FIELDS_OF_PERSON)}"
            )
        found.append((ours, theirs))
    return tuple(found)


def _checked_fields(value: str) -> str:
    _fields_of_person(value)
    return value


class LookupSettings(BaseSettings):
    """What is asked of Capillary's API about customers and bills; without CAPILLARY_API_* nothing is."""

    model_config = environment("CAPILLARY_LOOKUP_")

    customers: bool = Field(default=True, description="Look customers up.")
    transactions: bool = Field(
        default=False, description="Look bills up, so that sales carry their line items and payments."
    )
    calls_per_minute: int = Field(
        default=100,
        ge=1,
        description=(
            "Calls that look-ups make in any 60 seconds, of all runs together, tokens and repeats included. "
            "Capillary's test clusters allow 100, others what was agreed; leave room for whoever else uses the "
            "API client."
        ),
    )
    connections: int = Field(default=4, ge=1, le=64, description="Look-ups in flight at once.")
    customers_per_call: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Customers asked for in one call. Above 1 the older API (v1.1) is used, where Capillary allows it.",
    )
    fresh_hours: float = Field(
        default=24.0, gt=0, description="Age from which on a customer who has an event is looked up again."
    )
    policy: Literal["deliver", "hold"] = Field(
        default="deliver",
        description=(
            "What happens to an event whose look-up has not been made yet: it goes with what is known, or it is held."
        ),
    )
    hold_minutes: float = Field(
        default=60.0, gt=0, description="Longest time that `hold` keeps an event; then it goes with what is known."
    )
    inline_seconds: float = Field(
        default=2.0, ge=0, description="Time that a micro-batch spends on look-ups of its own before it goes on."
    )
    run_seconds: float = Field(default=60.0, gt=0, description="Time that one run of look-ups takes at most.")
    source: Text = Field(default="INSTORE", description="Source whose account of a customer is asked for.")
    account_id: Text | None = Field(
        default=None,
        description=(
            "Account of the source `CAPILLARY_LOOKUP_SOURCE`. Capillary demands it for every source but `INSTORE`."
        ),
    )
    embed: Names = Field(
        default="points,mlp,subscriptions,customerStatus,expirySchedules,expiredPoints",
        description="Parts of a customer asked for besides the account itself.",
    )

    tax_paths: DataPaths = Field(
        default="billDetails.taxAmount,billDetails.tax",
        description="Where the details of a bill hold its tax. The first one found counts.",
    )


class IdentitySettings(BaseSettings):
    """Which identities entities carry beside the customer id, and in which form."""

    model_config = environment("IDENTITY_")

    email: IdentityPolicy = Field(
        default="plain",
        description=(
            "In which form e-mail addresses are sent as identities; with `sha256` or `drop` the profile has no "
            "such contact either."
        ),
    )
    phone: IdentityPolicy = Field(
        default="plain",
        description=(
            "In which form mobile numbers are sent as identities; with `sha256` or `drop` the profile has no "
            "such contact either."
        ),
    )
    external_id: IdentityPolicy = Field(
        default="plain", description="In which form external ids are sent as identities."
    )
    card: IdentityPolicy = Field(
        default="drop",
        description=(
            "In which form card numbers are sent as identities; other than `drop` only where a card belongs to "
            "one person."
        ),
    )
    max_customers: int = Field(
        default=1,
        ge=1,
        description=(
            "Customers who may share an identity. One that more of them have or had is held back from all. Above "
            "1, AEP makes one person of those who share it."
        ),
    )
    refused: Annotated[str, Form("values, separated by commas")] | None = Field(
        default=None,
        description=(
            "Values that are never an identity, besides the known placeholders; `@domain` refuses every address "
            "of a domain."
        ),
    )
    email_sha256_namespace: Text = Field(
        default="Email_LC_SHA256", description="Symbol of AEP's namespace of hashed e-mail addresses."
    )
    phone_sha256_namespace: Text = Field(
        default="Phone_SHA256_E.164", description="Symbol of AEP's namespace of hashed mobile numbers."
    )


class ProfileSettings(BaseSettings):
    """What a customer's profile is made of."""

    model_config = environment("PROFILE_")

    default_program: Text | None = Field(
        default=None,
        description=(
            "Id of the program that `loyalty` of the profile describes; without it [the one Capillary calls "
            "default](customers.md#what-a-profile-holds)."
        ),
    )
    spacing_seconds: float = Field(
        default=30.0,
        ge=0,
        description=(
            "Least time between two profiles of one customer. AEP [promises no "
            "order](customers.md#how-a-profile-is-sent) for those that follow quickly."
        ),
    )
    consent_priority: Literal["BULK", "TRANS"] = Field(
        default="BULK", description="Priority of the subscriptions that are a consent to marketing."
    )
    fields: Annotated[str, AfterValidator(_checked_fields), Form("pairs, separated by commas")] = Field(
        default=(
            "gender=gender,birth_date=dob,language=preferred_language,address.street1=address,address.city=city,"
            "address.state=state,address.postal_code=zip,address.country=country"
        ),
        description=(
            "Which custom or extended field holds what of a person: `<ours>=<name at Capillary>`. Ours are "
            "`gender`, `birth_date`, `language`, `zone`, `address.street1`, `address.city`, `address.state`, "
            "`address.postal_code`, `address.country`. Names are compared without case, blanks and underscores."
        ),
    )
    history_days: int = Field(
        default=800,
        ge=1,
        description="How far back the states of a customer's loyalty are kept for events of the past.",
    )
    released_paths: DataPaths = Field(
        default="customerIdentifiers",
        description=(
            "Where the data of an event `identifierReleased` names what was released. Capillary has not "
            "published its payload."
        ),
    )

    @property
    def fields_of_person(self) -> tuple[tuple[str, str], ...]:
        """`fields`, read: pairs of our name and the name at Capillary."""
        return _fields_of_person(self.fields)


class ErasureSettings(BaseSettings):
    """How a customer who was deleted at Capillary is erased here."""

    model_config = environment("ERASURE_")

    label: Text = Field(
        default="Deleted",
        description="Label of the customer status that means deletion; letter case makes no difference.",
    )
    keep_files_hours: float = Field(
        default=0,
        ge=0,
        description=(
            "How long files that were rewritten stay in the lake for whoever still reads them, rounded up to "
            "whole hours."
        ),
    )
    work_order_dataset: Text = Field(
        default="ALL", description="Dataset of the work orders that are prepared for AEP; `ALL` for every one."
    )
    work_order_action: Text = Field(
        default="delete_identity", description="Action of these work orders, as AEP's Data Hygiene API spells it."
    )
