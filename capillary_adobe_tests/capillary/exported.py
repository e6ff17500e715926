"""Lines of history for the tests: as an import writes them, beside the webhooks of `events.py`.

Belongs here: building them. Does not belong here: any expectation.
"""

from __future__ import annotations

from typing import Any

from capillary_adobe_tests.capillary.events import CREATED_MS, CUSTOMER, ORG, PROGRAM, Json

FILE = "points.zip/part1.csv"


def exported(name: str = "pointsIssued", data: Json | None = None, key: str = "points|1", **fields: Any) -> Json:
    """The line that rows of an export became; fields of None are left out."""
    line = {
        "eventName": name,
        "orgId": ORG,
        "createdAt": CREATED_MS,
        "data": {
            "customerIdentifiers": {"customerId": CUSTOMER},
            "loyaltyProgramDetails": PROGRAM,
            **(data or {}),
        },
        "export": told(key=key, line=17),
        **fields,
    }
    return {field: value for field, value in line.items() if value is not None}


def told(*, line: int = 17, cells: Json | None = None, **fields: Any) -> Json:
    """What a line tells of its rows."""
    return {
        "template": "points",
        "file": FILE,
        "version": "0123456789ab",
        "rows": [{"line": line, "cells": cells or {"User Id": str(CUSTOMER), "Points": "7"}}],
        **fields,
    }


def refused(code: str = "number_unreadable", detail: str = "Points is no number", **fields: Any) -> Json:
    """The line of a row that no event could be made of."""
    return {"export": told(refused=code, detail=detail, **fields)}
