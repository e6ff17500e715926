"""The bearer token of one request.

Belongs here: putting the token on a request. Does not belong here: getting and renewing it (`token.py`).
Source: requests.readthedocs.io/en/latest/user/authentication/
"""

from __future__ import annotations

import requests
from requests.auth import AuthBase


class Bearer(AuthBase):
    """Sets the token itself, so that a stray netrc entry of the machine cannot replace it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
