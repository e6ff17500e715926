"""What the UI's catalog says of every asset alike: who owns it, and where the code is that makes it.

Belongs here: what is put on all assets at once. Does not belong here: what one asset says of itself (`defs/assets`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import dagster as dg

from capillary_adobe.settings import CatalogSettings, SettingsError, load

Asset = dg.AssetsDefinition | dg.AssetSpec


def catalogued(assets: Sequence[Asset]) -> list[Asset]:
    """The same assets with owners (ASSET_OWNERS) and code references; an external asset has no code.

    Raises:
        SettingsError: ASSET_OWNERS names what is no asset and no group.
    """
    owners = load(CatalogSettings).found_owners
    specs = [spec for one in assets for spec in (one.specs if isinstance(one, dg.AssetsDefinition) else [one])]
    names = {name for spec in specs for name in (spec.key.to_user_string(), spec.group_name)}
    if unknown := sorted(set(owners.by_name) - names):
        raise SettingsError(
            f"ASSET_OWNERS names {', '.join(unknown)}: no asset and no group is called so. There are "
            f"{', '.join(sorted(name for name in names if name))}."
        )

    def owned(spec: dg.AssetSpec) -> dg.AssetSpec:
        of_group = owners.by_name.get(spec.group_name or "", owners.of_all)
        return spec.replace_attributes(owners=list(owners.by_name.get(spec.key.to_user_string(), of_group)))

    with warnings.catch_warnings():
        # Code references carry a warning that they are in beta; the UI's button beside an asset's name needs them.
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        return [
            found.map_asset_specs(owned) if isinstance(found, dg.AssetsDefinition) else owned(found)
            for found in dg.with_source_code_references(assets)
            if isinstance(found, dg.AssetsDefinition | dg.AssetSpec)
        ]
