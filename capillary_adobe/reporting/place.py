"""Where the page lies: beside the tables, under one name, replaced as a whole.

Belongs here: writing it to a folder or to S3. Does not belong here: the tables (`lake.py`), the page (`page.py`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from capillary_adobe.lake import LakeError, LakeUnavailable
from capillary_adobe.s3_address import ObjectStoreError, S3Address, is_s3

PAGE_NAME: Final = "delivery_report.html"
_TYPE: Final = "text/html; charset=utf-8"
_READABLE: Final = 0o644


def write_beside(lake_url: str, page: str) -> str:
    """Write the page beside the tables; the address of it.

    Raises:
        LakeError: it cannot be written; `LakeUnavailable` where the same may succeed a little later.
    """
    if is_s3(lake_url):
        return _put(lake_url, page)
    target = Path(lake_url).absolute() / PAGE_NAME
    write_file(target, page)
    return str(target)


def write_file(target: Path, page: str) -> None:
    """Write the page to a file, as a whole or not at all.

    Raises:
        LakeError: it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=".report-", delete=False
        ) as file:
            aside = Path(file.name)
            try:
                file.write(page)
                file.close()
                aside.chmod(_READABLE)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
    except OSError as error:
        raise LakeError(
            f"{target} cannot be written ({error.strerror}). Check that the folder belongs to the user that runs this and has "
            "free space."
        ) from error


def _put(lake_url: str, page: str) -> str:
    # Here, since boto3 takes 0.15 s that every process would pay.
    from botocore.exceptions import BotoCoreError, ClientError

    from capillary_adobe.object_store import cure, may_pass, reason, s3_client

    try:
        address, client = S3Address.parse(lake_url, "LAKE_URL"), s3_client()
    except ObjectStoreError as error:
        raise LakeError(str(error)) from error
    try:
        client.put_object(Bucket=address.bucket, Key=address.key(PAGE_NAME), Body=page.encode(), ContentType=_TYPE)
    except (BotoCoreError, ClientError) as error:
        kind = LakeUnavailable if may_pass(error) else LakeError
        raise kind(f"{address}/{PAGE_NAME} cannot be written ({reason(error)}). {cure(error)}") from error
    return f"{address}/{PAGE_NAME}"
