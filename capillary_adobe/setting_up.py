"""A set-up with everything that the settings say: the command and the job open it here.

Belongs here: gathering settings, mapping and clients for `adobe.setup`. Does not belong here: the set-up itself.
"""

from __future__ import annotations

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.setup import Setup, SetupError, Wanted
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.environment import overriding
from capillary_adobe.settings import (
    CredentialSettings,
    IdentitySettings,
    MappingSettings,
    SetupSettings,
    load,
    load_all,
)
from capillary_adobe.state import State
from capillary_adobe.state.identity_uses import FanIn, IdentityUses
from capillary_adobe.xdm.identities import namespaces_in_use, policy_of
from capillary_adobe.xdm.language.mapping_files import load_mapping


def open_setup(state: State, *, card: bool = False, enable_profile: bool = False) -> Setup:
    """The set-up of the sandbox that the environment names.

    Raises:
        SettingsError: variables are missing or malformed; all are named.
        MappingError: the mapping cannot be used.
    """
    load_all(CredentialSettings, IdentitySettings, SetupSettings, MappingSettings)
    credential = load(CredentialSettings)
    mapping = load_mapping(load(MappingSettings).path)
    platform = Platform(credential, shared_token(credential))
    namespaces = namespaces_in_use(load(IdentitySettings))
    wanted = Wanted(card=card, enable_profile=enable_profile, namespaces=namespaces)
    return Setup(platform, state, credential, load(SetupSettings), mapping, overriding(), wanted)


class JoinsCustomers(SetupError):
    """Identities that several customers share are sent, and Profile would join these customers."""


def shared_identities(state: State) -> list[FanIn]:
    """The kinds of identity that are sent and that several customers share, as far as customers are known."""
    settings = load(IdentitySettings)
    found = IdentityUses(state, settings.max_customers).fan_in()
    return [one for one in found if sum(one.by_span) and policy_of(one.kind, settings) != "drop"]


def told_of_shared(shared: list[FanIn]) -> str:
    """Words on identities that several customers share, for whoever is about to enable Profile."""
    lines = [
        f"  * {one.kind}: {sum(one.by_span)} are shared, one of them by {one.worst} customers; {one.held} are held back, "
        f"{one.let_through} are sent and join customers."
        for one in shared
    ]
    return "\n".join(["Identities that several customers share:", *(lines or ["  * none is known"])])


def demand_none_joins(state: State) -> None:
    """Refuse to enable Profile unasked while identities that join customers are sent.

    Raises:
        JoinsCustomers: some are.
    """
    shared = shared_identities(state)
    if any(one.let_through for one in shared):
        raise JoinsCustomers(
            f"{told_of_shared(shared)}\nWhat the identity graph has joined cannot be parted again. Set "
            "IDENTITY_MAX_CUSTOMERS=1 and have the profiles made again, or run `capillary-adobe setup --enable-profile` "
            "without --yes and say that it is meant."
        )
