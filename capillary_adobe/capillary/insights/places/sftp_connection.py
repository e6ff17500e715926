"""A connection to an SFTP server: made only to a server that is known, closed always, its failures in plain words.

Belongs here: host key, credentials, time limits, errors. Does not belong here: files (`sftp.py`).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paramiko
from paramiko.hostkeys import InvalidHostKey
from paramiko.ssh_exception import BadHostKeyException, IncompatiblePeer, NoValidConnectionsError

from capillary_adobe.capillary.insights.places.place import PlaceError, PlaceUnavailable
from capillary_adobe.settings import InsightsSettings

PORT: Final = 22
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
_KEEPALIVE_SECONDS: Final = 15
# It logs the traceback of whatever ends a connection; here that becomes an error with words.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Server:
    """Who logs in where."""

    host: str
    port: int
    user: str

    def __str__(self) -> str:
        port = "" if self.port == PORT else f":{self.port}"
        return f"{self.user}@{self.host}{port}"


class _UnknownHostKey(Exception):
    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__(key.fingerprint)
        self.fingerprint = key.fingerprint


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        raise _UnknownHostKey(key)


@contextmanager
def connected(server: Server, settings: InsightsSettings) -> Iterator[paramiko.SFTPClient]:
    """A session with a server whose host key is known.

    Raises:
        PlaceError: the host key is unknown or another one, or the server refuses the user.
        PlaceUnavailable: the server cannot be reached.
    """
    key, password = _key(settings), settings.sftp_password
    if key is None and password is None:
        raise PlaceError(
            f"The SFTP server {server} asks who logs in. Set INSIGHTS_SFTP_PASSWORD or INSIGHTS_SFTP_KEY_FILE."
        )
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(_Refuse())
        _know_hosts(client, settings.sftp_known_hosts)
        try:
            client.connect(
                server.host,
                server.port,
                server.user,
                password=password.get_secret_value() if password else None,
                pkey=key,
                timeout=_CONNECT_SECONDS,
                banner_timeout=_CONNECT_SECONDS,
                auth_timeout=_CONNECT_SECONDS,
                channel_timeout=_CONNECT_SECONDS,
                allow_agent=False,
                look_for_keys=False,
            )
            sftp = client.open_sftp()
        except (_UnknownHostKey, paramiko.SSHException, OSError, EOFError) as error:
            raise _not_connected(server, settings, error) from error
        channel, transport = sftp.get_channel(), client.get_transport()
        if channel is not None and transport is not None:
            channel.settimeout(_ANSWER_SECONDS)
            transport.set_keepalive(_KEEPALIVE_SECONDS)
        yield sftp


def _know_hosts(client: paramiko.SSHClient, told_file: Path | None) -> None:
    file = told_file or Path("~/.ssh/known_hosts").expanduser()
    try:
        client.load_host_keys(str(file))
    except FileNotFoundError as error:
        if told_file is not None:
            raise PlaceError(
                f"INSIGHTS_SFTP_KNOWN_HOSTS={file} does not exist. Write the server's host key there, as ssh-keyscan "
                "prints it."
            ) from error
    except (OSError, InvalidHostKey, UnicodeDecodeError) as error:
        raise PlaceError(
            f"The known hosts in {file} cannot be read ({type(error).__name__}). Each line is a host, a kind of key "
            "and a key, as ssh-keyscan prints them."
        ) from error


def _key(settings: InsightsSettings) -> paramiko.PKey | None:
    if settings.sftp_key_file is None:
        return None
    what = f"INSIGHTS_SFTP_KEY_FILE={settings.sftp_key_file}"
    try:
        return paramiko.PKey.from_path(settings.sftp_key_file)
    except OSError as error:
        raise PlaceError(f"{what} cannot be read ({error.strerror}). Name a file that the user may read.") from error
    except (paramiko.PasswordRequiredException, TypeError) as error:
        raise PlaceError(
            f"{what} is locked by a passphrase. Name a key without one that only the user may read."
        ) from error
    except Exception as error:
        # What is no key fails in one of many libraries.
        raise PlaceError(f"{what} holds no private key. Name an OpenSSH or PEM file of one.") from error


def _not_connected(server: Server, settings: InsightsSettings, error: Exception) -> PlaceError:
    file = settings.sftp_known_hosts or Path("~/.ssh/known_hosts")
    scan = f"ssh-keyscan -p {server.port} {server.host}"
    if isinstance(error, _UnknownHostKey):
        return PlaceError(
            f"The SFTP server {server} is not known: its host key is {error.fingerprint}. If whoever runs it confirms that, "
            f"add the output of `{scan}` to {file}."
        )
    if isinstance(error, BadHostKeyException):
        return PlaceError(
            f"The SFTP server {server} shows another host key than {file} has: {error.key.fingerprint}. Nothing was sent "
            f"to it. If whoever runs it confirms the change, replace its lines there by the output of `{scan}`."
        )
    if isinstance(error, paramiko.AuthenticationException):
        return PlaceError(
            f"The SFTP server {server} refuses the user. Correct the user in the address, INSIGHTS_SFTP_PASSWORD or "
            "INSIGHTS_SFTP_KEY_FILE, and see which of them the server takes."
        )
    if isinstance(error, IncompatiblePeer):
        return PlaceError(f"The SFTP server {server} offers no cipher or key that is held safe. Have it updated.")
    if isinstance(error, NoValidConnectionsError):
        return PlaceUnavailable(f"Nothing takes connections at {server}. Check host, port, firewall, and that it runs.")
    return PlaceUnavailable(
        f"The SFTP server {server} cannot be reached ({_reason(error)}). Check host, port, network and allowed addresses."
    )


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise what a session meets as an error of the place.

    Raises:
        PlaceError: it is not there, or may not be read.
        PlaceUnavailable: the connection broke or no answer came.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise PlaceError(f"{what} does not exist. Correct the address or the name, or put it there.") from error
    except PermissionError as error:
        raise PlaceError(f"{what} may not be read by this user. Have the server give the right to it.") from error
    except UnicodeDecodeError as error:
        raise PlaceError(f"{what} holds a name that is no UTF-8. Rename it at the server.") from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise PlaceUnavailable(f"{what} cannot be read ({_reason(error)}). Import it again later.") from error


def _reason(error: Exception) -> str:
    return errno.errorcode.get(getattr(error, "errno", 0) or 0, type(error).__name__)
