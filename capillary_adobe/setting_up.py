"""A set-up with everything that the settings say: the command and the job open it here.

Belongs here: gathering settings, mapping and clients for `adobe.setup`. Does not belong here: the set-up itself.
"""

from __future__ import annotations

from capillary_adobe.adobe.platform import Platform
from capillary_adobe.adobe.setup import Setup, Wanted
from capillary_adobe.adobe.token import shared_token
from capillary_adobe.environment import overriding
from capillary_adobe.settings import CredentialSettings, MappingSettings, SetupSettings, load, load_all
from capillary_adobe.state import State
from capillary_adobe.xdm.language.mapping_files import load_mapping


def open_setup(state: State, *, card: bool = False, enable_profile: bool = False) -> Setup:
    """The set-up of the sandbox that the environment names.

    Raises:
        SettingsError: variables are missing or malformed; all are named.
        MappingError: the mapping cannot be used.
    """
    load_all(CredentialSettings, SetupSettings, MappingSettings)
    credential = load(CredentialSettings)
    mapping = load_mapping(load(MappingSettings).path)
    platform = Platform(credential, shared_token(credential))
    wanted = Wanted(card=card, enable_profile=enable_profile)
    return Setup(platform, state, credential, load(SetupSettings), mapping, overriding(), wanted)
