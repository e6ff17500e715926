"""From an address to its landing store.

Belongs here: telling the kinds of address apart. Does not belong here: the stores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capillary_adobe.landing.local_store import LocalLandingStore
from capillary_adobe.landing.store import LandingError, LandingStore


def open_landing_store(url: str, client: Any | None = None) -> LandingStore:
    """The store behind `LANDING_URL`; `client` is boto3's for an S3 store, without it one of the AWS_* variables is made.

    Raises:
        LandingError: the address is of a kind that is not supported, or S3 cannot be used as the environment says.
    """
    if url.startswith("s3://"):
        # Here, since boto3 takes 0.15 s that every command would pay.
        from capillary_adobe.landing.s3_store import S3LandingStore

        return S3LandingStore.at(url, client)
    if "://" in url:
        raise LandingError(
            f"LANDING_URL={url} is not supported: give the path of a local folder, or s3://<bucket>/<prefix>."
        )
    return LocalLandingStore(Path(url))
